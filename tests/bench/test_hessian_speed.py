"""Eigenpairs of Hessians against scipy's Lanczos over plain double-backward products and over
curvlinops: the same network, data, k and tolerance, in turn, in one process with one thread.

Whole searches take turns, timed in CPU seconds of the process. Every side is held to the residuals
of its own pairs, over their eigenvalues, by products in float64.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from plain_products import PlainLoss, curvlinops_operator, double_backward, ppo_actor, sac_critic
from scipy.sparse.linalg import LinearOperator, eigsh
from timings import trained
from torch import Tensor
from workers import planned_run

from baselines.ppo import ADVANTAGE_EPSILON
from suite.analysis.curvature import Hessian, hessian_of
from suite.analysis.derivatives import Loss
from suite.analysis.eigenpairs import block_lanczos
from suite.analysis.fresh_data import FreshReplay, environments_for, fresh_rollout
from suite.stacked.parameters import ParameterGroup

pytestmark = pytest.mark.bench

PAIRS, TOLERANCE = 100, 1e-4
TURNS = 2
PURPOSE = "bench/curvature"
CHUNKS = (1024, 4096, 2**20)  # of curvlinops' data; the last takes them whole
Pairs = tuple[Tensor, Tensor]  # eigenvalues [k] and unit eigenvectors [G, n, k]


@dataclass(frozen=True)
class Case:
    """A group's loss on a batch, and the same in plain PyTorch."""

    group: ParameterGroup
    loss: Loss
    batch: Any
    plain: PlainLoss


@pytest.fixture(scope="module")
def ppo() -> Case:
    """The actor of 64 tanh units after 50 000 steps, on 20 000 samples."""
    run = planned_run("pendulum--ppo-32--none", preset="ppo-sb3-default", budget=1_000_000)
    agent = trained(run, 1, 50_000)[0].learner.agent
    n_envs = environments_for(run.task, 20_000)
    batch = fresh_rollout(agent, run.task, PURPOSE, 20_000, n_envs).normalised(ADVANTAGE_EPSILON)
    return Case(agent.groups["actor"], agent.actor_loss, batch, ppo_actor(agent, batch))


@pytest.fixture(scope="module")
def sac() -> Case:
    """The critics of 256 ReLU units after 3 000 updates, on 10 000 samples."""
    run = planned_run("pendulum--sac-32--none", preset="sac-default", budget=1_000_000)
    steps = 3_000 + run.agent.settings["warmup_steps"]
    agent = trained(run, 1, steps)[0].learner.agent
    replay = FreshReplay(agent, run.task, PURPOSE, steps)
    replay.extend(agent, steps)
    batch = replay.sample(10_000, PURPOSE)
    return Case(agent.groups["critic"], agent.losses()["critic"], batch, sac_critic(agent, batch))


@pytest.fixture(params=["ppo", "sac"])
def case(request: pytest.FixtureRequest) -> Case:
    return request.getfixturevalue(request.param)


def test_plain_products_are_those_of_the_suite(case: Case) -> None:
    hessian = hessian_of(case.group, case.loss, case.batch, torch.float64)
    vectors = torch.randn(hessian.networks, hessian.size, 2, generator=torch.manual_seed(0))
    expected = hessian.products(vectors.double()).flatten(0, 1)[case.plain.places]
    given = vectors.flatten(0, 1)[case.plain.places].numpy()
    for operator in (double_backward(case.plain), curvlinops_operator(case.plain, 4096)):
        found = np.stack([operator.matvec(column) for column in given.T], axis=1)
        error = np.linalg.norm(found - expected.numpy()) / np.linalg.norm(expected)
        assert error < 1e-4


def test_eigenpairs_come_three_times_faster_than_by_double_backward(
    case: Case, request: pytest.FixtureRequest, tell: Callable[[str], None]
) -> None:
    """And not slower than by curvlinops."""
    name = request.node.callspec.params["case"]
    chunk = _fastest_chunk(case.plain)
    sides: dict[str, Callable[[], Pairs]] = {
        "ours": lambda: _ours(case),
        "double backward": lambda: _arpack(case.plain, double_backward(case.plain)),
        "curvlinops": lambda: _arpack(case.plain, curvlinops_operator(case.plain, chunk)),
    }
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    pairs: dict[str, Pairs] = {}
    for turn in range(TURNS):
        for side in list(sides)[:: 1 if turn % 2 else -1]:
            started = time.process_time()
            pairs[side] = sides[side]()
            seconds[side].append(time.process_time() - started)
    residuals = _residuals(case, pairs)
    for side, took in seconds.items():
        tell(
            f"{name}, {PAIRS} eigenpairs, {side}: {min(took):.1f} s ({len(took)} turns, up to "
            f"{max(took):.1f}), largest residual {residuals[side]:.1e}"
        )
    ratios = {side: _ratio(seconds[side], seconds["ours"]) for side in sides if side != "ours"}
    tell(f"{name}: " + ", ".join(f"{x:.2f} x {side}" for side, x in ratios.items()))
    largest = pairs["ours"][0][0]
    for side in ratios:
        torch.testing.assert_close(
            pairs["ours"][0], pairs[side][0], rtol=10 * TOLERANCE, atol=float(1e-6 * largest)
        )
        assert residuals["ours"] <= max(TOLERANCE, 1.1 * residuals[side])
    assert ratios["double backward"] >= 3
    assert ratios["curvlinops"] >= 1


def _ratio(theirs: list[float], ours: list[float]) -> float:
    """The median over turns."""
    return float(np.median(np.divide(theirs, ours)))


def _ours(case: Case) -> Pairs:
    hessian = hessian_of(case.group, case.loss, case.batch)
    found = block_lanczos(hessian, PAIRS, ("algebraic",), TOLERANCE)["algebraic"]
    return found.values, found.vectors


def _arpack(plain: PlainLoss, operator: LinearOperator) -> Pairs:
    """As the paper's authors do."""
    start = np.random.default_rng(0).standard_normal(operator.shape[0]).astype(np.float32)
    values, vectors = eigsh(operator, PAIRS, which="LA", tol=TOLERANCE, v0=start)
    placed = np.empty_like(vectors)
    placed[plain.places] = vectors
    order = np.argsort(-values)
    return torch.from_numpy(values[order]).double(), torch.from_numpy(placed[:, order])


def _residuals(case: Case, pairs: Mapping[str, Pairs]) -> dict[str, float]:
    """The largest residual of each side's pairs over their eigenvalues, by exact products."""
    hessian = hessian_of(case.group, case.loss, case.batch, torch.float64)
    return {side: _largest_residual(hessian, *found) for side, found in pairs.items()}


def _largest_residual(hessian: Hessian, values: Tensor, vectors: Tensor) -> float:
    blocks = vectors.double().reshape(hessian.networks, hessian.size, -1)
    missed = hessian.products(blocks) - blocks * values
    relative = missed.flatten(0, 1).norm(dim=0) / values.abs() / blocks.flatten(0, 1).norm(dim=0)
    return float(relative.max())


def _fastest_chunk(plain: PlainLoss) -> int:
    def seconds(chunk: int) -> float:
        operator = curvlinops_operator(plain, chunk)
        vector = np.ones(operator.shape[0], np.float32)
        operator.matvec(vector)
        started = time.process_time()
        for _ in range(3):
            operator.matvec(vector)
        return time.process_time() - started

    return min(CHUNKS, key=seconds)
