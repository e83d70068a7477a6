"""How long a plan says that training takes."""

import os

import pytest
from counting import cell_of
from hypothesis import given
from hypothesis import strategies as st

from suite.engine import duration as timing
from suite.engine.duration import (
    PROCESSES_SECONDS,
    REFERENCE_SECONDS,
    SHARD_SECONDS,
    Pace,
    duration,
    pace,
    work_seconds,
)
from suite.engine.shards import make_shards
from suite.specs.planning import seconds_estimate
from suite.store import processor
from suite.store.store import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


@pytest.fixture(autouse=True)
def measured(monkeypatch, tmp_path):
    """A processor three times as slow as the constants' machine; counts its measurements."""
    calls = []

    def measure():
        calls.append(1)
        return 3 * REFERENCE_SECONDS

    monkeypatch.setattr(timing, "_measure", measure)
    monkeypatch.setenv("SUITE_CACHE", str(tmp_path / "cache"))
    return calls


def finish(store, cell, run, ratio, state="done", cpu=None):
    """A finished run that took `ratio` times its estimate."""
    seconds = ratio * seconds_estimate(cell.model_copy(update={"runs": (run,)}))
    where = {"cpu": cpu or processor.name(), "device": "cpu", "seconds": {"total": seconds}}
    store.begin(run.key(), run.model_dump(mode="json"))
    store.complete(run.key(), {"key": run.key()}, where, state=state)


def with_agent(cell, name):
    runs = (
        run.model_copy(update={"agent": run.agent.model_copy(update={"name": name})})
        for run in cell.runs
    )
    return cell.model_copy(update={"runs": tuple(runs)})


def test_finished_runs_of_the_cell_come_before_those_of_the_agent_and_the_processor(store):
    known, same_agent = cell_of("a", seeds=(1, 2, 3)), cell_of("b", seeds=(1, 2))
    other = with_agent(cell_of("c"), "other")
    for run, ratio in zip(known.runs, (2.0, 1.0, 7.0), strict=True):
        finish(store, known, run, ratio)
    finish(store, same_agent, same_agent.runs[0], 9.0)
    here = pace([known, same_agent, other], store)
    assert here.of(known.id, known.runs[0]) == pytest.approx(2.0)
    assert here.of(same_agent.id, same_agent.runs[0]) == pytest.approx(9.0)
    assert here.of("new--counter--none", known.runs[0]) == pytest.approx(4.5)
    assert here.of(other.id, other.runs[0]) == pytest.approx(3.0)
    told = [here.measured(cell.id, cell.runs[0]) for cell in (known, same_agent, other)]
    assert told == [True, True, False]


def test_runs_of_another_processor_or_of_another_end_say_nothing(store):
    cell = cell_of("a", seeds=(1, 2, 3))
    finish(store, cell, cell.runs[0], 9.0, cpu="another processor")
    finish(store, cell, cell.runs[1], 9.0, state="diverged")
    store.fail(cell.runs[2].key(), "raised")
    assert pace([cell], store).of(cell.id, cell.runs[0]) == pytest.approx(3.0)


def test_processor_is_measured_once_and_remembered(measured):
    assert work_seconds() == work_seconds() == 3 * REFERENCE_SECONDS
    assert len(measured) == 1


def test_finished_runs_need_no_measurement(store, measured):
    cell = cell_of("a")
    finish(store, cell, cell.runs[0], 2.0)
    duration([cell], 2, pace([cell], store))
    assert measured == []


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"AMD": 1}'])
def test_damaged_memory_of_the_processor_is_measured_again(tmp_path, measured, content):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "processor.json").write_text(content)
    assert work_seconds() == work_seconds() == 3 * REFERENCE_SECONDS
    assert len(measured) == 1


def test_cache_folder_that_cannot_be_written_is_no_error(tmp_path, measured):
    (tmp_path / "cache").write_text("a file")
    assert work_seconds() == 3 * REFERENCE_SECONDS


def test_measuring_is_quick_and_gives_about_the_same_twice(monkeypatch):
    monkeypatch.undo()
    started = os.times()
    first, second = timing._measure(), timing._measure()
    ended = os.times()
    cores = os.cpu_count()
    assert ended.user + ended.system - started.user - started.system < 2 * 0.5 * cores
    assert 0.5 < first / second < 2.0


def test_one_job_takes_the_sum_and_no_start_of_processes():
    cells = [cell_of("a", budget=1000), cell_of("b", budget=3000)]
    total = 2.0 * sum(map(seconds_estimate, cells)) + 2 * SHARD_SECONDS
    assert duration(cells, 1, Pace({}, {"counter": 2.0})) == pytest.approx(total)


cells_strategy = st.lists(
    st.tuples(st.integers(1, 5), st.integers(1, 50_000)), min_size=2, max_size=8
).map(lambda shapes: [cell_of(f"c{i}", range(n), b) for i, (n, b) in enumerate(shapes)])


@given(cells_strategy, st.integers(2, 9), st.floats(0.1, 10.0))
def test_time_lies_between_the_bounds_of_any_order_of_shards(cells, jobs, ratio):
    shards = make_shards(cells, jobs)
    seconds = [SHARD_SECONDS + ratio * shard.seconds for shard in shards]
    found = duration(cells, jobs, Pace({}, {"counter": ratio})) - PROCESSES_SECONDS
    assert found >= max(max(seconds), sum(seconds) / jobs) - 1e-6
    assert found <= sum(seconds) / jobs + max(seconds) + 1e-6
