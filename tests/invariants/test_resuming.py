"""I2: a run that is stopped and resumed equals one that never was, bit for bit."""

import multiprocessing
import os
import signal
import time

import numpy as np
import pytest

import suite.training.shard
from invariants.combinations import COMBINATIONS
from suite.conformance.laws import assert_checkpoint_continues
from suite.conformance.small_runs import result, small_runs, train
from suite.engine.shards import Shard
from suite.engine.work import work
from suite.recordings.registry import RECORDINGS
from suite.store.store import Store
from suite.training.shard import train_shard

SEEDS = [0, 1, 2]


@pytest.mark.parametrize(("kind", "plugins"), COMBINATIONS)
def test_a_checkpoint_at_any_step_continues_in_any_grouping(kind, plugins, tmp_path):
    assert_checkpoint_continues(kind, plugins, tmp_path)


def _train(runs, root, checkpoint_share):
    # Without a limit on their share of the time there is a checkpoint after every step.
    suite.training.shard.CHECKPOINT_SHARE = checkpoint_share
    work(Shard("cell", "smoke", tuple(runs), 1.0), root, train_shard, "cpu", 0.0)


@pytest.mark.parametrize(
    "kind",
    [
        "td3",
        "sac",
        pytest.param("rad", marks=pytest.mark.long),
        "dqn",
        "ppo",
        "classifier",
    ],
)
def test_sigkill_at_random_moments_changes_no_byte(kind, tmp_path):
    """Three kills, each after a random number of new checkpoint files; then to the end."""
    runs = small_runs(kind, SEEDS, budget=400, evaluate_every=20, recordings=tuple(RECORDINGS))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["suite.engine.work", "suite.training.shard"])
    store = Store(tmp_path / "killed")
    store.root.mkdir()
    draw = np.random.default_rng(time.time_ns())  # any moment must do
    for _ in range(3):
        child = context.Process(target=_train, args=(runs, store.root, 1e9))
        child.start()
        seen = set(store.root.glob("*/checkpoint-*"))
        enough, deadline = len(seen) + int(draw.integers(1, 45)), time.monotonic() + 60
        while len(seen) < enough and child.is_alive() and time.monotonic() < deadline:
            seen |= set(store.root.glob("*/checkpoint-*"))
        time.sleep(float(draw.uniform(0, 0.02)))
        assert child.is_alive(), "the run ended before it was killed"
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        assert {store.state(run.key()).state for run in runs} == {"interrupted"}
    child = context.Process(target=_train, args=(runs, store.root, 0.05))
    child.start()
    child.join(120)
    assert child.exitcode == 0
    unbroken = train(runs, tmp_path / "unbroken")
    for run in runs:
        assert result(store, run) == result(unbroken, run)
