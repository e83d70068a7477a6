"""What runs write for analyses: it is what the agent was, in any group, and after any kill."""

import subprocess
import sys
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from suite.analysis.recorded import RecordedRun
from suite.analysis.registry import recording
from suite.conformance.small_runs import acting, result, small_runs, train
from suite.recordings.path import LARGEST, WHOLE, PathRecording, PathSettings, RecordedPath
from suite.recordings.registry import RECORDINGS
from suite.recordings.rows import Rows, column_names, read_rows
from suite.stacked.layers import ParameterSlice
from suite.store.atomic import StoreError

LAYERS = ("hidden1", "hidden2", "output")


def with_path(runs, every):
    look = (recording("path", {"every": every}),)
    return [run.model_copy(update={"recordings": look}) for run in runs]


def agent_of(flat, starts):
    """An agent whose policy is a flat vector with tensors that begin there."""
    ends = [*starts[1:], flat.shape[1]]
    slices = [
        ParameterSlice(
            f"layer{i}.weight", f"layer{i}", "weight", (last - first,), first, last, False
        )
        for i, (first, last) in enumerate(zip(starts, ends, strict=True))
    ]
    parameters = SimpleNamespace(flat=flat, slices=slices)
    group = SimpleNamespace(parameters=parameters, steps=0)
    return SimpleNamespace(groups={"actor": group}, policy="actor")


def walk(folder, rows, starts, stops=(), every=1):
    """Record rows [n, m]; at each of `stops` the recording is dropped and taken up again after
    writing two more rows that are lost."""
    agent = agent_of(torch.tensor(rows[:1]), starts)
    recorded = PathRecording(PathSettings(every=every), agent, [folder])
    recorded.begin()
    index = 1
    while index < len(rows):
        follow(recorded, agent, rows, index)
        if index in stops:
            recorded.flush()
            state = recorded.state()
            for lost in range(index + 1, min(index + 3, len(rows))):
                follow(recorded, agent, rows, lost)
            recorded.flush()
            recorded = PathRecording(PathSettings(every=every), agent, [folder])
            recorded.load_state(state)
        index += 1
    recorded.flush()
    return RecordedPath(folder)


def follow(recorded, agent, rows, index):
    agent.groups["actor"].steps = index
    agent.groups["actor"].parameters.flat[0] = torch.tensor(rows[index])
    recorded.after_update(agent, None)


@pytest.mark.parametrize("kind", ["td3", "dqn"])
def test_the_path_starts_at_the_initial_policy_and_ends_at_the_last_one(kind, tmp_path):
    budget = 20 + 40 if kind == "td3" else 20 + 20  # 20 policy updates; TD3's policy delay is 2
    runs = with_path(small_runs(kind, [0, 1], budget=budget), 5)
    none = [run.model_copy(update={"budget": 1, "recordings": ()}) for run in runs]
    store = train(runs, tmp_path / "trained")
    fresh = train(none, tmp_path / "fresh")
    policy = {"td3": "actor", "dqn": "q"}[kind]
    for run, start in zip(runs, none, strict=True):
        path = RecordedRun(run, store).path(every=5).columns()
        last = load_file(store.folder(run.key()) / "agent.safetensors")[f"agent/{policy}/flat"]
        first = load_file(fresh.folder(start.key()) / "agent.safetensors")[f"agent/{policy}/flat"]
        assert path.dtype == np.float32 and path.shape == (1 + 4, last.size)
        np.testing.assert_array_equal(path[0], first)
        largest = np.abs(np.diff(path, axis=0)).max(axis=1)
        assert (largest > 0).all()
        np.testing.assert_allclose(path[-1], last, atol=largest[-1] / LARGEST, rtol=1e-6)


LONG = """
import resource, sys, time
from pathlib import Path
from types import SimpleNamespace
import numpy as np, torch
from suite.recordings.path import PathRecording, PathSettings
from suite.stacked.layers import ParameterSlice
torch.set_num_threads(1)
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
size, snapshots = 72_000, int(sys.argv[2])
sizes = [17 * 256, 256, 65_536, 256, 1536, 60]  # TD3's actor on HalfCheetah, a little padded
starts = np.cumsum([0, *sizes[:-1]]).tolist()
slices = [ParameterSlice(str(s), str(s), "weight", (), s, s, False) for s in starts]
flat = torch.randn(1, size)
group = SimpleNamespace(parameters=SimpleNamespace(flat=flat, slices=slices), steps=0)
agent = SimpleNamespace(groups={"actor": group}, policy="actor")
recording = PathRecording(PathSettings(every=1), agent, [Path(sys.argv[1])])
recording.begin()
steps = [1e-3 * torch.randn(1, size) for _ in range(10)]
before, spent = peak(), 0.0
for count in range(1, snapshots):
    group.steps = count
    flat += steps[count * 7 % 10]
    started = time.process_time()
    recording.after_update(agent, None)
    if count % 500 == 0:
        recording.flush()
        recording.state()
    spent += time.process_time() - started
print((peak() - before) / 1e6, 1e3 * spent / snapshots)
"""


@pytest.mark.long
def test_20000_snapshots_of_72000_parameters_take_little_memory_and_time(tmp_path):
    command = [sys.executable, "-c", LONG, str(tmp_path), "20000"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    megabytes, milliseconds = map(float, run.stdout.split())
    print(f"\n{megabytes:.0f} MB, {milliseconds:.2f} ms of CPU a snapshot")
    assert megabytes <= 100
    # A snapshot every 25 policy updates, 50 steps of TD3 at 4 ms on the fastest machine seen.
    assert milliseconds <= 0.02 * 50 * 4


@settings(max_examples=40, deadline=None)
@given(
    snapshots=st.integers(1, 2 * WHOLE + 30),
    scale=st.floats(1e-6, 1e3),
    rest=st.booleans(),
    seed=st.integers(0, 99),
    stops=st.sets(st.integers(1, 2 * WHOLE), max_size=3),
)
def test_a_path_reads_back_within_the_stated_error(
    tmp_path_factory, snapshots, scale, rest, seed, stops
):
    draw = np.random.default_rng(seed)
    steps = scale * draw.standard_normal((snapshots, 60)) * np.repeat([1.0, 1e-4, 1.0], 20)
    if rest:
        steps[1:, 40:] = 0.0  # a tensor that does not move
    rows = (draw.standard_normal(60) + steps.cumsum(axis=0)).astype(np.float32)
    starts = [0, 20, 40]
    path = walk(tmp_path_factory.mktemp("path"), rows, starts, stops)
    assert (path.snapshots, path.size, list(path.tensors.values())) == (snapshots, 60, starts)
    found = path.columns()
    np.testing.assert_array_equal(found[::WHOLE], rows[::WHOLE])
    for first in starts:
        part = slice(first, first + 20)
        # Of the difference from what was read back, which is no more than twice the last one's.
        change = np.abs(rows[1:, part] - found[:-1, part]).max(axis=1, keepdims=True)
        bound = change / (2 * LARGEST) + 2e-7 * np.abs(rows[1:, part]) + 1e-38
        assert (np.abs(found[1:, part] - rows[1:, part]) <= bound * 1.01).all()
        np.testing.assert_array_equal(path.columns(part), found[:, part])
    np.testing.assert_array_equal(path.row(snapshots - 1), found[-1])


def test_what_is_not_finite_reads_back_so_and_does_not_spread(tmp_path):
    rows = np.random.default_rng(0).standard_normal((WHOLE + 5, 8)).astype(np.float32)
    rows[50, 2] = np.inf
    path = walk(tmp_path, rows, [0, 4]).columns()
    assert not np.isfinite(path[50, :4]).all()
    assert np.isfinite(path[:, 4:]).all() and np.isfinite(path[WHOLE:]).all()


def test_a_long_path_needs_no_more_memory_than_a_short_one(tmp_path):
    size, peaks = 5000, []
    rows = np.random.default_rng(0).standard_normal((3, size)).astype(np.float32)
    for count in (1000, 4000):
        agent = agent_of(torch.tensor(rows[:1]), [0])
        recorded = PathRecording(PathSettings(every=1), agent, [tmp_path / str(count)])
        recorded.begin()
        tracemalloc.start()
        for index in range(1, count):
            agent.groups["actor"].steps = index
            agent.groups["actor"].parameters.flat[0] = torch.tensor(rows[index % 3])
            recorded.after_update(agent, None)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        # A checkpoint of training holds the position, not the path.
        assert sum(np.asarray(part).nbytes for part in recorded.state().values()) < 100
    assert max(peaks) < 4e6  # of 10 MB and 40 MB of path


def test_rows_beyond_a_checkpoint_are_dropped_and_lost_ones_are_an_error(tmp_path):
    rows = Rows(tmp_path / "run" / "recordings" / "kind" / "some.rows", "f4", (2,), ["a", "b"])
    rows.begin()
    for value in range(5):
        rows.append(np.full(2, value, np.float32))
    rows.flush()
    rows.resume(3)
    rows.append(np.full(2, 9, np.float32))
    rows.flush()
    np.testing.assert_array_equal(read_rows(rows.path)[:, 0], [0, 1, 2, 9])
    assert column_names(rows.path) == ("a", "b")
    with pytest.raises(StoreError, match=r"has 32 bytes, the checkpoint knows of 40. Delete .*run"):
        rows.resume(5)
    with pytest.raises(ValueError, match=r"a row of some.rows has shape \(2,\), not \(3,\)"):
        rows.append(np.zeros(3, np.float32))


def test_norms_and_learning_rates_follow_the_weights(tmp_path):
    (run,) = small_runs("td3", [3], recordings=("norms",))
    store = train([run], tmp_path)
    columns = RecordedRun(run, store).columns("norms", "norms.rows")
    agent = load_file(store.folder(run.key()) / "agent.safetensors")
    # The first tensor of the flat vector: 4 observations times 16 units.
    norm = np.linalg.norm(agent["agent/actor/flat"][: 4 * 16].astype(np.float64))
    assert columns["step"].tolist() == [0, 25, 50, 75, 80]
    norms = columns["norm/actor/hidden1"]
    assert norms[-1] == pytest.approx(norm, rel=1e-12) and norms[-1] != norms[0]
    assert (columns["learning_rate/actor"] == 1e-3).all()
    layers = {name.split("/", 1)[1] for name in columns if name.startswith("norm/")}
    critics = {f"critic/{q}.{layer}" for q in ("q1", "q2") for layer in LAYERS}
    assert layers == {f"actor/{layer}" for layer in LAYERS} | critics


def test_sums_are_those_of_every_policy_update(tmp_path):
    (run,) = with_path(small_runs("td3", [0], recordings=("sums",)), 1)
    run = run.model_copy(update={"recordings": (*run.recordings, recording("sums", {}))})
    recorded = RecordedRun(run, train([run], tmp_path))
    sums = recorded.rows("sums", "accumulated.rows")
    path = recorded.path(every=1).columns().astype(np.float64)
    assert len(sums) == 5 and (sums[0] == 0).all()
    np.testing.assert_allclose(sums[-1], np.abs(np.diff(path, axis=0)).sum(axis=0), rtol=1e-3)


def test_updates_are_those_of_the_path(tmp_path):
    (run,) = with_path(small_runs("td3", [0], [acting("nap", schedule="constant")]), 1)
    run = run.model_copy(
        update={"recordings": (*run.recordings, recording("updates", {"every": 3}))}
    )
    recorded = RecordedRun(run, train([run], tmp_path))
    columns = recorded.columns("updates", "updates-actor.rows", every=3)
    assert columns["step"].tolist() == list(range(1, len(columns["step"]) * 3, 3))
    assert (columns["learning_rate"] == 1e-3).all()
    hidden1 = recorded.path(every=1).columns()[:, : 4 * 16].astype(np.float64)
    old, new = (hidden1[start::3][: len(columns["step"])] for start in (0, 1))
    # What the path has was projected since, which turns nothing.
    cosine = (old * new).sum(1) / np.linalg.norm(old, axis=1) / np.linalg.norm(new, axis=1)
    np.testing.assert_allclose(columns["angle/hidden1"], np.arccos(cosine), rtol=2e-2)
    # Norms follow it: no gradient along the weight, and nothing but the hidden layers is normed.
    assert (np.abs(columns["gradient_radial_share/hidden1"]) < 1e-3).all()
    assert (np.abs(columns["gradient_radial_share/output"]) > 1e-2).any()
    assert columns["normed_norm"][0] > np.linalg.norm(hidden1[0])
    np.testing.assert_allclose(columns["normed_norm"], columns["normed_norm"][0], rtol=1e-5)


def test_losses_are_those_of_every_learn_call(tmp_path):
    (run,) = small_runs("td3", [0])
    run = run.model_copy(update={"recordings": (recording("losses", {"every": 1}),)})
    store = train([run], tmp_path)
    columns = RecordedRun(run, store).columns("losses", "losses.rows", every=1)
    assert list(columns) == ["update", "loss/actor", "loss/critic"]
    assert (np.diff(columns["update"]) == 1).all() and columns["update"][0] == 1
    critic = columns["loss/critic"]
    means = store.record(run.key())["series"]["loss/critic"]["value"]
    # The last evaluation is after the last learn call, and sees the mean of 5 calls.
    np.testing.assert_allclose(critic[-5:].mean(), means[-1])
    # The actor moves at every second call.
    known = np.isfinite(columns["loss/actor"])
    assert known[1::2].all() and not known[::2].any()


def test_checkpoints_rebuild_the_agent_and_the_batch_is_what_was_learned_from(tmp_path):
    (run,) = small_runs("td3", [0], recordings=("checkpoints",))
    batch = recording("batch", {"size": 40})
    run = run.model_copy(update={"recordings": (*run.recordings, batch)})
    store = train([run], tmp_path)
    recorded = RecordedRun(run, store)
    agents = dict(recorded.agents())
    assert list(agents) == [0, 25, 50, 75, 80]
    last = load_file(store.folder(run.key()) / "agent.safetensors")["agent/actor/flat"]
    flats = [agent.groups["actor"].parameters.flat.detach()[0].numpy() for agent in agents.values()]
    np.testing.assert_array_equal(flats[-1], last)
    assert not np.array_equal(flats[0], last)
    observations = recorded.observations(size=40)
    assert observations.shape == (40, 4) and len(np.unique(observations, axis=0)) > 1


def test_recordings_have_the_same_bytes_in_any_group(tmp_path):
    runs = small_runs("td3", [0, 1, 2], recordings=tuple(RECORDINGS))
    together = train(runs, tmp_path / "together")
    files = list((together.recordings_folder(runs[0].key())).glob("*/*"))
    assert {path.parent.name.partition("-")[0] for path in files} == {*RECORDINGS}
    for run in runs:
        alone = train([run], tmp_path / f"alone{run.seed}")
        assert result(alone, run) == result(together, run)
