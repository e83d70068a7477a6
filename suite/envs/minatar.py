"""MinAtar games (Young and Tian 2019) over `minatar.Environment`.

Only the game is used, not the package's Gymnasium wrapper: observations are booleans (row, column,
channel), stickiness starts afresh with each episode, and all six actions are offered (n, l, u, r,
d, f), as in the authors' `examples/dqn.py`.
"""

import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from suite.envs.protocol import ObservationDtype, UnknownEnvironmentError
from suite.envs.versions import VERSIONS
from suite.stacked.spaces import ActionSpec

GAMES = ("asterix", "breakout", "freeway", "seaquest", "space_invaders")
ARGUMENTS = ("sticky_action_prob", "difficulty_ramping", "idle_cutoff")

# Return below which `idle_cutoff` cuts (CHAIN's DoubleDQN on MinAtar, Seaquest).
IDLE_RETURN = 0.1


class MinAtar:
    """Adapter over one game; observations are bool `[10, 10, channels]`."""

    VERSION = VERSIONS["minatar"]

    def __init__(
        self, environment: str, arguments: Mapping[str, Any], episode_limit: int | None
    ) -> None:
        """`arguments`: `sticky_action_prob` and `difficulty_ramping` as `minatar.Environment` has
        them, and `idle_cutoff`, a number of steps: an episode whose return is below 0.1 then is
        truncated (an idle submarine in Seaquest never ends an episode).

        Raises ValueError for an unknown game or argument.
        """
        if environment not in GAMES:
            raise UnknownEnvironmentError("minatar", environment, (*GAMES, "sequence"))
        unknown = sorted(set(arguments) - set(ARGUMENTS))
        if unknown:
            raise ValueError(
                f"{environment}: unknown argument {unknown[0]!r}; known: {', '.join(ARGUMENTS)}"
            )
        passed = {name: value for name, value in arguments.items() if name != "idle_cutoff"}
        self._game = _environment_class()(environment, **passed)
        self._limit = episode_limit
        self._idle_cutoff: int | None = arguments.get("idle_cutoff")
        self._steps = 0
        self._return = 0.0
        self.observation_shape: tuple[int, ...] = tuple(self._game.state_shape())
        self.observation_dtype: ObservationDtype = "bool"
        actions = self._game.num_actions()
        self.action = ActionSpec("discrete", actions, 0.0, float(actions - 1))

    def reset(self, seed: int) -> np.ndarray:
        self._steps = 0
        self._return = 0.0
        self._game.seed(seed)  # before reset: the start state is drawn from the same generator
        self._game.last_action = 0  # reset keeps the action that stickiness would repeat
        self._game.reset()
        return self._observation()

    def step(self, action: int | np.integer[Any]) -> tuple[np.ndarray, float, bool, bool]:
        reward, terminal = self._game.act(int(action))
        self._steps += 1
        self._return += reward
        idle = self._steps == self._idle_cutoff and self._return < IDLE_RETURN
        truncated = (idle or self._steps == self._limit) and not terminal
        return self._observation(), float(reward), bool(terminal), truncated

    def _observation(self) -> np.ndarray:
        return np.array(self._game.state(), dtype=np.bool_)


class MinAtarSequence:
    """One game after the other, chosen by the visit: 0 is the first game, and after the last one
    the first comes again. Observations have the channels of the game that has most, those that a
    game lacks being empty; all games have the same six actions.
    """

    VERSION = VERSIONS["minatar"]

    def __init__(
        self, games: Sequence[str], arguments: Mapping[str, Any], episode_limit: int | None
    ) -> None:
        """`arguments` are those of every game. Raises ValueError as `MinAtar` does."""
        self._games = [MinAtar(game, arguments, episode_limit) for game in games]
        height, width = self._games[0].observation_shape[:2]
        self._channels = max(game.observation_shape[2] for game in self._games)
        self.observation_shape: tuple[int, ...] = (height, width, self._channels)
        self.observation_dtype: ObservationDtype = "bool"
        self.action = self._games[0].action
        self.enter(0)

    def enter(self, visit: int) -> None:
        """Choose the game; a reset has to follow."""
        self._game = self._games[visit % len(self._games)]

    def reset(self, seed: int) -> np.ndarray:
        return self._padded(self._game.reset(seed))

    def step(self, action: int | np.integer[Any]) -> tuple[np.ndarray, float, bool, bool]:
        observation, reward, terminal, truncated = self._game.step(action)
        return self._padded(observation), reward, terminal, truncated

    def _padded(self, observation: np.ndarray) -> np.ndarray:
        missing = self._channels - observation.shape[2]
        return np.pad(observation, ((0, 0), (0, 0), (0, missing)))


def _environment_class() -> Any:
    """`minatar.Environment`, without its display.

    The package tries to import matplotlib and seaborn for a display that is never used here and
    logs to the root logger when they are missing; both are kept away for the time of the import.
    """
    if "minatar" not in sys.modules:
        hidden = {name: sys.modules.get(name) for name in ("matplotlib", "seaborn")}
        for name in hidden:
            sys.modules[name] = None  # type: ignore[assignment]  # makes the import fail
        root = logging.getLogger()
        handler = logging.NullHandler()  # keeps logging.warning from configuring the root logger
        root.addHandler(handler)
        disabled = root.disabled
        root.disabled = True
        try:
            import minatar
        finally:
            root.disabled = disabled
            root.removeHandler(handler)
            for name, module in hidden.items():
                if module is None:
                    del sys.modules[name]
                else:
                    sys.modules[name] = module
    import minatar

    return minatar.Environment
