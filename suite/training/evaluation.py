"""Evaluation of the greedy policy in environments of its own."""

from collections.abc import Callable, Sequence

import numpy as np

from suite.envs.episodes import episode_seed
from suite.envs.make import make_environment
from suite.specs.models import TaskSpec


class Evaluation:
    """E greedy episodes for each of S seeds, all stepped in lockstep.

    Episode e of evaluation i of a seed starts from a seed that depends on these three only, and
    nothing is drawn from a training stream: evaluating changes no training bit. The policy always
    sees batches `[S, E, ...]`, so that its bits do not depend on which episodes still run.
    """

    def __init__(self, task: TaskSpec, seeds: Sequence[int], episodes: int) -> None:
        self.seeds = seeds
        self.episodes = episodes
        self._environments = [[make_environment(task) for _ in range(episodes)] for _ in seeds]

    def enter(self, visit: int) -> None:
        """Play the game of a visit from now on, in environments that are a sequence of games."""
        for environments in self._environments:
            for environment in environments:
                environment.enter(visit)  # type: ignore[attr-defined]

    def returns(self, greedy: Callable[[np.ndarray], np.ndarray], index: int) -> np.ndarray:
        """Undiscounted returns `[S, E]` float64 of evaluation number `index`.

        `greedy` maps observations `[S, E, *observation_shape]` to actions `[S, E, ...]`. The return
        of an episode whose action is not finite is NaN.
        """
        first = self._environments[0][0]
        observations = np.empty(
            (len(self.seeds), self.episodes, *first.observation_shape), first.observation_dtype
        )
        returns = np.zeros((len(self.seeds), self.episodes))
        running = [(i, e) for i in range(len(self.seeds)) for e in range(self.episodes)]
        for i, e in running:
            seed = episode_seed(self.seeds[i], f"evaluation/{index}", e)
            observations[i, e] = self._environments[i][e].reset(seed)
        while running:
            actions = greedy(observations)
            still: list[tuple[int, int]] = []
            for i, e in running:
                action = actions[i, e]
                if not np.isfinite(action).all():
                    returns[i, e] = np.nan
                    continue
                observation, reward, terminal, truncated = self._environments[i][e].step(action)
                observations[i, e] = observation
                returns[i, e] += reward
                if not (terminal or truncated):
                    still.append((i, e))
            running = still
        return returns
