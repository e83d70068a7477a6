"""Families of environments: the suite's own, and those that other packages register.

An entry point of the group `rl_claims.environments` names an adapter class: its own `VERSION`, a
constructor that takes the `TaskSpec` and then the task's arguments by name, and the protocol of
`suite.envs.protocol.Environment`. The entry point's name is the family in specs.
"""

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Any, Protocol

from suite.envs.opengl import import_mujoco
from suite.envs.protocol import Environment
from suite.envs.versions import VERSIONS
from suite.extensions import ENVIRONMENTS_GROUP, Extended, unversioned
from suite.specs.models import TaskSpec


class Family(Protocol):
    """An adapter class of another package, or what builds an adapter of the suite's."""

    @property
    def VERSION(self) -> int: ...

    def __call__(self, task: TaskSpec, **arguments: Any) -> Environment: ...


@dataclass(frozen=True)
class Own:
    """A family of the suite's; its adapter is imported when an environment is built."""

    VERSION: int
    build: Callable[[TaskSpec], Environment]
    packages: tuple[str, ...]  # whose versions decide spaces and arguments

    def __call__(self, task: TaskSpec, **arguments: Any) -> Environment:
        return self.build(task.model_copy(update={"arguments": arguments}))


def _mujoco(task: TaskSpec) -> Environment:
    import_mujoco()
    from suite.envs.mujoco import MuJoCo

    return MuJoCo(task.environment, task.arguments, task.episode_limit)


def _dmc(task: TaskSpec) -> Environment:
    import_mujoco()
    from suite.envs.dmc import DMC

    return DMC(task.environment, task.episode_limit, task.action_repeat)


def _dmc_pixels(task: TaskSpec) -> Environment:
    import_mujoco()
    from suite.envs.dmc import DMCPixels

    return DMCPixels(task.environment, task.arguments, task.episode_limit, task.action_repeat)


def _minatar(task: TaskSpec) -> Environment:
    from suite.envs.minatar import MinAtar, MinAtarSequence

    if task.environment != "sequence":
        return MinAtar(task.environment, task.arguments, task.episode_limit)
    for needed in ("games", "steps_per_visit"):
        if needed not in task.arguments:
            raise ValueError(f"a sequence of games needs the argument {needed!r}")
    own = {k: v for k, v in task.arguments.items() if k not in ("games", "steps_per_visit")}
    return MinAtarSequence(task.arguments["games"], own, task.episode_limit)


def _classic(task: TaskSpec) -> Environment:
    from suite.envs.classic import Pendulum

    return Pendulum(task.environment, task.episode_limit)


def _gymnasium(task: TaskSpec) -> Environment:
    from suite.envs.registered import Registered

    return Registered(task.environment, task.arguments, task.episode_limit)


def _synthetic(task: TaskSpec) -> Environment:
    raise ValueError(
        f"task {task.name!r}: family 'synthetic' has no environment; mujoco, dmc, dmc_pixels,"
        " minatar, classic, gymnasium and those of other packages have"
    )


def unusable(name: str, value: Any) -> str:
    """Why an object can't be the family of this name; "" if it can."""
    if not isinstance(value, type):
        return f"{value!r} is no class: name the adapter class"
    lacking = [part for part in ("reset", "step") if not hasattr(value, part)]
    if lacking:
        return f"{value!r} has no {', '.join(lacking)}"
    parameters = list(signature(value).parameters.values())
    if not parameters or parameters[0].kind not in _POSITIONAL:
        return f"the constructor of {value!r} does not take the task first"
    return unversioned(value)


_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)

FAMILIES: MutableMapping[str, Family] = Extended(
    {
        "mujoco": Own(VERSIONS["mujoco"], _mujoco, ("gymnasium", "mujoco")),
        "dmc": Own(VERSIONS["dmc"], _dmc, ("dm-control", "mujoco")),
        "dmc_pixels": Own(VERSIONS["dmc_pixels"], _dmc_pixels, ("dm-control", "mujoco")),
        "minatar": Own(VERSIONS["minatar"], _minatar, ("minatar",)),
        "classic": Own(VERSIONS["classic"], _classic, ("gymnasium",)),
        "gymnasium": Own(VERSIONS["gymnasium"], _gymnasium, ("gymnasium", "mujoco")),
        "synthetic": Own(VERSIONS["synthetic"], _synthetic, ()),
    },
    ENVIRONMENTS_GROUP,
    unusable,
)
