"""DeepMind Control (Tassa et al. 2018, arXiv:1801.00690) on `dm_control.suite`: states and pixels.

Every episode takes a random state of its own: `dm_control` draws from one that is made when a task
is loaded, so the start of an episode would depend on the episodes before. What a task draws while
its model is built (`lqr`) comes from a fixed seed. Resetting clears MuJoCo's warm start.
"""

import os
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import mujoco
import numpy as np

from suite.envs.model_warnings import no_model_warnings
from suite.envs.opengl import GL_ADVICE
from suite.envs.protocol import ObservationDtype, UnknownEnvironmentError
from suite.envs.raycast import RayCaster
from suite.envs.versions import VERSIONS
from suite.stacked.spaces import ActionSpec


class DMC:
    """Adapter over one task, observations float32 `[size]` in the suite's order.

    `model` and `data` are MuJoCo's, for renderers.
    """

    VERSION = VERSIONS["dmc"]

    def __init__(self, environment: str, episode_limit: int | None, action_repeat: int) -> None:
        """`environment` is "domain-task"; an action is held for `action_repeat` control steps.

        `episode_limit` counts steps of the agent; the task's own time limit holds besides.
        Actions of tasks whose bounds differ between dimensions are rescaled to -1 to 1.

        Raises ValueError when there is no such task.
        """
        self.environment = _load(environment)
        self._repeat = action_repeat
        self._limit = episode_limit
        self._steps = 0
        physics = self.environment.physics
        self.model: mujoco.MjModel = physics.model.ptr
        self.data: mujoco.MjData = physics.data.ptr
        bounds = self.environment.action_spec()
        self.action = ActionSpec(
            "continuous", bounds.shape[0], float(bounds.minimum.min()), float(bounds.maximum.max())
        )
        self.observation_shape: tuple[int, ...] = self.reset(0).shape
        self.observation_dtype: ObservationDtype = "float32"

    def reset(self, seed: int) -> np.ndarray:
        self._steps = 0
        self.environment.task._random = np.random.RandomState(seed)
        return _flat(self.environment.reset().observation)

    def draws(self, name: str, height: int, width: int, camera: int) -> Callable[[], np.ndarray]:
        """What draws the present state, uint8 `[height, width, 3]`, with renderer `name`.

        Raises ValueError when there is no such camera, or no GL library for `gl`.
        """
        return renderer(self, name, height, width, camera)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool]:
        reward = 0.0
        for _ in range(self._repeat):
            step = self.environment.step(action)
            reward += float(step.reward)
            if step.last():
                break
        self._steps += 1
        # The time limit ends an episode with discount 1, the task's own rules with 0.
        terminal = bool(step.last() and step.discount == 0)
        truncated = bool(step.last() or self._steps == self._limit) and not terminal
        return _flat(step.observation), reward, terminal, truncated


class DMCPixels:
    """A task seen through a camera: uint8 `[height, width, 3 * frame_stack]`, newest frame last."""

    VERSION = VERSIONS["dmc_pixels"]

    def __init__(
        self,
        environment: str,
        arguments: Mapping[str, Any],
        episode_limit: int | None,
        action_repeat: int,
    ) -> None:
        """`arguments`: renderer (`raycast` or `gl`), height, width, camera, frame_stack, and
        supersampling: a pixel is the mean of so many by so many.

        Raises ValueError when there is no such task or camera, or no GL library for `gl`.
        """
        self._task = DMC(environment, episode_limit, action_repeat)
        height, width, stack = (arguments[name] for name in ("height", "width", "frame_stack"))
        self._fine = fine = arguments["supersampling"]
        self._draw = renderer(
            self._task, arguments["renderer"], fine * height, fine * width, arguments["camera"]
        )
        self._frames: deque[np.ndarray] = deque(maxlen=stack)
        self.action = self._task.action
        self.observation_shape: tuple[int, ...] = (height, width, 3 * stack)
        self.observation_dtype: ObservationDtype = "uint8"

        self.draws = self._task.draws

    def reset(self, seed: int) -> np.ndarray:
        self._task.reset(seed)
        self._frames.extend([self._picture()] * (self._frames.maxlen or 1))
        return np.concatenate(self._frames, axis=2)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool]:
        _, reward, terminal, truncated = self._task.step(action)
        self._frames.append(self._picture())
        return np.concatenate(self._frames, axis=2), reward, terminal, truncated

    def _picture(self) -> np.ndarray:
        height, width, _ = self.observation_shape
        blocks = self._draw().reshape(height, self._fine, width, self._fine, 3)
        # In whole numbers, rounded half up: the same on every machine.
        total = blocks.sum(axis=(1, 3), dtype=np.uint32)
        count = self._fine**2
        picture: np.ndarray = ((total + count // 2) // count).astype(np.uint8)
        return picture


def renderer(
    task: DMC, name: str, height: int, width: int, camera: int
) -> Callable[[], np.ndarray]:
    """What draws the task's present state, uint8 `[height, width, 3]`, with renderer `name`.

    Raises ValueError when there is no such renderer or camera, or no GL library for `gl`.
    """
    if name == "raycast":
        caster = RayCaster(task.model, height, width, camera)
        return lambda: caster.render(task.data)
    if name != "gl":
        raise ValueError(f"unknown renderer {name!r}; known: raycast, gl")
    physics = task.environment.physics
    try:
        physics.render(height, width, camera_id=camera)
    except (ImportError, RuntimeError, mujoco.FatalError) as error:
        raise ValueError(f"renderer gl finds no OpenGL ({error}); {GL_ADVICE}") from error
    return lambda: physics.render(height, width, camera_id=camera)


def _load(environment: str) -> Any:
    """The task `environment`, "domain-task", with actions that have one lower and upper bound."""
    suite = _suite()
    domain, _, name = environment.partition("-")
    # It uploads its terrain to OpenGL at every reset.
    known = set(suite.ALL_TASKS) - {("quadruped", "escape")}
    if (domain, name) not in known:
        raise UnknownEnvironmentError("dmc", environment, map("-".join, known))
    with no_model_warnings():
        made = suite.load(domain, name, task_kwargs={"random": 0})
    bounds = made.action_spec()
    if np.unique(bounds.minimum).size > 1 or np.unique(bounds.maximum).size > 1:
        from dm_control.suite.wrappers import action_scale

        return action_scale.Wrapper(made, -1.0, 1.0)
    return made


def _suite() -> Any:
    """`dm_control.suite`, imported without looking for OpenGL unless MUJOCO_GL asks for it."""
    chosen = os.environ.get("MUJOCO_GL")
    os.environ["MUJOCO_GL"] = chosen or "disabled"  # unset, dm_control would try a window system
    try:
        from dm_control import suite
    except (ImportError, AttributeError) as error:
        raise ValueError(f"MUJOCO_GL={chosen}: no OpenGL ({error}); {GL_ADVICE}") from error
    finally:
        if chosen is None:
            del os.environ["MUJOCO_GL"]
    return suite


def _flat(observation: Mapping[str, Any]) -> np.ndarray:
    parts = [np.ravel(value) for value in observation.values()]
    return np.concatenate(parts).astype(np.float32)
