"""Returns of a run: of the greedy policy at evaluations, and of training in between."""

from collections.abc import Callable, Sequence

import numpy as np

from suite.specs.models import RunSpec
from suite.stacked.streams import State
from suite.training.evaluation import Evaluation
from suite.training.series import Series


class Returns:
    """Records `return`, the greedy policy's mean over an evaluation's episodes, and
    `train_return`, the mean over training episodes that ended since the evaluation before."""

    def __init__(self, run: RunSpec, seeds: Sequence[int], series: Series) -> None:
        self.evaluation = Evaluation(run.task, seeds, run.evaluation_episodes)
        self._series = series
        self._evaluations = 0
        # Training episodes that ended since the last evaluation: sum of returns, and how many.
        self._sum = np.zeros(len(seeds))
        self.ended = np.zeros(len(seeds), dtype=np.int64)

    def add(self, finished: Sequence[float | None]) -> None:
        """Returns of training episodes that ended with a step, None where none did: of S
        environments, or of S * n_envs, seed by seed."""
        n_envs = len(finished) // len(self._sum)
        for row, episode_return in enumerate(finished):
            if episode_return is not None:
                self._sum[row // n_envs] += episode_return
                self.ended[row // n_envs] += 1

    def evaluate(self, step: int, greedy: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Record both at environment step `step`; whether the greedy return is finite, [S].

        `greedy` maps observations `[S, E, *observation_shape]` to actions `[S, E, ...]`.
        """
        finite = np.ones(len(self._sum), dtype=np.bool_)
        if self.evaluation.episodes:
            mean = self.evaluation.returns(greedy, self._evaluations).mean(axis=1)
            finite = np.isfinite(mean)
            self._series.append(step, {"return": mean})
        self._evaluations += 1
        for i in np.flatnonzero(self.ended).tolist():
            self._series.append_one(i, step, "train_return", float(self._sum[i] / self.ended[i]))
        self._sum[:] = 0.0
        self.ended[:] = 0
        return finite

    def state(self) -> State:
        return {
            "evaluations": np.full(len(self._sum), self._evaluations),
            "return_sum": self._sum.copy(),
            "return_count": self.ended.copy(),
        }

    def load_state(self, state: State) -> None:
        self._evaluations = int(state["evaluations"][0])
        self._sum = np.asarray(state["return_sum"]).copy()
        self.ended = np.asarray(state["return_count"]).copy()
