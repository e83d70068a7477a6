"""MuJoCo tasks through Gymnasium's `-v5` environments.

The time limit is counted here, not by Gymnasium's `TimeLimit`, so that an end by the task's rules
and an end by the limit stay apart. A task's arguments can restore the transitions of
`-v4` (model file, contact terms), except the alive bonus of a terminal step, which `-v5` drops.
"""

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import load_env_creator

from suite.envs.model_warnings import no_model_warnings
from suite.envs.protocol import ObservationDtype, UnknownEnvironmentError
from suite.envs.raycast import RayCaster
from suite.envs.versions import VERSIONS
from suite.stacked.spaces import ActionSpec


class MuJoCo:
    """Adapter over `gymnasium.make(environment, **arguments)`; observations are float32."""

    VERSION = VERSIONS["mujoco"]

    def __init__(
        self, environment: str, arguments: Mapping[str, Any], episode_limit: int | None
    ) -> None:
        """`episode_limit` in steps; None: no limit.

        Raises ValueError when there is no such MuJoCo environment or it refuses an argument.
        """
        self._environment = _make(environment, arguments)
        self._limit = episode_limit
        self._steps = 0
        self.observation_shape: tuple[int, ...] = self._environment.observation_space.shape
        self.observation_dtype: ObservationDtype = "float32"
        bounds = self._environment.action_space
        low, high = float(bounds.low[0]), float(bounds.high[0])
        if not ((bounds.low == low).all() and (bounds.high == high).all()):
            raise ValueError(
                f"{environment}: action bounds {bounds.low} to {bounds.high} differ between"
                " dimensions; an action has one lower and one upper bound here"
            )
        self.action = ActionSpec("continuous", bounds.shape[0], low, high)

    def reset(self, seed: int) -> np.ndarray:
        self._steps = 0
        observation, _ = self._environment.reset(seed=seed)
        return observation.astype(np.float32)  # type: ignore[no-any-return]

    def draws(self, name: str, height: int, width: int, camera: int) -> Callable[[], np.ndarray]:
        """What draws the present state, uint8 `[height, width, 3]`; models without camera freely.

        Raises ValueError for another renderer than `raycast`, or when there is no such camera.
        """
        if name != "raycast":
            raise ValueError(f"renderer {name!r} does not draw Gymnasium's tasks; use raycast")
        model, data = self._environment.model, self._environment.data
        caster = RayCaster(model, height, width, camera if model.ncam else -1)
        return lambda: caster.render(data)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool]:
        observation, reward, terminal, _, _ = self._environment.step(action)
        self._steps += 1
        truncated = self._steps == self._limit and not terminal
        return observation.astype(np.float32), float(reward), bool(terminal), truncated


def constructor(environment: str) -> Any:
    """The class of a `-v5` MuJoCo environment of Gymnasium.

    Raises UnknownEnvironmentError when there is none of this name.
    """
    known: dict[str, Any] = {
        name: spec.entry_point
        for name, spec in gymnasium.registry.items()
        if name.endswith("-v5") and str(spec.entry_point).startswith("gymnasium.envs.mujoco.")
    }
    if environment not in known:
        raise UnknownEnvironmentError("mujoco", environment, known)
    return load_env_creator(known[environment])


def _make(environment: str, arguments: Mapping[str, Any]) -> Any:
    constructor(environment)
    try:
        with no_model_warnings():
            made = gymnasium.make(environment, disable_env_checker=True, **arguments).unwrapped
    except (gymnasium.error.Error, TypeError, ValueError, OSError) as error:
        raise ValueError(
            f"MuJoCo task {environment!r} with arguments {dict(arguments)} cannot be built:"
            f" {error}. Give it arguments that it knows"
        ) from error
    return made
