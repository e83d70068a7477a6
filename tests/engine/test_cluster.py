"""Workers that die, again and again or for good, and workers that must not train."""

import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from counting import cell_of, count
from distributed import LocalCluster
from rich.console import Console

from suite.engine import cluster as engine
from suite.engine import workers
from suite.engine.cluster import DEATHS, EngineError
from suite.engine.run import run_cells
from suite.engine.workers import Refused, Terms, Unchecked, check, train_on_worker
from suite.running_code import running_code
from suite.store.store import Store

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.fixture(autouse=True)
def waiting_ends():
    """An engine that waits for ever fails its test."""

    def give_up(*_):
        raise AssertionError("the engine did not end within four minutes")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(240)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


class Shown(io.StringIO):
    """What the engine shows; waits for a text."""

    def console(self):
        return Console(file=self, width=500)

    def wait_for(self, text, seconds=60):
        deadline = time.monotonic() + seconds
        while text not in self.getvalue():
            assert time.monotonic() < deadline, f"{text!r} was never shown"
            time.sleep(0.02)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


@pytest.fixture
def scheduler():
    """A scheduler without workers: the embedded cluster's class, in this process."""
    with LocalCluster(n_workers=0, host="tcp://127.0.0.1", dashboard_address=":0") as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def start(scheduler, tmp_path):
    """Starts workers that are replaced when they die; returns the process that forks them."""
    started = []

    def start_workers(count, *options, root=ROOT):
        arguments = [HERE / "forking_workers.py", scheduler, count, *options]
        process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(root)},
            cwd=tmp_path,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start_workers
    for process in started:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def starts(log):
    """First steps of the processes that trained, in order."""
    return [int(line.split()[1]) for line in log.read_text().splitlines()]


def bytes_of(store, cells):
    return {
        (run.key(), name): (store.folder(run.key()) / name).read_bytes()
        for cell in cells
        for run in cell.runs
        for name in ("record.json", "COMPLETE")
    }


def test_shard_whose_workers_die_again_and_again_finishes_while_its_checkpoints_advance(
    store, scheduler, start, tmp_path
):
    cells = [cell_of("a", seeds=(1,), budget=20, kill_after=2, log=str(tmp_path / "log"))]
    start(2)
    summary = run_cells(cells, store, scheduler=scheduler, console=Shown().console(), train=count)
    assert not summary.failed
    assert starts(tmp_path / "log") == list(range(0, 20, 2)), (
        "more deaths than are allowed in a row"
    )


def test_shard_whose_workers_die_without_an_advance_fails_and_others_go_on(
    store, scheduler, start, tmp_path
):
    cells = [
        cell_of("a", seeds=(1,), budget=20, kill_for=1, log=str(tmp_path / "log")),
        cell_of("b", sleep=0.05),
    ]
    start(2)
    summary = run_cells(cells, store, scheduler=scheduler, console=Shown().console(), train=count)
    # The first death comes after an advance; those after it do not.
    assert starts(tmp_path / "log") == [0] + [10] * DEATHS
    assert [summary.states[run.key()].state for run in cells[1].runs] == ["done", "done"]
    killed = summary.states[cells[0].runs[0].key()]
    assert killed.state == "failed"
    assert killed.message.startswith(
        f"{DEATHS} workers in a row died while they trained it and no checkpoint advanced"
    )
    assert store.checkpoint_step(cells[0].runs[0].key()) == 10


def test_embedded_cluster_gives_up_a_shard_that_kills_every_worker(store, tmp_path):
    cells = [cell_of("a", seeds=(1,), budget=1, kill_for=1, log=str(tmp_path / "log"))]
    cells.append(cell_of("b", seeds=(1,)))
    summary = run_cells(cells, store, jobs=2, console=Shown().console(), train=count)
    assert starts(tmp_path / "log") == [0] * DEATHS
    assert [state.state for state in summary.states.values()] == ["failed", "done"]


def test_worker_that_takes_over_the_address_of_a_dead_one_is_checked_and_trains(
    store, scheduler, start, tmp_path
):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    cells = [cell_of("a", seeds=(1,), kill_after=5, log=str(tmp_path / "log"))]
    start(1, "--port", port)
    summary = run_cells(cells, store, scheduler=scheduler, console=Shown().console(), train=count)
    assert not summary.failed
    assert starts(tmp_path / "log") == [0, 5, 10, 15]


def test_shard_saves_more_often_after_a_death_without_an_advance(store, scheduler, start, tmp_path):
    cells = [
        cell_of("a", (1,), budget=12, kill_after=6, checkpoint_within=4, log=str(tmp_path / "log"))
    ]
    start(2)
    console = Shown().console()
    summary = run_cells(
        cells, store, scheduler=scheduler, console=console, train=count, checkpoint_seconds=60
    )
    assert not summary.failed
    assert starts(tmp_path / "log") == [0, 0, 0, 6], "60, 15 and 3.75 seconds, then 60 again"


def other_code(tmp_path):
    """A folder with another version of the suite."""
    for package in ("suite", "baselines"):
        shutil.copytree(ROOT / package, tmp_path / "other" / package)
    with (tmp_path / "other" / "suite" / "stacked" / "layers.py").open("a") as file:
        file.write("# changed\n")
    return tmp_path / "other"


def test_worker_with_other_code_gets_no_shard_and_one_that_joins_later_trains_all(
    store, scheduler, start, tmp_path
):
    cells = [cell_of("a", seeds=(1, 2, 3)), cell_of("b", seeds=(1, 2))]
    shown = Shown()
    joined = []

    def join_later():
        shown.wait_for("is refused")
        joined.append(start(1))

    start(1, root=other_code(tmp_path))
    thread = threading.Thread(target=join_later)
    thread.start()
    summary = run_cells(cells, store, scheduler=scheduler, console=shown.console(), train=count)
    thread.join()
    assert not summary.failed
    processes = {store.provenance(key)["process"] for key in summary.trained}
    assert processes == {child.pid for child in psutil.Process(joined[0].pid).children()}
    (line,) = [line for line in shown.getvalue().splitlines() if "refused" in line]
    assert line.startswith("worker tcp://127.0.0.1:")
    assert "is refused: it runs another version of the code (source " in line
    assert f"{running_code()['source']} here" in line and "restart the worker" in line


def test_worker_without_the_folder_gets_no_shard_and_the_others_go_on(store, scheduler, start):
    cells = [cell_of("a", seeds=(1, 2, 3), sleep=0.05), cell_of("b", seeds=(1, 2), sleep=0.05)]
    shown = Shown()
    others = [start(1, "--hide", store.root), start(1)]
    summary = run_cells(cells, store, scheduler=scheduler, console=shown.console(), train=count)
    assert not summary.failed
    processes = {store.provenance(key)["process"] for key in summary.trained}
    assert processes == {child.pid for child in psutil.Process(others[1].pid).children()}
    (line,) = [line for line in shown.getvalue().splitlines() if "refused" in line]
    assert f"it does not share the store's folder {store.root}" in line
    assert not list(store.root.glob(".shared-*")), "the token is left"


def test_only_refused_workers_are_one_clear_error(store, scheduler, start, monkeypatch):
    monkeypatch.setattr(engine, "REFUSED_SECONDS", 0.5)
    start(2, "--hide", store.root)
    with pytest.raises(EngineError, match="no worker of the cluster can train") as raised:
        run_cells(
            [cell_of("a")], store, scheduler=scheduler, console=Shown().console(), train=count
        )
    lines = str(raised.value).splitlines()[1:]
    assert lines and all("does not share the store's folder" in line for line in lines)
    assert store.state(cell_of("a").runs[0].key()).state == "queued"


# What a worker checks


@pytest.fixture
def token(tmp_path):
    path = tmp_path / ".shared-1"
    path.write_text(path.name)
    yield path
    workers._checked.discard(path.name)


def test_process_with_the_same_code_and_folder_may_train(token):
    check(Terms(running_code(), token))
    assert token.name in workers._checked


@pytest.mark.parametrize(
    ("there", "says"),
    [
        ({"source": "0"}, "source {source} there, 0 here"),
        ({"torch": "1.0"}, "torch {torch} there, 1.0 here"),
        ({"own_agents": "2.1"}, "own_agents not installed there, 2.1 here"),
    ],
)
def test_difference_of_the_code_is_named(token, there, says):
    with pytest.raises(Refused) as raised:
        check(Terms({**running_code(), **there}, token))
    assert says.format(**running_code()) in str(raised.value)
    assert token.name not in workers._checked


def test_extension_that_the_engine_lacks_is_named(token):
    asked = {name: version for name, version in running_code().items() if name != "mujoco"}
    with pytest.raises(Refused, match=r"mujoco [\d.]+ there, none here"):
        check(Terms(asked, token))


@pytest.mark.parametrize("content", [None, ".shared-0"])
def test_folder_without_the_engines_token_is_refused(token, content):
    token.unlink() if content is None else token.write_text(content)
    with pytest.raises(Refused, match=f"does not share the store's folder {token.parent}"):
        check(Terms(running_code(), token))


def test_process_that_took_over_an_address_does_not_train_unchecked(store):
    with pytest.raises(Unchecked):
        train_on_worker(None, ".shared-2", count, store.root, "cpu", 60.0)


@pytest.mark.long
def test_thousand_runs_with_a_worker_killed_every_second_have_the_bytes_of_this_process(
    store, scheduler, start, tmp_path, monkeypatch
):
    cells = [cell_of(f"c{i}", seeds=range(4), budget=8, sleep=0.01) for i in range(250)]
    forks = psutil.Process(start(4).pid)
    over, killed = threading.Event(), []

    def kill_every_second():
        while not over.wait(1.0):
            victims = forks.children()
            if victims:
                victim = victims[len(killed) % len(victims)]
                victim.kill()
                killed.append(victim.pid)

    thread = threading.Thread(target=kill_every_second)
    thread.start()
    try:
        summary = run_cells(
            cells, store, scheduler=scheduler, console=Shown().console(), train=count
        )
    finally:
        over.set()
        thread.join()
    assert len(killed) >= 20
    assert len(summary.states) == 1000 and not summary.failed
    inline = Store(tmp_path / "inline")
    monkeypatch.setattr("counting.time.sleep", lambda seconds: None)
    monkeypatch.setattr("suite.store.atomic._flush", lambda path: None)  # a test need not keep it
    run_cells(cells, inline, console=Shown().console(), train=count)
    assert bytes_of(store, cells) == bytes_of(inline, cells)
