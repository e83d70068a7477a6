"""Path recorder: snapshots of the policy's parameters in equal distances of policy updates."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from suite.plugins.protocol import Agent
from suite.stacked.streams import State


class PolicyPathSettings(BaseModel):
    """Settings of the path recorder."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    every: int = Field(
        default=25, ge=1, description="policy updates between snapshots (PPTB paper App. C: 25)"
    )


class PolicyPath:
    """Snapshots of the policy group's flat vector, as PPTB stores them (PPTB paper Alg. 1, App. C).

    Row 0 is the initial policy; a row follows after every `every` optimiser steps of the policy
    group, taken before plug-ins act on the learn call.
    """

    VERSION: ClassVar[int] = 1
    Settings: ClassVar[type[BaseModel]] = PolicyPathSettings

    def __init__(self, settings: PolicyPathSettings, agent: Agent, seeds: Sequence[int]) -> None:
        self.settings = settings
        self._last = agent.groups[agent.policy].steps
        self._snapshots = [_snapshot(agent)]

    def after_update(self, agent: Agent) -> None:
        steps = agent.groups[agent.policy].steps
        # A learn call may leave the policy alone (TD3's policy delay): one snapshot a step.
        if steps % self.settings.every == 0 and steps != self._last:
            self._snapshots.append(_snapshot(agent))
            self._last = steps

    def at_evaluation(self, agent: Agent, step: int) -> dict[str, np.ndarray]:
        return {}

    def at_end(self, agent: Agent) -> dict[str, np.ndarray]:
        return {}

    def files(self) -> dict[str, np.ndarray]:
        """`policy_path`: `[S, n, m]` float32, oldest first."""
        return {"policy_path": np.stack(self._snapshots, axis=1)}

    def state(self) -> State:
        path = self.files()["policy_path"]
        return {"path": path, "last": np.full(path.shape[0], self._last)}

    def load_state(self, state: State) -> None:
        path = np.asarray(state["path"], dtype=np.float32)
        self._snapshots = [path[:, i].copy() for i in range(path.shape[1])]
        self._last = int(state["last"][0])


def _snapshot(agent: Agent) -> np.ndarray:
    flat = agent.groups[agent.policy].parameters.flat
    return flat.detach().cpu().numpy().copy()
