"""Pictures and animations of tasks and trained runs: what `suite render` writes."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from suite.envs.episodes import episode_seed
from suite.envs.make import make_environment
from suite.specs.models import TaskSpec

Renderer = Literal["raycast", "gl", "both"]
Policy = Callable[[np.ndarray], np.ndarray]
_FRAME_MILLISECONDS = 40


def render(
    task: TaskSpec,
    path: Path,
    renderer: Renderer,
    steps: int,
    size: int,
    policy: Policy | None = None,
    seed: int = 0,
) -> None:
    """Write the state after `steps` steps as a PNG, or all states up to then as a GIF.

    `renderer` `both` draws ray-cast (left) and OpenGL (right) pictures of `size` x `size` pixels.
    `policy` maps an observation to an action; without one actions are uniform.

    Raises ValueError when the task has no MuJoCo model, no GL library loads where one is needed,
    or the path is neither .png nor .gif.
    """
    if path.suffix not in (".png", ".gif"):
        raise ValueError(f"{path} has suffix {path.suffix!r}; use .png or .gif")
    if renderer != "raycast":
        os.environ.setdefault("MUJOCO_GL", "egl")
    environment = make_environment(task)
    draw = _drawn(task, environment, renderer, size)
    generator = np.random.default_rng(seed)
    action = environment.action
    observation = environment.reset(episode_seed(seed, "render", 0))
    frames = [draw()]
    for _ in range(steps):
        if policy is None:
            chosen = generator.uniform(action.low, action.high, action.size).astype(np.float32)
        else:
            chosen = policy(observation)
        observation, _, terminal, truncated = environment.step(chosen)
        frames.append(draw())
        if terminal or truncated:
            break
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        Image.fromarray(frames[-1]).save(path, optimize=True)
        return
    first, *others = (Image.fromarray(frame) for frame in frames)
    first.save(path, save_all=True, append_images=others, duration=_FRAME_MILLISECONDS, loop=0)


def _drawn(
    task: TaskSpec, environment: Any, renderer: Renderer, size: int
) -> Callable[[], np.ndarray]:
    """What draws the present state of an environment with one renderer or both."""
    if task.family not in ("mujoco", "dmc", "dmc_pixels"):
        raise ValueError(
            f"task {task.name!r} of family {task.family} has no MuJoCo model to draw; use a task "
            "of mujoco, dmc or dmc_pixels"
        )
    names = ("raycast", "gl") if renderer == "both" else (renderer,)
    camera = task.arguments.get("camera", 0)
    draws = [environment.draws(name, size, size, camera) for name in names]
    return lambda: np.concatenate([draw() for draw in draws], axis=1)
