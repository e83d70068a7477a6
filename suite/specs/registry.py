"""What specs may name: agents, plug-ins, recordings, analyses, environments; what fits together.

Other packages register agents by entry points of the group `rl_claims.agents`.
"""

import json
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

from pydantic import BaseModel

from baselines.classifier import Classifier, ImageClassifier
from baselines.cloning import Cloning
from baselines.dqn import DQN
from baselines.ppo import PPO
from baselines.rad import RAD
from baselines.sac import SAC
from baselines.td3 import TD3
from baselines.twins import Twins
from suite.analysis.dead_unit_walk import DeadUnitWalk
from suite.analysis.registry import ANALYSES
from suite.envs.described import spaces
from suite.envs.families import FAMILIES
from suite.envs.protocol import ObservationDtype
from suite.envs.versions import RENDERERS
from suite.extensions import AGENTS_GROUP, Extended, unversioned
from suite.plugins.registry import PLUGINS
from suite.recordings.registry import RECORDINGS
from suite.specs.models import AgentSpec, PluginSpec, TaskSpec
from suite.stacked.spaces import ActionSpec

Loop = Literal["off_policy", "on_policy", "supervised", "simulation"]
LOOPS: tuple[Loop, ...] = get_args(Loop)


class AgentClass(Protocol):
    """What a spec has to know of the class of an agent: its settings, and where it can act."""

    @property
    def VERSION(self) -> int: ...
    @property
    def Settings(self) -> type[BaseModel]: ...
    @property
    def loop(self) -> str: ...
    @property
    def actions(self) -> tuple[str, ...]: ...
    @property
    def observations(self) -> tuple[str, ...]: ...


def unusable(name: str, value: Any) -> str:
    """Why an object can't be the agent of this name; "" if it can."""
    lacking = [part for part in dir(AgentClass) if part[0] != "_" and not hasattr(value, part)]
    if lacking:
        return f"{value!r} has no {', '.join(lacking)}"
    if value.loop not in LOOPS:
        return f"its loop is {value.loop!r}, not one of {', '.join(LOOPS)}"
    return unversioned(value)


AGENTS: MutableMapping[str, AgentClass] = Extended(
    {
        "td3": TD3,
        "sac": SAC,
        "rad": RAD,
        "dqn": DQN,
        "ppo": PPO,
        "cloning": Cloning,
        "classifier": Classifier,
        "image_classifier": ImageClassifier,
        "twins": Twins,
        "dead_unit_walk": DeadUnitWalk,
    },
    AGENTS_GROUP,
    unusable,
)

__all__ = [
    "AGENTS",
    "ANALYSES",
    "EXCLUSIVE",
    "FAMILIES",
    "PLUGINS",
    "RECORDINGS",
    "RENDERERS",
    "AgentClass",
    "Environment",
    "environment",
]

# Kinds of plug-ins that can't be in one list: both insert the same norm layers.
EXCLUSIVE = ({"nap", "norm"},)


def refusal(plugin: PluginSpec, agent: AgentSpec) -> str | None:
    """Why a plug-in can't go with an agent; None if it can."""
    if AGENTS[agent.kind].loop == "simulation":
        return "a simulation has no network"
    chosen = PLUGINS[plugin.kind]
    settings = chosen.Settings.model_validate(plugin.settings)
    return chosen.refuses(settings, agent.kind, agent.settings)


def conflict(one: PluginSpec, other: PluginSpec) -> str | None:
    """Why two plug-ins can't be in one list; None if they can."""
    if one.kind == other.kind or {one.kind, other.kind} in EXCLUSIVE:
        return "both do the same to the network or its weights"
    if all(
        PLUGINS[plugin.kind].sets_learning_rate(
            PLUGINS[plugin.kind].Settings.model_validate(plugin.settings)
        )
        for plugin in (one, other)
    ):
        return "both set the learning rate"
    return None


# Loops of agents that act and are rewarded.
ACTING: tuple[Literal["off_policy"], Literal["on_policy"]] = ("off_policy", "on_policy")


@dataclass(frozen=True)
class Environment:
    """What a spec has to know of a task's environment.

    An agent can act in it that has one of `loops`, and `actions` and `observations` among its own.
    """

    loops: tuple[Loop, ...]
    actions: Literal["continuous", "discrete", "labels", "none"]
    observations: Literal["vector", "grid", "pixels", "none"]
    observation_shape: tuple[int, ...]
    observation_dtype: ObservationDtype
    action_size: int
    low: float = 0.0
    high: float = 0.0

    @property
    def action(self) -> ActionSpec:
        """What agents are built for. Raises ValueError when there is nothing to do."""
        if self.actions == "none":
            raise ValueError("a simulation has no actions")
        return ActionSpec(self.actions, self.action_size, self.low, self.high)


def environment(task: TaskSpec) -> Environment:
    """The environment of a task with resolved arguments.

    Raises ValueError when it cannot be built, UnknownEnvironmentError when there is none such.
    """
    chosen = task.arguments
    if task.family == "synthetic":
        if task.environment == "random_labels":
            inputs, classes = (chosen["dimensions"],), chosen["classes"]
            return Environment(("supervised",), "labels", "vector", inputs, "float32", classes)
        if task.environment == "digits":
            return Environment(("supervised",), "labels", "grid", (8, 8, 1), "float32", 10)
        return Environment(("simulation",), "none", "none", (), "float32", 0)
    if task.family == "dmc_pixels":
        # The task itself: its pictures may need a renderer that this machine lacks.
        told = spaces(task.model_copy(update={"family": "dmc", "arguments": {}}))
        shape = (chosen["height"], chosen["width"], 3 * chosen["frame_stack"])
        told = told.model_copy(update={"observation_shape": shape, "observation_dtype": "uint8"})
    else:
        told = spaces(task)
    seen: Literal["vector", "grid", "pixels"] = "vector"
    if len(told.observation_shape) == 3:
        seen = "pixels" if told.observation_dtype == "uint8" else "grid"
    # Visits to games are the off-policy loop's.
    sequence = task.family == "minatar" and task.environment == "sequence"
    return Environment(
        ("off_policy",) if sequence else ACTING,
        told.actions,
        seen,
        told.observation_shape,
        told.observation_dtype,
        told.action_size,
        told.low,
        told.high,
    )


def unfit(agent: AgentSpec, environment: Environment) -> str | None:
    """Why an agent with these settings can't act in an environment of its kind; None if it can."""
    kind = AGENTS[agent.kind]
    if not hasattr(kind, "refuses") or environment.actions == "none":
        return None
    settings = kind.Settings.model_validate_json(json.dumps(agent.settings))
    reason: str | None = kind.refuses(settings, environment.observation_shape, environment.action)
    return reason
