"""Gymnasium's classic control: Pendulum-v1. Never terminal; the limit is counted here."""

from typing import Any

import gymnasium
import numpy as np

from suite.envs.protocol import ObservationDtype, UnknownEnvironmentError
from suite.envs.versions import VERSIONS
from suite.stacked.spaces import ActionSpec


class Pendulum:
    """Adapter over `Pendulum-v1`; observations float32 `[3]`, torque within -2 and 2."""

    VERSION = VERSIONS["classic"]

    def __init__(self, environment: str, episode_limit: int | None) -> None:
        """`environment` is "Pendulum-v1"; `episode_limit` in steps; None: no limit.

        Raises UnknownEnvironmentError for another name.
        """
        if environment != "Pendulum-v1":
            raise UnknownEnvironmentError("classic", environment, ["Pendulum-v1"])
        made: Any = gymnasium.make("Pendulum-v1", disable_env_checker=True).unwrapped
        self._environment = made
        self._limit = episode_limit
        self._steps = 0
        self.observation_shape: tuple[int, ...] = (3,)
        self.observation_dtype: ObservationDtype = "float32"
        bounds = made.action_space
        self.action = ActionSpec("continuous", 1, float(bounds.low[0]), float(bounds.high[0]))

    def reset(self, seed: int) -> np.ndarray:
        self._steps = 0
        observation, _ = self._environment.reset(seed=seed)
        return observation.astype(np.float32)  # type: ignore[no-any-return]

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool]:
        observation, reward, _, _, _ = self._environment.step(action)
        self._steps += 1
        return observation.astype(np.float32), float(reward), False, self._steps == self._limit
