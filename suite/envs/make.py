"""From a task's spec to its environment."""

from suite.envs.families import FAMILIES
from suite.envs.protocol import Environment
from suite.specs.models import REPEATING, TaskSpec


def make_environment(task: TaskSpec) -> Environment:
    """The environment of a task of any family but `synthetic`.

    Raises ValueError when there is no such family, the family has no environment, the environment
    cannot be built, or MUJOCO_GL names a library that is absent.
    """
    if task.action_repeat != 1 and task.family not in REPEATING:
        raise ValueError(
            f"task {task.name!r}: action_repeat {task.action_repeat} is not supported by the"
            f" {task.family} family; use 1, or a task of {' or '.join(REPEATING)}"
        )
    if task.family not in FAMILIES:
        raise ValueError(f"unknown family {task.family!r}; known: {', '.join(FAMILIES)}")
    return FAMILIES[task.family](task, **task.arguments)
