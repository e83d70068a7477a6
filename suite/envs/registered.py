"""Any environment of Gymnasium's registry, `Id-v0` or `module:Id-v0`, with simple spaces.

The wrappers of its registration stay, its time limit among them, which truncates as it says. Each
environment's own version is the number in its id.
"""

import functools
import importlib
import math
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import load_env_creator
from gymnasium.spaces import Box, Discrete

from suite.envs.protocol import ObservationDtype, UnknownEnvironmentError
from suite.envs.versions import VERSIONS
from suite.stacked.spaces import ActionSpec

SPACES = (
    "observations are Box of up to 3 axes or Discrete, actions are Box of floats with finite"
    " bounds or Discrete; register the environment with a wrapper that gives these"
)


class Registered:
    """Adapter over `gymnasium.make(environment, **arguments)`; observations are float32.

    Box of up to one axis: a vector. Box of two or three axes: a grid (height, width, channels),
    bytes divided by 255. Discrete observations: a vector with 1 at the value, else 0. Continuous
    actions keep their bounds where these are one pair -high, high, and are rescaled from -1 to 1
    elsewhere.
    """

    VERSION = VERSIONS["gymnasium"]

    def __init__(
        self, environment: str, arguments: Mapping[str, Any], episode_limit: int | None
    ) -> None:
        """`episode_limit` in steps, beside the limit of the registration; None: no other limit.

        Raises ValueError when there is no such environment, it cannot be built, or its spaces are
        of a kind that is not supported.
        """
        constructor(environment)
        try:
            self._environment = gymnasium.make(environment, disable_env_checker=True, **arguments)
        except Exception as error:  # a constructor of anyone's may raise anything
            raise ValueError(
                f"{environment} with arguments {dict(arguments)} cannot be built:"
                f" {type(error).__name__}: {error}"
            ) from error
        self._limit = episode_limit
        self._steps = 0
        seen: Any = self._environment.observation_space
        acted: Any = self._environment.action_space
        self._seen = seen
        self.observation_shape = _observation_shape(environment, seen)
        self.observation_dtype: ObservationDtype = "float32"
        if isinstance(acted, Discrete):
            count = int(acted.n)
            self._first = int(acted.start)
            self.action = ActionSpec("discrete", count, 0.0, float(count - 1))
            return
        bounded = isinstance(acted, Box) and np.issubdtype(acted.dtype, np.floating)
        if not bounded or not (np.isfinite(acted.low).all() and np.isfinite(acted.high).all()):
            raise ValueError(f"{environment} has actions {acted}; {SPACES}")
        self._acted = acted
        high = float(acted.high.flat[0])
        self._rescaled = not ((acted.high == high).all() and (acted.low == -high).all())
        high = 1.0 if self._rescaled else high
        self.action = ActionSpec("continuous", math.prod(acted.shape), -high, high)

    def reset(self, seed: int) -> np.ndarray:
        self._steps = 0
        observation, _ = self._environment.reset(seed=seed)
        return self._observed(observation)

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool]:
        taken = self._taken(action)
        observation, reward, terminal, truncated, _ = self._environment.step(taken)
        self._steps += 1
        ended = bool(terminal)
        limited = (bool(truncated) or self._steps == self._limit) and not ended
        return self._observed(observation), float(reward), ended, limited

    def _observed(self, observation: Any) -> np.ndarray:
        if isinstance(self._seen, Discrete):
            place = int(observation) - int(self._seen.start)
            return np.array(np.arange(self._seen.n) == place, dtype=np.float32)
        values: np.ndarray = np.array(observation, dtype=np.float32).reshape(self.observation_shape)
        scaled = self._seen.dtype == np.uint8 and values.ndim == 3
        return values / np.float32(255) if scaled else values

    def _taken(self, action: Any) -> Any:
        if self.action.kind == "discrete":
            return int(action) + self._first
        space = self._acted
        shaped: np.ndarray = np.asarray(action).reshape(space.shape)
        if self._rescaled:
            # Weights of both bounds, so that -1 and 1 give them exactly.
            share = (shaped.astype(np.float64) + 1) / 2
            shaped = np.clip((1 - share) * space.low + share * space.high, space.low, space.high)
        return shaped.astype(space.dtype)


def constructor(environment: str) -> Any:
    """The class or function that builds a registered environment, with its registered arguments.

    Raises ValueError when its module does not import, UnknownEnvironmentError for an unknown id.
    """
    module, colon, name = environment.rpartition(":")
    try:
        if colon:
            importlib.import_module(module)
        spec = gymnasium.spec(name)
        build: Any = spec.entry_point
        build = load_env_creator(build) if isinstance(build, str) else build
    except gymnasium.error.Error as error:
        if isinstance(error, gymnasium.error.DependencyNotInstalled):
            raise ValueError(f"{environment} lacks a package: {error}") from error
        raise UnknownEnvironmentError("gymnasium", environment, gymnasium.registry) from None
    except Exception as error:  # a module of anyone's may raise anything
        raise ValueError(
            f"{environment} does not import: {type(error).__name__}: {error}; install its package,"
            " or put the module's folder on PYTHONPATH"
        ) from error
    if build is None:
        raise ValueError(f"{environment} is registered for vectors of environments only")
    return functools.partial(build, **spec.kwargs)


def _observation_shape(environment: str, space: Any) -> tuple[int, ...]:
    if isinstance(space, Discrete):
        return (int(space.n),)
    if not isinstance(space, Box) or len(space.shape) > 3:
        raise ValueError(f"{environment} has observations {space}; {SPACES}")
    if len(space.shape) <= 1:
        return (math.prod(space.shape),)
    return (*space.shape, 1) if len(space.shape) == 2 else tuple(space.shape)
