"""One environment for each of S seeds, stepped together."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from suite.envs.episodes import EpisodeEnvironment
from suite.envs.make import make_environment
from suite.specs.models import TaskSpec
from suite.stacked.streams import State


class StackedEnvironments:
    """S environments of a task, one a seed, that share nothing and start over by themselves.

    `observation` `[S, *observation_shape]` is what the next actions answer to; it is a new array
    after every step, so readers may keep it.
    """

    def __init__(self, task: TaskSpec, seeds: Sequence[int], purpose: str) -> None:
        """`purpose` names the seeds' episodes: `train` or `evaluation/<number>`."""
        self._episodes = [
            EpisodeEnvironment(make_environment(task), seed, purpose) for seed in seeds
        ]
        environment = self._episodes[0].environment
        self.observation_shape = environment.observation_shape
        self.observation_dtype = environment.observation_dtype
        self.action = environment.action
        self.observation = np.stack([episode.observation for episode in self._episodes])

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, list[float | None]]:
        """Step every environment with its row of `actions` `[S, *action_shape]`.

        Returns the observation before any start-over `[S, *]`, reward `[S]` float32, terminal `[S]`
        bool, truncated `[S]` bool, and for each seed the return of the episode that ended with this
        step, or None. Environments whose episode ended are in their next episode afterwards.
        """
        count = len(self._episodes)
        following = np.empty_like(self.observation)
        rewards = np.empty(count, dtype=np.float32)
        terminals = np.zeros(count, dtype=np.bool_)
        truncations = np.zeros(count, dtype=np.bool_)
        finished: list[float | None] = [None] * count
        ended = False
        for i, episode in enumerate(self._episodes):
            following[i], rewards[i], terminal, truncated = episode.step(actions[i])
            if terminal or truncated:
                terminals[i], truncations[i] = terminal, truncated
                finished[i] = episode.episode_return
                episode.start(episode.episode + 1)
                ended = True
        self.observation = following
        if ended:
            self.observation = np.stack([episode.observation for episode in self._episodes])
        return following, rewards, terminals, truncations, finished

    def state(self) -> State:
        """`episode` `[S]` int64 and `actions`, the actions of each seed's running episode."""
        actions: list[Any] = [episode.actions() for episode in self._episodes]
        return {
            "episode": np.array([episode.episode for episode in self._episodes], dtype=np.int64),
            "actions": actions,
        }

    def load_state(self, state: State) -> None:
        """Bring every environment to where `state` was taken, by playing its episode again."""
        for i, episode in enumerate(self._episodes):
            episode.restore(int(state["episode"][i]), list(state["actions"][i]))
        self.observation = np.stack([episode.observation for episode in self._episodes])
