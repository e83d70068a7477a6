"""What specs may name: agents, plug-ins, probes, environments; and which of them fit together."""

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, create_model

from baselines.classifier import Classifier
from baselines.dqn import DQN
from baselines.rad import RAD
from baselines.sac import SAC
from baselines.td3 import TD3
from suite.analysis.dead_unit_walk import DeadUnitWalk
from suite.analysis.probes import PROBES
from suite.envs.versions import VERSIONS
from suite.plugins.registry import PLUGINS
from suite.specs.models import Family, Spec

AgentClass = type[TD3] | type[SAC] | type[RAD] | type[DQN] | type[Classifier] | type[DeadUnitWalk]

AGENTS: dict[str, AgentClass] = {
    "td3": TD3,
    "sac": SAC,
    "rad": RAD,
    "dqn": DQN,
    "classifier": Classifier,
    "dead_unit_walk": DeadUnitWalk,
}

__all__ = [
    "AGENTS",
    "ENVIRONMENTS",
    "EXCLUSIVE",
    "PLUGINS",
    "PROBES",
    "VERSIONS",
    "AgentClass",
    "Environment",
]

# Kinds of plug-ins that can't be in one list: both insert the same norm layers.
EXCLUSIVE = ({"nap", "norm"},)


def refusal(plugin_kind: str, settings: dict[str, Any], agent_kind: str) -> str | None:
    """Why a plug-in with these settings can't go with an agent; None if it can."""
    if AGENTS[agent_kind].loop == "simulation":
        return "a simulation has no network"
    plugin = PLUGINS[plugin_kind]
    return plugin.refuses(plugin.Settings.model_validate(settings), agent_kind)


# Loops of agents that act and are rewarded.
ACTING: tuple[Literal["off_policy"], Literal["on_policy"]] = ("off_policy", "on_policy")


@dataclass(frozen=True)
class Environment:
    """What a spec has to know of an environment without building it.

    An agent can act in it that has one of `loops`, and `actions` and `observations` among its own.
    The shape and the number of actions serve the estimate of memory.
    """

    loops: tuple[Literal["off_policy", "on_policy", "supervised", "simulation"], ...]
    actions: Literal["continuous", "discrete", "labels", "none"]
    observations: Literal["vector", "grid", "pixels", "none"]
    observation_shape: tuple[int, ...]
    action_size: int
    arguments: type[Spec]


class RandomLabels(Spec):
    """The continual random-label task: Gaussian inputs whose labels are redrawn for every task."""

    inputs: int = Field(ge=1, description="number of inputs")
    dimensions: int = Field(ge=1, description="of an input")
    classes: int = Field(ge=2)
    batch_size: int = Field(ge=1)
    steps_per_task: int = Field(ge=1, description="optimiser steps between relabelings")


def _arguments(name: str, **fields: Any) -> type[Spec]:
    """A strict model of optional arguments, by name: a type, or a type and its constraints."""
    optional = {
        key: (kind | None, Field(default=None, **limits)) for key, (kind, limits) in fields.items()
    }
    return create_model(name, __base__=Spec, **optional)  # type: ignore[call-overload, no-any-return]


_NUMBER: tuple[type, dict[str, Any]] = (float, {})
_POSITIVE = (float, {"gt": 0})
_FLAG: tuple[type, dict[str, Any]] = (bool, {})
_TEXT = (str, {"min_length": 1})

_LOCOMOTION = {
    "xml_file": _TEXT,
    "forward_reward_weight": _NUMBER,
    "ctrl_cost_weight": _NUMBER,
    "reset_noise_scale": _POSITIVE,
}
_LEGGED = {**_LOCOMOTION, "healthy_reward": _NUMBER, "terminate_when_unhealthy": _FLAG}
_CONTACT = {
    **_LEGGED,
    "contact_cost_weight": _NUMBER,
    "include_cfrc_ext_in_observation": _FLAG,
}
_PENDULUM = {"xml_file": _TEXT, "reset_noise_scale": _POSITIVE}


def _mujoco(name: str, observations: int, actions: int, arguments: dict[str, Any]) -> Environment:
    model = _arguments(f"{name} arguments", **arguments)
    return Environment(ACTING, "continuous", "vector", (observations,), actions, model)


_MINATAR = _arguments(
    "MinAtar arguments",
    sticky_action_prob=(float, {"ge": 0, "le": 1}),
    difficulty_ramping=_FLAG,
    idle_cutoff=(int, {"ge": 1}),
)


def _minatar(channels: int) -> Environment:
    return Environment(ACTING, "discrete", "grid", (10, 10, channels), 6, _MINATAR)


ENVIRONMENTS: dict[Family, dict[str, Environment]] = {
    "mujoco": {
        "HalfCheetah-v5": _mujoco("HalfCheetah-v5", 17, 6, _LOCOMOTION),
        "Hopper-v5": _mujoco("Hopper-v5", 11, 3, _LEGGED),
        "Walker2d-v5": _mujoco("Walker2d-v5", 17, 6, _LEGGED),
        "Ant-v5": _mujoco("Ant-v5", 27, 8, _CONTACT),  # without contact forces, as in -v4
        "InvertedPendulum-v5": _mujoco("InvertedPendulum-v5", 4, 1, _PENDULUM),
        "InvertedDoublePendulum-v5": _mujoco("InvertedDoublePendulum-v5", 9, 1, _PENDULUM),
    },
    "minatar": {
        "asterix": _minatar(4),
        "breakout": _minatar(4),
        "freeway": _minatar(7),
        "seaquest": _minatar(10),
        "space_invaders": _minatar(6),
    },
    "synthetic": {
        "random_labels": Environment(
            ("supervised",),
            "labels",
            "vector",
            (32,),
            10,
            RandomLabels,
        ),
        "dead_unit_walk": Environment(
            ("simulation",), "none", "none", (), 0, _arguments("no arguments")
        ),
    },
}
