"""Seeded episodes of one environment, restorable at any step.

A checkpoint of an environment is the number of the running episode and the actions taken in it:
the episode is played again from its seed. That is exact for any deterministic simulator and needs
none of its internals (MuJoCo's solver warm start, a game's private generator).
"""

from typing import Any

import numpy as np

from suite.envs.protocol import Environment
from suite.stacked.streams import stream


def episode_seed(seed: int, purpose: str, episode: int) -> int:
    """Seed of an episode, 0 to 2**31 - 1. `purpose` is `train` or `evaluation/<number>`."""
    return int(stream(seed, f"env/{purpose}/{episode}").integers(2**31))


class EpisodeEnvironment:
    """One environment that runs the seeded episodes of one seed and purpose one after the other.

    `observation` is what the next action answers to, `episode` the number of the running episode,
    `episode_return` its return so far.
    """

    def __init__(self, environment: Environment, seed: int, purpose: str) -> None:
        self.environment = environment
        self.seed = seed
        self.purpose = purpose
        self.start(0)

    def start(self, episode: int) -> None:
        """Leave the running episode and start `episode`."""
        self.episode = episode
        self.episode_return = 0.0
        self._actions: list[Any] = []
        self.observation = self.environment.reset(episode_seed(self.seed, self.purpose, episode))

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool]:
        """One step of the running episode: observation, reward, terminal, truncated.

        `action` is a numpy array or scalar. After an end, call `start` before the next step.
        """
        # A copy: the caller may reuse the buffer that `action` is a view of.
        self._actions.append(action.copy())
        outcome = self.environment.step(action)
        self.observation = outcome[0]
        self.episode_return += outcome[1]
        return outcome

    def actions(self) -> list[Any]:
        """Actions of the running episode as JSON-able values that `restore` reads back exactly."""
        return [action.tolist() for action in self._actions]

    def restore(self, episode: int, actions: list[Any]) -> None:
        """Start `episode` and play `actions` (as `actions()` gave them) again."""
        self.start(episode)
        dtype = np.float32 if self.environment.action.kind == "continuous" else np.int64
        for action in actions:
            self.step(np.asarray(action, dtype=dtype))
