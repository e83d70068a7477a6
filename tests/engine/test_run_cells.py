"""The engine: same results wherever shards run, and every kind of trouble ends visibly."""

import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import dask
import psutil
import pytest
from counting import cell_of, count
from distributed import Client
from rich.console import Console

from suite.engine import cluster as engine
from suite.engine.cluster import EngineError
from suite.engine.run import run_cells
from suite.store.atomic import StoreError
from suite.store.store import Store

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


@pytest.fixture(autouse=True)
def splitting_is_worthwhile(monkeypatch):
    monkeypatch.setattr("suite.engine.shards.WORTHWHILE_SECONDS", 0.01)


def quiet():
    return Console(file=io.StringIO(), width=200)


def results(store, cells):
    """Bytes of every record and marker."""
    return {
        run.key(): [
            (store.folder(run.key()) / name).read_bytes() for name in ("record.json", "COMPLETE")
        ]
        for cell in cells
        for run in cell.runs
    }


def expected(cells, tmp_path):
    """What an unbroken run in this process gives."""
    store = Store(tmp_path / "expected")
    for cell in cells:
        for run in cell.runs:
            count([run], store, cell.id, cell.scale, "cpu", lambda progress: None, 60)
    return results(store, cells)


def test_second_call_trains_nothing(store):
    cells = [cell_of("a"), cell_of("b", seeds=(1, 2, 3))]
    calls = []

    def train(runs, *arguments):
        calls.append(len(runs))
        count(runs, *arguments)

    summary = run_cells(cells, store, console=quiet(), train=train)
    assert calls == [2, 3] and len(summary.trained) == 5
    assert not summary.failed and {state.state for state in summary.states.values()} == {"done"}
    summary = run_cells(cells, store, console=quiet(), train=train)
    assert calls == [2, 3] and summary.trained == () and not summary.failed


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_warning_of_training_is_given_once_wherever_it_trains(store, jobs):
    cells = [cell_of("a", warn="is odd"), cell_of("b", warn="is even")]
    with pytest.warns(UserWarning, match="^seed . is ") as warned:
        run_cells(cells, store, jobs=jobs, console=quiet(), train=count)
    told = sorted(str(warning.message) for warning in warned if "seed" in str(warning.message))
    assert told == ["seed 1 is even", "seed 1 is odd", "seed 2 is even", "seed 2 is odd"]


def test_only_missing_seeds_train_and_shared_runs_train_once(store):
    run_cells([cell_of("a", seeds=(1, 2))], store, console=quiet(), train=count)
    cells = [cell_of("a", seeds=(1, 2, 3, 4)), cell_of("a", seeds=(3,))]
    summary = run_cells(cells, store, console=quiet(), train=count)
    assert summary.trained == tuple(run.key() for run in cells[0].runs[2:])


def test_local_processes_give_the_bytes_of_this_process(store, tmp_path):
    cells = [cell_of("a", seeds=range(5)), cell_of("b")]
    summary = run_cells(cells, store, jobs=2, console=quiet(), train=count)
    assert not summary.failed
    assert results(store, cells) == expected(cells, tmp_path)
    processes = {store.provenance(key)["process"] for key in summary.trained}
    assert len(processes) == 2 and os.getpid() not in processes


def test_raising_shard_fails_visibly_and_others_go_on(store):
    cells = [cell_of("a"), cell_of("b", seeds=(1, 2, 3), raise_for=2), cell_of("c")]
    console = quiet()
    summary = run_cells(cells, store, console=console, train=count)
    states = [[summary.states[run.key()].state for run in cell.runs] for cell in cells]
    assert states == [["done", "done"], ["done", "failed", "failed"], ["done", "done"]]
    assert "seed 2 divides by zero" in summary.states[cells[1].runs[1].key()].message
    assert "Traceback" in summary.states[cells[1].runs[1].key()].message
    shown = console.file.getvalue()
    assert "seed 2 failed: ZeroDivisionError: seed 2 divides by zero" in shown
    assert "b--counter--none smoke: 1 of 3 seeds done" in shown


def test_failure_is_not_remembered_once_training_succeeds(store, tmp_path):
    cells = [cell_of("a", seeds=(1, 2), raise_for=1)]
    run_cells(cells, store, console=quiet(), train=count)
    # What raised is mended: the same runs go on from their checkpoints.
    harmless = pytest.MonkeyPatch()
    harmless.setattr("counting._misbehave", lambda seed, settings: None)
    with harmless.context():
        summary = run_cells(cells, store, console=quiet(), train=count)
        assert not summary.failed
        assert results(store, cells) == expected(cells, tmp_path)
    harmless.undo()


def test_training_that_forgets_a_run_is_a_failure(store):
    (cell,) = [cell_of("a")]
    summary = run_cells(
        [cell], store, console=quiet(), train=lambda runs, *rest: count(runs[:1], *rest)
    )
    forgotten = summary.states[cell.runs[1].key()]
    assert (forgotten.state, forgotten.message) == (
        "failed",
        "training ended before the run was complete",
    )


@pytest.mark.parametrize("jobs", [1, 2])
def test_full_disk_stops_with_one_error_and_loses_nothing(store, jobs):
    cells = [cell_of("a"), cell_of("b", full_disk_for=1, sleep=0.05)]
    with pytest.raises(StoreError, match="The disk is full"):
        run_cells(cells, store, jobs=jobs, console=quiet(), train=count)
    assert [store.state(run.key()).state for run in cells[0].runs] == ["done", "done"]
    # Full disks are no fault of the run.
    assert store.state(cells[1].runs[0].key()).state == "interrupted"


def test_unwritable_store_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write .*file.runs"):
        run_cells([cell_of("a")], Store(tmp_path / "file" / "runs"), console=quiet(), train=count)


@pytest.mark.parametrize("jobs", [1, 2])
def test_run_that_another_process_trains_is_waited_for(store, tmp_path, monkeypatch, jobs):
    monkeypatch.setattr("suite.engine.run.BUSY_SECONDS", 0.1)
    monkeypatch.setattr("suite.engine.cluster.BUSY_SECONDS", 0.1)
    log = tmp_path / "log"
    cell = cell_of("a", log=str(log))
    key = cell.runs[1].key()
    held, shown, done = threading.Event(), threading.Event(), threading.Event()

    def other():
        with store.lock(key):
            held.set()
            shown.wait(20)
            count([cell.runs[1]], store, cell.id, cell.scale, "cpu", lambda progress: None, 60)
        done.set()

    class Watched(io.StringIO):
        def write(self, text):
            if f"run {key} is being trained by process {os.getpid()}" in text:
                shown.set()
            return super().write(text)

    threading.Thread(target=other).start()
    held.wait(10)
    console = Console(file=Watched(), width=200)
    summary = run_cells([cell], store, jobs=jobs, console=console, train=count)
    assert done.wait(10) and shown.is_set()
    assert not summary.failed
    assert [step for _, step in lines_of(log)] == [0, 0], "a run trained twice or not from 0"


def test_plain_lines_tell_cell_steps_speed_return_and_time_left(store, monkeypatch):
    monkeypatch.setattr("suite.engine.display.LINE_SECONDS", 0.1)
    console = quiet()
    started = time.monotonic()
    run_cells([cell_of("a", budget=30, sleep=0.02)], store, console=console, train=count)
    elapsed = time.monotonic() - started
    lines = console.file.getvalue().splitlines()
    middle = next(line for line in lines if "steps/s" in line and "return" in line)
    assert middle.startswith("a--counter--none smoke: ")
    assert "/60 steps (2 seeds), 100 steps/s, return " in middle and middle.endswith(" left")
    assert lines[-1].startswith("a--counter--none smoke: 2 of 2 seeds done, return 30")
    assert len(lines) <= elapsed / 0.1 + 2


def test_terminal_shows_a_table(store):
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=150)
    run_cells([cell_of("a", budget=10, sleep=0.02)], store, console=console, train=count)
    assert "0 of 1 cells over" in file.getvalue()


# Clusters and signals


def wait_until(condition, seconds=90):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.05)


# Workers import this file again: what they do not need is imported under the condition.
DRIVER = """
import sys
if __name__ == "__main__":
    import signal
    # A shell that starts the tests in the background leaves SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from pathlib import Path
    from counting import cell_of, count
    from suite.engine import shards
    from suite.engine.run import run_cells
    from suite.store.store import Store
    shards.WORTHWHILE_SECONDS = 0.01
    cell = cell_of("a", seeds=(1, 2), budget=100, sleep=0.01)
    root, jobs, *scheduler = sys.argv[1:]
    run_cells([cell], Store(Path(root)), int(jobs), *scheduler, train=count)
"""


def processes_of(store, cells):
    return {store.provenance(run.key())["process"] for cell in cells for run in cell.runs}


def lines_of(path):
    return [tuple(map(int, line.split())) for line in path.read_text().splitlines()]


def test_killed_local_worker_is_replaced_and_its_shard_goes_on(store, tmp_path):
    log = tmp_path / "log"
    settings = {"kill_for": 2, "kill_once": str(tmp_path / "once"), "log": str(log)}
    cells = [cell_of("a", seeds=(1, 2, 3, 4), **settings)]
    summary = run_cells(cells, store, jobs=2, console=quiet(), train=count)
    assert not summary.failed
    resumed = [(process, step) for process, step in lines_of(log) if step > 0]
    assert [step for _, step in resumed] == [10]
    (tmp_path / "log").unlink()
    assert results(store, cells) == expected(cells, tmp_path)


@pytest.fixture
def cluster(tmp_path):
    """A scheduler and two workers as processes of their own: address, workers, scheduler."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}", "OMP_NUM_THREADS": "1"}
    address = f"tcp://127.0.0.1:{port}"

    def start(module, *arguments):
        return subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{module}", *arguments],
            env=environment,
            cwd=tmp_path,
            stderr=subprocess.DEVNULL,
        )

    scheduler = start(
        "dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"
    )
    worker = (address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "0")
    workers = [start("dask_worker", *worker) for _ in range(2)]
    with Client(address, timeout=90) as client:
        client.wait_for_workers(2, timeout=90)
    yield address, workers, scheduler
    for process in [*workers, scheduler]:
        process.kill()
        process.wait()


def test_cluster_that_loses_a_worker_gives_the_bytes_of_this_process(cluster, store, tmp_path):
    address, workers, _ = cluster
    log = tmp_path / "log"
    cells = [
        cell_of("a", seeds=(1, 2, 3), budget=30, sleep=0.02, log=str(log)),
        cell_of("b", seeds=(1, 2), budget=30, sleep=0.02, log=str(log)),
    ]

    def kill_a_busy_worker():
        pids = {worker.pid for worker in workers}
        wait_until(lambda: log.exists() and {process for process, _ in lines_of(log)} == pids)
        time.sleep(0.2)
        workers[0].send_signal(signal.SIGKILL)

    thread = threading.Thread(target=kill_a_busy_worker)
    thread.start()
    console = quiet()
    summary = run_cells(cells, store, scheduler=address, console=console, train=count)
    thread.join()
    assert not summary.failed
    assert workers[0].poll() == -signal.SIGKILL
    assert [step for _, step in lines_of(log) if step > 0], "nothing went on from a checkpoint"
    assert "is gone; what it trained goes on" in console.file.getvalue()
    log.unlink()
    assert results(store, cells) == expected(cells, tmp_path)


def test_cluster_stops_when_the_engine_dies_and_goes_on_with_the_next(cluster, store, tmp_path):
    address, workers, _ = cluster
    cell = cell_of("a", seeds=(1, 2), budget=100, sleep=0.01)
    keys = [run.key() for run in cell.runs]
    driver = tmp_path / "driver.py"
    driver.write_text(DRIVER)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}"}
    arguments = [sys.executable, str(driver), str(store.root), "1", address]
    process = subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL)
    wait_until(lambda: all((store.state(key).step or 0) >= 5 for key in keys))
    process.kill()
    process.wait()
    wait_until(lambda: [store.state(key).state for key in keys] == ["interrupted"] * 2)
    assert [worker.poll() for worker in workers] == [None, None]
    summary = run_cells([cell], store, scheduler=address, console=quiet(), train=count)
    assert not summary.failed
    assert results(store, [cell]) == expected([cell], tmp_path)


def test_scheduler_that_dies_is_one_clear_error_and_keeps_checkpoints(cluster, store):
    address, _, scheduler = cluster
    cell = cell_of("a", seeds=(1,), budget=1000, sleep=0.05)
    key = cell.runs[0].key()

    def kill_the_scheduler():
        wait_until(lambda: (store.state(key).step or 0) >= 2)
        scheduler.kill()

    thread = threading.Thread(target=kill_the_scheduler)
    thread.start()
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "2s"}),
        pytest.raises(EngineError, match=r"the Dask scheduler is gone\. Start it and run again"),
    ):
        run_cells([cell], store, scheduler=address, console=quiet(), train=count)
    thread.join()
    wait_until(lambda: store.state(key).state == "interrupted", seconds=15)
    assert store.state(key).step >= 2


def test_scheduler_that_is_not_there_is_one_clear_error(store, monkeypatch):
    monkeypatch.setattr(engine, "CONNECT_SECONDS", 0.5)
    with pytest.raises(EngineError, match=r"cannot reach a Dask scheduler at tcp://127.0.0.1:9"):
        run_cells([cell_of("a")], store, scheduler="tcp://127.0.0.1:9", console=quiet())


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_engine_leaves_checkpoints_and_no_process(store, tmp_path, jobs, sent):
    driver = tmp_path / "driver.py"
    driver.write_text(DRIVER)
    process = subprocess.Popen(
        [sys.executable, str(driver), str(store.root), str(jobs)],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    cell = cell_of("a", seeds=(1, 2), budget=100, sleep=0.01)
    keys = [run.key() for run in cell.runs]
    waiting = keys if jobs == 2 else keys[:1]
    wait_until(lambda: all((store.state(key).step or 0) >= 5 for key in waiting))
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(sent)
    _, shown = process.communicate(timeout=60)
    assert process.returncode != 0
    assert psutil.wait_procs(children, timeout=20)[1] == []
    states = [store.state(key) for key in keys]
    assert {state.state for state in states} <= {"interrupted", "queued"}
    assert all(store.state(key).step >= 5 for key in waiting)
    if sent == signal.SIGINT:
        assert "KeyboardInterrupt" in shown
