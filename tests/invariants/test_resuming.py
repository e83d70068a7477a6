"""I2: a run that is stopped and resumed equals one that never was, bit for bit."""

import multiprocessing
import os
import signal
import time

import numpy as np
import pytest
from training.small_runs import result, small_runs, train

import suite.training.shard
from invariants.combinations import COMBINATIONS
from suite.engine.shards import Shard
from suite.engine.work import work
from suite.specs.registry import AGENTS
from suite.store.store import Store
from suite.training.process import configure
from suite.training.rows import Row, cut, stack
from suite.training.shard import LOOPS, train_shard

SEEDS = [0, 1, 2]


def build(runs):
    loop = AGENTS[runs[0].agent.kind].loop
    return LOOPS[loop](runs[0], [run.seed for run in runs], "cpu")


def advance(loop, run, until):
    if loop.step == 0:
        loop.evaluate()
    while loop.step < until:
        loop.advance()
        if loop.step % run.evaluate_every == 0 or loop.step == loop.total:
            loop.evaluate()


def rows_of(loop, count):
    """Every seed's row with memory of its own, without the seconds, which are not repeatable."""
    state = loop.state()
    rows = []
    for i in range(count):
        row = cut(state, i)
        arrays = {name: np.array(array) for name, array in row.arrays.items()}
        rows.append(Row(arrays, {**row.values}))
    return rows


def assert_equal_rows(one, other):
    assert one.arrays.keys() == other.arrays.keys()
    for name in one.arrays:
        assert one.arrays[name].dtype == other.arrays[name].dtype, name
        np.testing.assert_array_equal(one.arrays[name], other.arrays[name], err_msg=name)
    values = [
        {name: value for name, value in row.values.items() if not name.endswith("seconds")}
        for row in (one, other)
    ]
    assert values[0] == values[1]


@pytest.mark.parametrize(("kind", "plugins"), COMBINATIONS)
def test_a_checkpoint_at_any_step_continues_in_any_grouping(kind, plugins):
    configure()
    runs = small_runs(kind, SEEDS, plugins, probes=("weight_norms", "policy_path"))
    unbroken = build(runs)
    advance(unbroken, runs[0], runs[0].budget)

    draw = np.random.default_rng(len(kind) + 7 * len(plugins))
    first, second = sorted(draw.integers(1, runs[0].budget, size=2).tolist())
    group = build(runs)
    advance(group, runs[0], first)
    rows = rows_of(group, 3)
    pair = build([runs[2], runs[0]])
    pair.load_state(stack([rows[2], rows[0]]))
    advance(pair, runs[0], second)
    rows = rows_of(pair, 2)
    alone = build([runs[2]])
    alone.load_state(stack([rows[0]]))
    advance(alone, runs[0], runs[0].budget)

    assert_equal_rows(rows_of(alone, 1)[0], rows_of(unbroken, 3)[2])
    assert alone.figures(0) == unbroken.figures(2)


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
    runs = small_runs(kind, SEEDS, budget=400, evaluate_every=20, probes=("weight_norms",))
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
