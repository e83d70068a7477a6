"""PPTB at the paper's size for MuJoCo: 2000 snapshots of TD3's 72 thousand parameters.

The path is a real one: the file that SUITE_POLICY_PATH names (the path recorder's npz, or any with
one array [n, m] or [S, n, m]), else TD3 trained on HalfCheetah here, about two minutes.
"""

import os
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from baselines.td3 import TD3
from suite.envs.vector import StackedEnvironments
from suite.plugins.path_window import PathWindow
from suite.specs.models import TaskSpec
from suite.stacked.replay import Replay

from .conftest import TD3_SETTINGS

pytestmark = pytest.mark.long

SNAPSHOTS = 2000
OFFICIAL = TD3_SETTINGS | {
    "warmup_steps": 1000,
    "batch_size": 256,
    "hidden_units": 256,
    "actor_learning_rate": 3e-4,
    "critic_learning_rate": 3e-4,
}


class HalfCheetah:
    """TD3 in training, one seed; `advance` is one environment step with its learn call."""

    def __init__(self) -> None:
        task = TaskSpec(
            name="halfcheetah", family="mujoco", environment="HalfCheetah-v5", episode_limit=1000
        )
        self.envs = StackedEnvironments(task, [0], "train")
        action = self.envs.action
        settings = TD3.Settings(**OFFICIAL)
        self.agent = TD3(settings, self.envs.observation_shape, action, [0], lambda net: net)
        shapes = (self.envs.observation_shape, "float32", (action.size,), "float32")
        self.replay = Replay([0], 100_000, *shapes)
        self.steps = 0

    def advance(self) -> None:
        before = self.envs.observation
        taken = self.agent.act(before, self.steps)
        following, reward, terminal, _, _ = self.envs.step(taken)
        self.replay.append(before, taken, reward, following, terminal)
        self.steps += 1
        if self.steps > self.agent.settings.warmup_steps:
            self.agent.update(self.replay.sample(self.agent.settings.batch_size))

    @property
    def policy(self) -> torch.Tensor:
        return self.agent.groups["actor"].parameters.flat[0]


@pytest.fixture(scope="module")
def path() -> torch.Tensor:
    torch.set_flush_denormal(True)
    if "SUITE_POLICY_PATH" in os.environ:
        with np.load(os.environ["SUITE_POLICY_PATH"]) as file:
            rows = file[file.files[0]]
        return torch.as_tensor(rows[0] if rows.ndim == 3 else rows)
    training = HalfCheetah()
    rows = [training.policy.clone()]
    while len(rows) < SNAPSHOTS + 520:
        training.advance()
        if training.agent.updates % 4 == 2:  # a snapshot every two policy updates
            rows.append(training.policy.clone())
    return torch.stack(rows)


def following(path: torch.Tensor, stops: list[int]) -> PathWindow:
    """A window that follows the path and is brought up to date at each of the stops."""
    window = PathWindow(torch.empty(SNAPSHOTS, path.shape[1]), [slice(0, path.shape[1])])
    for count, row in enumerate(path, 1):
        window.append(row)
        if count in stops:
            window.trim_and_boost(64, 2, 0.1)
    return window


@pytest.fixture(scope="module")
def followed(path: torch.Tensor) -> PathWindow:
    return following(path, stops=list(range(100, len(path), 500)))


@pytest.fixture(scope="module")
def directions(path: torch.Tensor) -> torch.Tensor:
    """The right singular vectors of the window's snapshots as rows, float64.

    By a QR decomposition and the SVD of its small factor: as exact as `torch.linalg.svd` of the
    snapshots, and minutes faster.
    """
    rows = path[-SNAPSHOTS:].double()
    basis, factor = torch.linalg.qr(rows.T)
    left = torch.linalg.svd(factor).U
    return (basis @ left).T


@pytest.mark.parametrize("trim_rank", [8, 64])
def test_agreement_with_a_full_float64_svd(path, followed, directions, trim_rank):
    n = min(SNAPSHOTS, len(path))
    move = followed.trim_and_boost(trim_rank, 2, 0.1).vector.double()
    rows, vt = path[-n:].double(), directions
    newest, oldest = rows[-1], rows[0]
    kept, leading = vt[:trim_rank], vt[:2]
    reference = kept.T @ (kept @ newest) - newest + 0.1 * leading.T @ (leading @ (newest - oldest))
    error = float((move - reference).norm() / reference.norm())
    size = float(reference.norm() / newest.norm())
    displacement = float((newest - oldest).norm() / newest.norm())
    print(
        f"\n{n} x {path.shape[1]}, rank {trim_rank}: error {error:.2g} of the move; move "
        f"{size:.2g} and displacement {displacement:.2g} of the norm"
    )
    assert error < 1e-5


@pytest.mark.parametrize("steps, share", [(1000, 0.06), (25_000, 0.02)])
def test_cost_against_training(path, steps, share):
    """CPU time of a change every `steps` environment steps against that of TD3's training: blocks
    of training and changes alternate in one process."""
    fresh = steps // 50  # a snapshot every 25 policy updates, which are 50 steps
    window = following(path[: SNAPSHOTS + 20], stops=[SNAPSHOTS + 20])
    training = HalfCheetah()
    for _ in range(1200):
        training.advance()
    trained, changed = [], []
    for repeat in range(5 if fresh < 100 else 2):
        started = time.process_time()
        for _ in range(100):
            training.advance()
        trained.append((time.process_time() - started) / 100)
        started = time.process_time()
        for row in path[repeat * 20 : repeat * 20 + fresh]:
            window.append(row)
        training.policy.add_(window.trim_and_boost(64, 2, 0.1).vector, alpha=0.0)
        changed.append(time.process_time() - started)
    cost = float(np.median(changed)) / (steps * float(np.median(trained)))
    print(
        f"\nevery {steps} steps: {np.median(changed):.3f} s a change, "
        f"{1e3 * np.median(trained):.2f} ms a training step, cost {cost:.2%}"
    )
    assert cost <= share


MEMORY = """
import resource, sys
import torch
from suite.plugins.path_window import PathWindow
torch.set_num_threads(1)
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
n, m = 2000, 71_952
generator = torch.Generator().manual_seed(0)
place = torch.randn(m, generator=generator)
torch.randn(600, 600) @ torch.randn(600, 600); torch.linalg.eigh(torch.eye(600).double())
before = peak()
window = PathWindow(torch.empty(n, m), [slice(0, m)])
for count in range(n + 500):
    place = place + 0.01 * torch.randn(m, generator=generator)
    window.append(place)
    if count % 500 == 499:
        window.trim_and_boost(64, 2, 0.1)
print((peak() - before) / (4 * n * m))
"""


def test_peak_memory_is_below_1_2_times_the_snapshots():
    run = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    print(f"\npeak memory {float(run.stdout):.3f} times the snapshots")
    assert float(run.stdout) <= 1.2
