"""Running statistics of each seed, and observations and rewards normalised by them."""

from collections.abc import Sequence

import numpy as np

from suite.stacked.streams import State, add_prefix, take_prefix


class RunningMoments:
    """Mean and variance [S, *shape] of all that a seed has seen, in float64.

    Starts as 1e-4 observations of mean 0 and variance 1 (Stable-Baselines3's RunningMeanStd).
    """

    def __init__(self, count: int, shape: Sequence[int]) -> None:
        self.mean = np.zeros((count, *shape))
        self.variance = np.ones((count, *shape))
        self.seen = 1e-4

    def update(self, values: np.ndarray) -> None:
        """Take in B values per seed, [S, B, *shape] (parallel variances, Chan et al. 1979)."""
        batch = values.shape[1]
        wide = values.astype(np.float64)
        mean = wide.mean(axis=1)
        total = self.seen + batch
        difference = mean - self.mean
        squares = self.variance * self.seen + difference**2 * (self.seen * batch / total)
        if batch > 1:
            squares += ((wide - mean[:, None]) ** 2).sum(axis=1)
        self.variance = squares / total
        self.mean = self.mean + difference * (batch / total)
        self.seen = total

    def state(self) -> State:
        """Mean, variance and the number of values seen."""
        seen = np.full(len(self.mean), self.seen)
        return {"mean": self.mean, "variance": self.variance, "seen": seen}

    def load_state(self, state: State) -> None:
        """Continue from what `state` returned."""
        self.mean = np.array(state["mean"])
        self.variance = np.array(state["variance"])
        self.seen = float(state["seen"][0])


class Normaliser:
    """Observations and rewards on a scale of 1, for each seed (Stable-Baselines3's VecNormalize).

    Observations lose their running mean and are divided by their running std; rewards are divided
    by the running std of the discounted return. Both are then clipped. What is switched off
    passes unchanged.
    """

    BOUND = 10.0
    EPSILON = 1e-8

    def __init__(
        self,
        count: int,
        n_envs: int,
        observation_shape: tuple[int, ...],
        discount: float,
        observations: bool,
        rewards: bool,
    ) -> None:
        self.discount = discount
        self.observations = RunningMoments(count, observation_shape) if observations else None
        self.returns = RunningMoments(count, ()) if rewards else None
        self.discounted_return = np.zeros((count, n_envs))

    def observe(self, observations: np.ndarray) -> np.ndarray:
        """Take new observations [S, n_envs, *shape] in; returns them normalised."""
        if self.observations is not None:
            self.observations.update(observations)
        return self.normalised(observations)

    def normalised(self, observations: np.ndarray) -> np.ndarray:
        """Observations [S, B, *shape] normalised, float32."""
        if self.observations is None:
            return observations.astype(np.float32)
        mean = self.observations.mean[:, None]
        std = np.sqrt(self.observations.variance[:, None] + self.EPSILON)
        return np.clip((observations - mean) / std, -self.BOUND, self.BOUND).astype(np.float32)

    def reward(self, reward: np.ndarray, ended: np.ndarray) -> np.ndarray:
        """Take a step's rewards [S, n_envs] in, and which episodes ended; returns them scaled."""
        if self.returns is None:
            return reward
        self.discounted_return = self.discounted_return * self.discount + reward
        self.returns.update(self.discounted_return)
        self.discounted_return[ended] = 0.0
        return self.scaled(reward)

    def scaled(self, reward: np.ndarray) -> np.ndarray:
        """Rewards [S, n_envs] scaled by what was seen so far."""
        if self.returns is None:
            return reward
        std = np.sqrt(self.returns.variance[:, None] + self.EPSILON)
        return np.clip(reward / std, -self.BOUND, self.BOUND).astype(np.float32)

    def state(self) -> State:
        """The running moments, and the discounted returns [S, n_envs]."""
        state: State = {"discounted_return": self.discounted_return.copy()}
        if self.observations is not None:
            state |= add_prefix("observations", self.observations.state())
        if self.returns is not None:
            state |= add_prefix("returns", self.returns.state())
        return state

    def load_state(self, state: State) -> None:
        """Continue from what `state` returned."""
        self.discounted_return = np.array(state["discounted_return"])
        if self.observations is not None:
            self.observations.load_state(take_prefix("observations", state))
        if self.returns is not None:
            self.returns.load_state(take_prefix("returns", state))
