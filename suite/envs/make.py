"""From a task's spec to its environment."""

from suite.envs.opengl import import_mujoco
from suite.envs.protocol import Environment
from suite.specs.models import REPEATING, TaskSpec

ON_MUJOCO = ("mujoco", "dmc", "dmc_pixels")


def make_environment(task: TaskSpec) -> Environment:
    """The environment of a task of any family but `synthetic`.

    Raises ValueError when the family has no environment, the environment cannot be built, or
    MUJOCO_GL names a library that is absent.
    """
    if task.action_repeat != 1 and task.family not in REPEATING:
        raise ValueError(
            f"task {task.name!r}: action_repeat {task.action_repeat} is not supported by the"
            f" {task.family} family; use 1, or a task of {' or '.join(REPEATING)}"
        )
    if task.family in ON_MUJOCO:
        import_mujoco()
    # Imported here so that a process pays for the families that it uses only.
    if task.family == "mujoco":
        from suite.envs.mujoco import MuJoCo

        return MuJoCo(task.environment, task.arguments, task.episode_limit)
    if task.family == "minatar":
        from suite.envs.minatar import MinAtar

        return MinAtar(task.environment, task.arguments, task.episode_limit)
    if task.family == "dmc":
        from suite.envs.dmc import DMC

        return DMC(task.environment, task.episode_limit, task.action_repeat)
    if task.family == "dmc_pixels":
        from suite.envs.dmc import DMCPixels

        return DMCPixels(task.environment, task.arguments, task.episode_limit, task.action_repeat)
    if task.family == "classic":
        from suite.envs.classic import Pendulum

        return Pendulum(task.episode_limit)
    raise ValueError(
        f"task {task.name!r}: family {task.family!r} has no environment; mujoco, dmc, dmc_pixels,"
        " minatar and classic have"
    )
