"""The plug-in protocol: change of the network, hooks in learning, own state and diagnostics.

A plug-in is built from its settings, may change each network before it is initialised
(`change_network`), then sees the finished agent once (`attach`), where it may hook the optimiser
steps of the agent's parameter groups, and is called before and after every learn call
(`before_update`, `after_update`).
Plug-ins compose in list order. A plug-in draws no random numbers from the agent's streams, and its
work on one seed never depends on the seed's companions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict
from torch import Tensor

if TYPE_CHECKING:
    from suite.stacked.layers import Network
    from suite.stacked.parameters import ParameterGroup
    from suite.stacked.streams import State


class Agent(Protocol):
    """What a plug-in may see of an agent."""

    groups: dict[str, ParameterGroup]
    """Parameter groups by name, each with its network, optimiser and target."""
    policy: str
    """Name of the group that counts as the policy."""
    updates: int
    """Learn calls so far."""
    seeds: tuple[int, ...]
    """The seed of each row, for a plug-in's own streams."""


class PluginSettings(BaseModel):
    """Settings of a plug-in: strict, frozen, no unknown keys; presets write every value."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Plugin:
    """A plug-in that does nothing; plug-ins override what they need.

    `kind` names the plug-in in specs, `VERSION` is its behaviour version and goes into run keys.
    """

    VERSION: ClassVar[int] = 1
    kind: ClassVar[str]
    Settings: ClassVar[type[BaseModel]]
    acting: ClassVar[Mapping[str, Any]]
    """Settings with which it acts within a run of 60 learn calls; for the conformance tests."""
    neutral: ClassVar[Mapping[str, Any] | None] = None
    """Settings with which every bit is as without it; None: there are none, as with new layers."""

    def __init__(self, settings: BaseModel) -> None:
        """Settings are an instance of `Settings`; raises TypeError for anything else."""
        if not isinstance(settings, self.Settings):
            raise TypeError(
                f"plug-in {self.kind!r} takes {self.Settings.__qualname__}, "
                f"not {type(settings).__qualname__}"
            )

    @classmethod
    def refuses(
        cls, settings: BaseModel, agent_kind: str, agent_settings: Mapping[str, Any]
    ) -> str | None:
        """Why these settings can't go with an agent of this kind and settings; None if they can."""
        if agent_kind == "dead_unit_walk":
            return f"the random-walk model has no network that {cls.kind} could act on"
        scheduled = agent_settings.get("schedule", "constant") != "constant"
        if scheduled and cls.sets_learning_rate(settings):
            return (
                "both set the learning rate (with schedule: constant for the agent, the plug-in "
                "alone does)"
            )
        return None

    @classmethod
    def sets_learning_rate(cls, settings: BaseModel) -> bool:
        """Whether it sets the agent's learning rate: nothing else in a run may do so then."""
        return False

    def change_network(self, network: Network) -> Network:
        """The network to build in place of `network`; called once per parameter group."""
        return network

    def attach(self, agent: Agent, total_updates: int) -> None:
        """See the finished, initialised agent once; `total_updates` learn calls are planned."""

    def before_update(self, agent: Agent, observations: Tensor) -> None:
        """Called before every learn call with the observations [S, B, ...] that it learns from.

        A network's activations on them: `group.network.forward(group.parameters.leaves,
        observations, trace)` fills `trace`, for networks that take observations as they are.
        """

    def after_update(self, agent: Agent) -> None:
        """Called after every learn call, when targets are already updated."""

    def state(self) -> State:
        """All that later behaviour depends on; every value has a leading seed axis."""
        return {}

    def load_state(self, state: State) -> None:
        """Continue from a `state()`; called after `attach` on a fresh agent."""

    def diagnostics(self) -> dict[str, np.ndarray]:
        """Figures of the present moment by name, each [S]."""
        return {}
