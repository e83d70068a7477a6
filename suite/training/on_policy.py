"""The on-policy loop: fill a rollout, learn from it, forget it; all seeds at a time."""

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import cast

import numpy as np

from suite.envs.vector import StackedEnvironments
from suite.specs.models import RunSpec
from suite.stacked.rollout import Rollout
from suite.stacked.streams import State, add_prefix, take_prefix
from suite.training.learner import Learner, OnPolicyAgent
from suite.training.returns import Returns


class OnPolicyLoop:
    """Trains on-policy agents (PPO) on S * n_envs environments.

    `step` counts a seed's environment steps, `n_envs` for each step of all environments. A learn
    call is one optimiser step; a full rollout is followed by all learn calls on it. Steps that fill
    no rollout at the end of the budget are not learned from.

    Raises ValueError when the budget or the evaluations fall between two steps.
    """

    def __init__(
        self, run: RunSpec, seeds: Sequence[int], device: str, folders: Sequence[Path] = ()
    ) -> None:
        self.seeds = seeds
        self.step = 0
        self.total = run.budget
        self.diverged = np.zeros(len(seeds), dtype=np.bool_)
        settings = run.agent.settings
        self._n_envs = int(settings["n_envs"])
        for name, value in (("budget", run.budget), ("evaluate_every", run.evaluate_every)):
            if value % self._n_envs:
                raise ValueError(
                    f"{name} {value} is not a multiple of n_envs, {self._n_envs}: round it, or "
                    f"change n_envs of agent {run.agent.name!r}"
                )
        self.environments = StackedEnvironments(run.task, seeds, "train", self._n_envs)
        rollout_steps = int(settings["n_steps"]) * self._n_envs
        self.learner = Learner(
            run,
            seeds,
            self.environments.observation_shape,
            self.environments.action,
            total_updates=(run.budget // rollout_steps)
            * int(settings["epochs"])
            * (rollout_steps // int(settings["batch_size"])),
            device=device,
            folders=folders,
        )
        self.agent = cast(OnPolicyAgent, self.learner.agent)
        self.series, self.seconds = self.learner.series, self.learner.seconds
        self._continuous = self.environments.action.kind == "continuous"
        self.rollout = Rollout(
            len(seeds),
            int(settings["n_steps"]),
            self._n_envs,
            self.environments.observation_shape,
            (self.environments.action.size,) if self._continuous else (),
            "float32" if self._continuous else "int64",
        )
        # What the next actions answer to, normalised, [S, n_envs, *observation_shape].
        self._observation = self.agent.normaliser.observe(
            self._seeds(self.environments.observation)
        )
        self.returns = Returns(run, seeds, self.series)

    def _seeds(self, rows: np.ndarray) -> np.ndarray:
        """Rows [S * n_envs, ...] of the environments as [S, n_envs, ...]."""
        return rows.reshape(len(self.seeds), self._n_envs, *rows.shape[1:])

    def advance(self) -> None:
        """One step of every environment, and an update phase when the rollout is full."""
        started = perf_counter()
        action = self.agent.act(self._observation)
        if self._continuous and not np.isfinite(action).all():
            rows = ~np.isfinite(action).all(axis=(1, 2))
            self.diverged |= rows
            action = np.where(rows[:, None, None], np.float32(0), action)
        taken = self.agent.to_environment(action).reshape(-1, *action.shape[2:])
        acted = perf_counter()
        following, reward, terminal, truncated, finished = self.environments.step(taken)
        self.seconds.add("environment", perf_counter() - acted)
        self.returns.add(finished)
        self._remember(action, following, reward, terminal | truncated, truncated)
        self.step += self._n_envs
        if self.rollout.full:
            progress = self.step / self.total
            for batch in self.agent.batches(self.rollout, self._observation, progress):
                self.learner.update(batch)
            self.rollout.clear()
            self.diverged |= ~self.learner.finite()
        self.seconds.add("total", perf_counter() - started)

    def _remember(
        self,
        action: np.ndarray,
        following: np.ndarray,
        reward: np.ndarray,
        ended: np.ndarray,
        truncated: np.ndarray,
    ) -> None:
        """Store a step, normalised, and take in the observation that the next one answers to."""
        normaliser, before = self.agent.normaliser, self._observation
        self._observation = normaliser.observe(self._seeds(self.environments.observation))
        scaled = normaliser.reward(self._seeds(reward), self._seeds(ended))
        if truncated.any():
            last = normaliser.normalised(self._seeds(following))
            scaled = self.agent.bootstrapped(scaled, last, self._seeds(truncated))
        self.rollout.append(before, action, scaled, self._seeds(ended))

    def evaluate(self) -> None:
        """Record the greedy and the training return, plug-in diagnostics."""
        started = perf_counter()
        self.diverged |= ~self.learner.finite()
        self.diverged |= ~self.returns.evaluate(self.step, self.agent.greedy)
        self.learner.observe(self.step)
        elapsed = perf_counter() - started
        self.seconds.add("evaluation", elapsed)
        self.seconds.add("total", elapsed)

    def figures(self, i: int) -> dict[str, float | None]:
        """`return_last`: mean return of the last evaluation; and the plug-ins' figures."""
        return {"return_last": self.series.last(i, "return"), **self.learner.figures(i)}

    def files(self, i: int) -> dict[str, dict[str, np.ndarray]]:
        return self.learner.files(i)

    def begin(self) -> None:
        self.learner.begin()

    def flush(self) -> None:
        self.learner.flush()

    def state(self) -> State:
        return {
            **add_prefix("learner", self.learner.state()),
            **add_prefix("environments", self.environments.state()),
            **add_prefix("rollout", self.rollout.state()),
            **self.returns.state(),
            "step": np.full(len(self.seeds), self.step),
        }

    def load_state(self, state: State) -> None:
        self.learner.load_state(take_prefix("learner", state))
        self.environments.load_state(take_prefix("environments", state))
        self.rollout.load_state(take_prefix("rollout", state))
        # The statistics have taken it in already.
        now = self._seeds(self.environments.observation)
        self._observation = self.agent.normaliser.normalised(now)
        self.returns.load_state(state)
        self.step = int(state["step"][0])
