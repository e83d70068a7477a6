"""The off-policy loop: act, step, remember, learn; one step of all seeds at a time."""

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Literal, cast

import numpy as np

from suite.envs.vector import StackedEnvironments
from suite.specs.models import RunSpec
from suite.stacked.frame_replay import FrameReplay
from suite.stacked.replay import Replay
from suite.stacked.streams import State, add_prefix, take_prefix
from suite.training.learner import Learner, OffPolicyAgent
from suite.training.returns import Returns

# Learn calls between checks that all parameters are finite.
CHECK_EVERY = 100


class OffPolicyLoop:
    """Trains off-policy agents (DQN, TD3, SAC) on S environments, one a seed.

    Step t (from 0) acts, stores the transition and, from `warmup_steps` on, learns once every
    `update_every` steps (sfujim/TD3 main.py); agents with a `gradient_steps` setting learn as many
    times there, and those with a `collect_steps` setting play that many steps only and then learn
    from their replay as it is. Only a terminal end stops bootstrapping; a truncated episode's last
    value still counts.

    In a sequence of games (`steps_per_visit`) each visit starts as a run does, with its warm-up and
    exploration, an empty replay, a fresh optimiser and target; parameters, and what plug-ins keep,
    go on (NaP paper Sec. 5.3 and App. B.2, which reset the optimiser).
    """

    def __init__(
        self, run: RunSpec, seeds: Sequence[int], device: str, folders: Sequence[Path] = ()
    ) -> None:
        self.seeds = seeds
        self.step = 0
        self.total = run.budget
        self.diverged = np.zeros(len(seeds), dtype=np.bool_)
        self.environments = StackedEnvironments(run.task, seeds, "train")
        warmup = int(run.agent.settings["warmup_steps"])
        update_every = int(run.agent.settings["update_every"])
        self._warmup, self._update_every = warmup, update_every
        self._gradient_steps = int(run.agent.settings.get("gradient_steps", 1))
        self._collect = int(run.agent.settings.get("collect_steps", run.budget))
        first_update = -(-warmup // update_every) * update_every
        self._visit = 0
        self._visit_steps = int(run.task.arguments.get("steps_per_visit", run.budget))
        visits = [
            min(self._visit_steps, run.budget - start)
            for start in range(0, run.budget, self._visit_steps)
        ]
        rounds = sum(len(range(first_update, steps, update_every)) for steps in visits)
        self.learner = Learner(
            run,
            seeds,
            self.environments.observation_shape,
            self.environments.action,
            total_updates=self._gradient_steps * rounds,
            device=device,
            folders=folders,
        )
        self.agent = cast(OffPolicyAgent, self.learner.agent)
        self.series = self.learner.series
        self.seconds = self.learner.seconds
        self._batch_size = int(run.agent.settings["batch_size"])
        continuous = self.environments.action.kind == "continuous"
        self._continuous = continuous
        capacity = int(run.agent.settings["replay_capacity"])
        shape = self.environments.observation_shape
        action_shape = (self.environments.action.size,) if continuous else ()
        action_dtype: Literal["float32", "int64"] = "float32" if continuous else "int64"
        dtype = self.environments.observation_dtype
        self.replay: Replay | FrameReplay
        if dtype == "uint8":
            self.replay = FrameReplay(seeds, capacity, shape, action_shape, action_dtype, device)
        else:
            self.replay = Replay(seeds, capacity, shape, dtype, action_shape, action_dtype, device)
        self.returns = Returns(run, seeds, self.series)

    def advance(self) -> None:
        """One environment step of every seed, and a learn call when it is due."""
        started = perf_counter()
        if self.step // self._visit_steps != self._visit:
            self._enter(self.step // self._visit_steps)
        if self.step < self._collect:
            self._play()
        if self._visited >= self._warmup and self._visited % self._update_every == 0:
            for _ in range(self._gradient_steps):
                self.learner.update(self.replay.sample(self._batch_size))
                if self.agent.updates % CHECK_EVERY == 0:
                    self.diverged |= ~self.learner.finite()
        self.step += 1
        self.seconds.add("total", perf_counter() - started)

    @property
    def _visited(self) -> int:
        """Steps since the visit began; all of them, but in a sequence of games."""
        return self.step - self._visit * self._visit_steps

    def _enter(self, visit: int) -> None:
        """Begin a visit: all but parameters and plug-ins as at the start of a run."""
        self._visit = visit
        self.environments.enter(visit)
        self.returns.evaluation.enter(visit)
        assert isinstance(self.replay, Replay)
        self.replay.clear()
        for group in self.agent.groups.values():
            group.restart()

    def _play(self) -> None:
        """One environment step of every seed, remembered in the replay."""
        observation = self.environments.observation
        action = self.agent.act(observation, self._visited)
        if self._continuous and not np.isfinite(action).all():
            rows = ~np.isfinite(action).all(axis=1)
            self.diverged |= rows
            action = np.where(rows[:, None], np.float32(0), action)
        acted = perf_counter()
        following, reward, terminal, truncated, finished = self.environments.step(action)
        self.seconds.add("environment", perf_counter() - acted)
        self.returns.add(finished)
        if isinstance(self.replay, FrameReplay):
            ended = terminal | truncated
            self.replay.append(observation, action, reward, following, terminal, ended)
        else:
            self.replay.append(observation, action, reward, following, terminal)

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
            **add_prefix("replay", self.replay.state()),
            **self.returns.state(),
            "step": np.full(len(self.seeds), self.step),
        }

    def load_state(self, state: State) -> None:
        self.step = int(state["step"][0])
        # A visit begins with its first step, not with the end of the one before.
        self._visit = max(0, self.step - 1) // self._visit_steps
        if self._visit:
            self.environments.enter(self._visit)
            self.returns.evaluation.enter(self._visit)
        self.learner.load_state(take_prefix("learner", state))
        self.environments.load_state(take_prefix("environments", state))
        self.replay.load_state(take_prefix("replay", state))
        self.returns.load_state(state)
