"""Data that an analysis collects itself, from environments and random streams of its own.

An agent lends its policy and its statistics and is left as it was.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from suite.envs.vector import StackedEnvironments
from suite.specs.models import TaskSpec
from suite.stacked.replay import Batch, Replay
from suite.stacked.rollout import Rollout, RolloutBatch
from suite.stacked.streams import SeedStreams

if TYPE_CHECKING:
    from suite.training.learner import LearningAgent, OffPolicyAgent, OnPolicyAgent

MOST_ENVIRONMENTS = 16


def environments_for(task: TaskSpec, steps: int) -> int:
    """How many environments share `steps` steps so that each can play a whole episode."""
    limit = task.episode_limit or steps
    return max(1, min(MOST_ENVIRONMENTS, steps // limit))


def fresh_rollout(
    agent: OnPolicyAgent, task: TaskSpec, purpose: str, steps: int, n_envs: int
) -> RolloutBatch:
    """At least `steps` steps of an on-policy agent, B of them a seed, a multiple of `n_envs`.

    As the agent's own rollouts, with advantages and value targets at its settings, but with frozen
    statistics. The last values are bootstrapped where an episode goes on.
    """
    environments = StackedEnvironments(task, agent.seeds, purpose, n_envs)
    continuous = environments.action.kind == "continuous"
    count = len(agent.seeds)
    rollout = Rollout(
        count,
        -(-steps // n_envs),
        n_envs,
        environments.observation_shape,
        (environments.action.size,) if continuous else (),
        "float32" if continuous else "int64",
    )

    def seeds(rows: np.ndarray) -> np.ndarray:
        return rows.reshape(count, n_envs, *rows.shape[1:])

    normaliser = agent.normaliser
    observation = normaliser.normalised(seeds(environments.observation))
    with drawing_for(agent, purpose):
        while not rollout.full:
            action = agent.act(observation)
            taken = agent.to_environment(action).reshape(-1, *action.shape[2:])
            following, reward, terminal, truncated, _ = environments.step(taken)
            scaled = normaliser.scaled(seeds(reward))
            if truncated.any():
                last = normaliser.normalised(seeds(following))
                scaled = agent.bootstrapped(scaled, last, seeds(truncated))
            rollout.append(observation, action, scaled, seeds(terminal | truncated))
            observation = normaliser.normalised(seeds(environments.observation))
    return agent.whole(rollout, observation)


class FreshReplay:
    """Transitions of one seed as an off-policy agent's replay would hold them.

    The steps from one checkpoint to the next are played by the later one's policy, as it explores
    at these steps, `steps` of them. Before any step a replay is empty: first actions stand for it.
    Checkpoints lie in equal distances: the replay holds as many stretches as the agent's does.
    """

    def __init__(self, agent: OffPolicyAgent, task: TaskSpec, purpose: str, steps: int) -> None:
        self._task, self._purpose, self._steps = task, purpose, steps
        self._before = 0
        self._replay = self._empty(agent, 1)

    def extend(self, agent: OffPolicyAgent, step: int) -> None:
        """Play the steps up to the checkpoint of this step."""
        purpose = f"{self._purpose}/{step}"
        if self._before == 0:
            held = max(1.0, agent.settings.replay_capacity / step) if step else 1.0
            self._replay = self._empty(agent, math.ceil(self._steps * held))
        environments = StackedEnvironments(self._task, agent.seeds, purpose)
        with drawing_for(agent, purpose):
            for number in range(self._steps):
                observation = environments.observation
                at = self._before + number * (step - self._before) // self._steps
                action = agent.act(observation, at)
                following, reward, terminal, _, _ = environments.step(action)
                self._replay.append(observation, action, reward, following, terminal)
        self._before = step

    def sample(self, size: int, purpose: str) -> Batch:
        """`size` transitions [1, size, ...] drawn with replacement, each with noise."""
        seeds = self._replay.seeds
        self._replay.streams = SeedStreams(seeds, f"{purpose}/replay")
        return self._replay.sample(size).with_noise(SeedStreams(seeds, f"{purpose}/noise"))

    def _empty(self, agent: OffPolicyAgent, capacity: int) -> Replay:
        environment = StackedEnvironments(self._task, agent.seeds, self._purpose)
        continuous = environment.action.kind == "continuous"
        dtype = environment.observation_dtype
        if dtype == "uint8":
            raise ValueError("agents that learn from pixels have no such replay")
        return Replay(
            agent.seeds,
            capacity,
            environment.observation_shape,
            dtype,
            (environment.action.size,) if continuous else (),
            "float32" if continuous else "int64",
            agent.device,
        )


@contextmanager
def drawing_for(agent: LearningAgent, purpose: str) -> Iterator[None]:
    """The agent draws from streams of this purpose; afterwards it has its own again, untouched."""
    own = agent.streams
    agent.streams = {name: SeedStreams(agent.seeds, f"{purpose}/{name}") for name in own}
    try:
        yield
    finally:
        agent.streams = own
