"""What a loss is looked at on at a checkpoint: precise batches and such as training has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from baselines.ppo import ADVANTAGE_EPSILON
from suite.analysis.derivatives import chunks, samples
from suite.analysis.fresh_data import FreshReplay, environments_for, fresh_rollout
from suite.analysis.recorded import RecordedRun
from suite.specs.models import TaskSpec
from suite.stacked.rollout import RolloutBatch
from suite.stacked.streams import SeedStreams

if TYPE_CHECKING:
    from suite.training.learner import LearningAgent, OffPolicyAgent, OnPolicyAgent

LEGACY_GAE = {"discount": 0.99, "gae_lambda": 1.0}  # defaults of SB3 1.8.0's RolloutBuffer


@dataclass(frozen=True)
class CheckpointData:
    """Batches [1, B, ...] at a checkpoint.

    `precise`: many samples. Where estimates are asked for, `independent`: as many others;
    `batches`: mini-batches; `estimate`: these as one; `others`: mini-batches of other samples.
    `legacy_batches`, `legacy_estimate`: the samples of the mini-batches with advantages as the
    authors' code computes them there.
    """

    precise: Any
    independent: Any = None
    batches: list[Any] = field(default_factory=list)
    estimate: Any = None
    others: list[Any] = field(default_factory=list)
    legacy_batches: list[Any] = field(default_factory=list)
    legacy_estimate: Any = None


class OnPolicyData:
    """Fresh rollouts of the policy at a checkpoint; with `estimates`, a rollout of training's size
    makes the mini-batches, each with normalised advantages."""

    def __init__(
        self, task: TaskSpec, purpose: str, precise: int, estimates: bool, legacy: bool
    ) -> None:
        self._task, self._purpose, self._precise = task, purpose, precise
        self._estimates, self._legacy = estimates, legacy

    def at(self, agent: LearningAgent, step: int) -> CheckpointData:
        """The data at the checkpoint of this step."""
        acting = cast("OnPolicyAgent", agent)
        precise = self._many(acting, f"precise/{step}")
        if not self._estimates:
            return CheckpointData(precise)
        independent = self._many(acting, f"independent/{step}")
        batches, estimate = self._as_in_training(acting, f"estimate/{step}")
        others, _ = self._as_in_training(acting, f"held_out/{step}")
        data = CheckpointData(precise, independent, batches, estimate, others)
        if not self._legacy:
            return data
        own = acting.settings
        acting.settings = own.model_copy(update=LEGACY_GAE)
        try:
            batches, estimate = self._as_in_training(acting, f"estimate/{step}")
        finally:
            acting.settings = own
        return replace(data, legacy_batches=batches, legacy_estimate=estimate)

    def _many(self, agent: OnPolicyAgent, name: str) -> RolloutBatch:
        n_envs = environments_for(self._task, self._precise)
        purpose = f"{self._purpose}/{name}"
        whole = fresh_rollout(agent, self._task, purpose, self._precise, n_envs)
        return whole.normalised(ADVANTAGE_EPSILON)

    def _as_in_training(
        self, agent: OnPolicyAgent, name: str
    ) -> tuple[list[RolloutBatch], RolloutBatch]:
        purpose, s = f"{self._purpose}/{name}", agent.settings
        whole = fresh_rollout(agent, self._task, purpose, s.n_steps * s.n_envs, s.n_envs)
        order = SeedStreams(agent.seeds, f"{purpose}/shuffle").permutation(samples(whole))
        batches = whole.shuffled(order, s.batch_size)
        normalised = [batch.normalised(ADVANTAGE_EPSILON) for batch in batches]
        return normalised, whole.normalised(ADVANTAGE_EPSILON)


class OffPolicyData:
    """Draws from a replay as the run's would be at a checkpoint, and with an `estimate` from a
    second one; `spacing` steps lie between checkpoints."""

    def __init__(
        self,
        agent: LearningAgent,
        task: TaskSpec,
        purpose: str,
        spacing: int,
        precise: int,
        estimate: int,
    ) -> None:
        self._purpose, self._precise, self._estimate = purpose, precise, estimate
        self._replays = [
            FreshReplay(
                cast("OffPolicyAgent", agent), task, f"{purpose}/{name}", min(precise, spacing)
            )
            for name in (("precise", "independent") if estimate else ("precise",))
        ]

    def at(self, agent: LearningAgent, step: int) -> CheckpointData:
        """The data at the checkpoint of this step, the next one."""
        for replay in self._replays:
            replay.extend(cast("OffPolicyAgent", agent), step)
        first, *others = self._replays
        precise = first.sample(self._precise, f"{self._purpose}/precise/{step}")
        if not others:
            return CheckpointData(precise)
        (second,) = others
        size = agent.settings.batch_size
        count = max(1, self._estimate // size) * size
        estimate = first.sample(count, f"{self._purpose}/estimate/{step}")
        held_out = second.sample(count, f"{self._purpose}/held_out/{step}")
        return CheckpointData(
            precise,
            second.sample(self._precise, f"{self._purpose}/independent/{step}"),
            [batch for batch, _ in chunks(estimate, size)],
            estimate,
            [batch for batch, _ in chunks(held_out, size)],
        )


def data_source(
    agent: LearningAgent,
    task: TaskSpec,
    purpose: str,
    *,
    spacing: int,
    precise: int,
    estimate: int,
    legacy: bool,
) -> OnPolicyData | OffPolicyData:
    """Where data for an agent come from; without an `estimate`, precise ones alone.

    Raises ValueError for an agent that does not act, or that sees pixels.
    """
    match agent.loop:
        case "on_policy":
            return OnPolicyData(task, purpose, precise, bool(estimate), legacy)
        case "off_policy":
            return OffPolicyData(agent, task, purpose, spacing, precise, estimate)
    raise ValueError(f"an agent of loop {agent.loop!r} does not act: it has no data of its own")


def checkpoints_with_data(
    run: RecordedRun, purpose: str, *, every: int, precise: int, estimate: int, legacy: bool = False
) -> Iterator[tuple[int, LearningAgent, CheckpointData]]:
    """Every recorded checkpoint with its data: the step, the agent, the data, precise ones alone
    where `estimate`, the samples of off-policy mini-batches together, is 0. It ends where
    parameters stop being finite. Raises ValueError as `data_source` does."""
    source = None
    for step, agent in run.agents(every=every):
        if not all(bool(g.parameters.flat.isfinite().all()) for g in agent.groups.values()):
            return
        source = source or data_source(
            agent,
            run.spec.task,
            purpose,
            spacing=every * run.spec.evaluate_every,
            precise=precise,
            estimate=estimate,
            legacy=legacy,
        )
        yield step, agent, source.at(agent, step)
