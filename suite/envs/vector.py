"""One or several environments for each of S seeds, stepped together."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from suite.envs.episodes import EpisodeEnvironment
from suite.envs.make import make_environment
from suite.specs.models import TaskSpec
from suite.stacked.streams import State


class StackedEnvironments:
    """N = S * n_envs environments of a task that share nothing and start over by themselves.

    Seed s has the rows s * n_envs to (s + 1) * n_envs. `observation` `[N, *observation_shape]` is
    what the next actions answer to; it is a new array after every step, so readers may keep it.
    """

    def __init__(self, task: TaskSpec, seeds: Sequence[int], purpose: str, n_envs: int = 1) -> None:
        """`purpose` names the seeds' episodes: `train` or `evaluation/<number>`; those of a seed's
        environment e > 0 are named `<purpose>/<e>`."""
        self._n_envs = n_envs
        self._episodes = [
            EpisodeEnvironment(make_environment(task), seed, f"{purpose}/{e}" if e else purpose)
            for seed in seeds
            for e in range(n_envs)
        ]
        environment = self._episodes[0].environment
        self.observation_shape = environment.observation_shape
        self.observation_dtype = environment.observation_dtype
        self.action = environment.action
        self.observation = np.stack([episode.observation for episode in self._episodes])

    def enter(self, visit: int) -> None:
        """Leave the running episodes for the game of a visit, in environments that are a sequence
        of games."""
        for episode in self._episodes:
            episode.environment.enter(visit)  # type: ignore[attr-defined]
            episode.start(episode.episode + 1)
        self.observation = np.stack([episode.observation for episode in self._episodes])

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, list[float | None]]:
        """Step every environment with its row of `actions` `[N, *action_shape]`.

        Returns the observation before any start-over `[N, *]`, reward `[N]` float32, terminal `[N]`
        bool, truncated `[N]` bool, and for each one the return of the episode that ended with this
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
        """`episode` `[S]` int64 and `actions`, the actions of each seed's running episode; those of
        environment e > 0 as `episode/<e>` and `actions/<e>`."""
        state: State = {}
        for e in range(self._n_envs):
            suffix, episodes = f"/{e}" if e else "", self._episodes[e :: self._n_envs]
            actions: list[Any] = [episode.actions() for episode in episodes]
            state[f"episode{suffix}"] = np.array([x.episode for x in episodes], dtype=np.int64)
            state[f"actions{suffix}"] = actions
        return state

    def load_state(self, state: State) -> None:
        """Bring every environment to where `state` was taken, by playing its episode again."""
        for i, episode in enumerate(self._episodes):
            seed, e = divmod(i, self._n_envs)
            suffix = f"/{e}" if e else ""
            number, actions = state[f"episode{suffix}"][seed], state[f"actions{suffix}"][seed]
            episode.restore(int(number), list(actions))
        self.observation = np.stack([episode.observation for episode in self._episodes])
