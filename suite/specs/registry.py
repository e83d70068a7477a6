"""What specs may name: agents, plug-ins, recordings, analyses, environments; what fits together.

Other packages register agents by entry points of the group `rl_claims.agents`.
"""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

from pydantic import BaseModel, Field, create_model

from baselines.classifier import Classifier
from baselines.dqn import DQN
from baselines.ppo import PPO
from baselines.rad import RAD
from baselines.sac import SAC
from baselines.td3 import TD3
from suite.analysis.dead_unit_walk import DeadUnitWalk
from suite.analysis.registry import ANALYSES
from suite.envs.versions import RENDERERS, VERSIONS
from suite.extensions import AGENTS_GROUP, Extended, unversioned
from suite.plugins.registry import PLUGINS
from suite.recordings.registry import RECORDINGS
from suite.specs.models import AgentSpec, Family, PluginSpec, Spec

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
        "classifier": Classifier,
        "dead_unit_walk": DeadUnitWalk,
    },
    AGENTS_GROUP,
    unusable,
)

__all__ = [
    "AGENTS",
    "ANALYSES",
    "ENVIRONMENTS",
    "EXCLUSIVE",
    "PLUGINS",
    "RECORDINGS",
    "RENDERERS",
    "VERSIONS",
    "AgentClass",
    "Environment",
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
    """What a spec has to know of an environment without building it.

    An agent can act in it that has one of `loops`, and `actions` and `observations` among its own.
    The shape (of pixels: see `shape`) and the number of actions serve the estimate of memory.
    """

    loops: tuple[Loop, ...]
    actions: Literal["continuous", "discrete", "labels", "none"]
    observations: Literal["vector", "grid", "pixels", "none"]
    observation_shape: tuple[int, ...]
    action_size: int
    arguments: type[Spec]

    def shape(self, arguments: Mapping[str, Any]) -> tuple[int, ...]:
        """Observation shape of a task with these arguments, which decide the size of pixels."""
        if self.observations != "pixels":
            return self.observation_shape
        return (arguments["height"], arguments["width"], 3 * arguments["frame_stack"])


class Pixels(Spec):
    """What is seen of a task through a camera."""

    renderer: Literal["raycast", "gl"] = "raycast"
    height: int = Field(default=100, ge=8, le=480, description="pixels")
    width: int = Field(default=100, ge=8, le=640, description="pixels")
    camera: int = Field(default=0, ge=-1, description="of the model; -1: MuJoCo's free camera")
    frame_stack: int = Field(default=3, ge=1, description="newest frames in an observation")
    supersampling: int = Field(
        default=1, ge=1, le=8, description="a pixel is the mean of so many by so many"
    )


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


# Observations and actions of each task of `dm_control.suite`, so that specs load without importing
# it (1 s). quadruped-escape is left out: it uploads its terrain to OpenGL at every reset.
DMC_SIZES = {
    **dict.fromkeys(("acrobot-swingup", "acrobot-swingup_sparse"), (6, 1)),
    "ball_in_cup-catch": (8, 2),
    **dict.fromkeys(("cartpole-balance", "cartpole-balance_sparse"), (5, 1)),
    **dict.fromkeys(("cartpole-swingup", "cartpole-swingup_sparse"), (5, 1)),
    "cartpole-two_poles": (8, 1),
    "cartpole-three_poles": (11, 1),
    "cheetah-run": (17, 6),
    **dict.fromkeys(("dog-stand", "dog-walk", "dog-trot", "dog-run"), (223, 38)),
    "dog-fetch": (232, 38),
    "finger-spin": (9, 2),
    **dict.fromkeys(("finger-turn_easy", "finger-turn_hard"), (12, 2)),
    "fish-upright": (21, 5),
    "fish-swim": (24, 5),
    **dict.fromkeys(("hopper-stand", "hopper-hop"), (15, 4)),
    **dict.fromkeys(("humanoid-stand", "humanoid-walk", "humanoid-run"), (67, 21)),
    "humanoid-run_pure_state": (55, 21),
    **dict.fromkeys(("humanoid_CMU-stand", "humanoid_CMU-walk", "humanoid_CMU-run"), (137, 56)),
    "lqr-lqr_2_1": (4, 1),
    "lqr-lqr_6_2": (12, 2),
    **dict.fromkeys(("manipulator-bring_ball", "manipulator-bring_peg"), (44, 5)),
    **dict.fromkeys(("manipulator-insert_ball", "manipulator-insert_peg"), (44, 5)),
    "pendulum-swingup": (3, 1),
    **dict.fromkeys(("point_mass-easy", "point_mass-hard"), (4, 2)),
    **dict.fromkeys(("quadruped-walk", "quadruped-run"), (78, 12)),
    "quadruped-fetch": (90, 12),
    **dict.fromkeys(("reacher-easy", "reacher-hard"), (6, 2)),
    "stacker-stack_2": (49, 5),
    "stacker-stack_4": (63, 5),
    "swimmer-swimmer6": (25, 5),
    "swimmer-swimmer15": (61, 14),
    **dict.fromkeys(("walker-stand", "walker-walk", "walker-run"), (24, 6)),
}
_NO_ARGUMENTS = _arguments("no arguments")


ENVIRONMENTS: dict[Family, dict[str, Environment]] = {
    "mujoco": {
        "HalfCheetah-v5": _mujoco("HalfCheetah-v5", 17, 6, _LOCOMOTION),
        "Hopper-v5": _mujoco("Hopper-v5", 11, 3, _LEGGED),
        "Walker2d-v5": _mujoco("Walker2d-v5", 17, 6, _LEGGED),
        "Ant-v5": _mujoco("Ant-v5", 27, 8, _CONTACT),  # without contact forces, as in -v4
        "InvertedPendulum-v5": _mujoco("InvertedPendulum-v5", 4, 1, _PENDULUM),
        "InvertedDoublePendulum-v5": _mujoco("InvertedDoublePendulum-v5", 9, 1, _PENDULUM),
    },
    "dmc": {
        name: Environment(ACTING, "continuous", "vector", (size,), actions, _NO_ARGUMENTS)
        for name, (size, actions) in DMC_SIZES.items()
    },
    "dmc_pixels": {
        name: Environment(ACTING, "continuous", "pixels", (), actions, Pixels)
        for name, (_, actions) in DMC_SIZES.items()
    },
    "classic": {"Pendulum-v1": Environment(ACTING, "continuous", "vector", (3,), 1, _NO_ARGUMENTS)},
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
        "dead_unit_walk": Environment(("simulation",), "none", "none", (), 0, _NO_ARGUMENTS),
    },
}
