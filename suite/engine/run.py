"""Training cells: from what is asked for to complete runs in the store."""

import logging
import time
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from suite.engine.display import Display
from suite.engine.shards import make_shards
from suite.engine.work import Shard, Train, lacks, work
from suite.specs.models import Cell
from suite.store.atomic import StoreError, storing
from suite.store.store import RunState, Store
from suite.training.shard import train_shard

# How long to leave a shard alone whose runs another process trains.
BUSY_SECONDS = 2.0

# How long to try to reach a scheduler.
CONNECT_SECONDS = 10.0

# numpy's linear algebra must not start threads beside the other workers'.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


class EngineError(Exception):
    """The cluster cannot be reached or is gone; the message says what to do."""


@dataclass(frozen=True)
class Summary:
    """How the runs asked for ended."""

    states: dict[str, RunState]  # of every run, by key
    trained: tuple[str, ...]  # keys of those that were not complete before
    lacking: dict[str, str]  # why a complete run has not all its recordings, by key

    @property
    def failed(self) -> tuple[str, ...]:
        """Keys of runs that are not complete, or lack a recording."""
        return tuple(
            key for key, state in self.states.items() if not state.complete or key in self.lacking
        )


def run_cells(
    cells: Sequence[Cell],
    store: Store,
    jobs: int = 1,
    scheduler: str | None = None,
    checkpoint_seconds: float = 60.0,
    console: Console | None = None,
    device: str = "cpu",
    train: Train = train_shard,
) -> Summary:
    """Train every run of `cells` that is not complete, from its checkpoint where it has one, and
    once more those that are but lack a recording.

    In this process with `jobs=1` or when one shard is all there is, else in `jobs` local processes,
    or on the Dask cluster whose scheduler has the address `scheduler` (`tcp://host:port`; `jobs` is
    not used then). All workers
    share the store's folder. A shard that raises leaves its runs `failed` and the others go on; the
    shard of a worker that dies goes on elsewhere from its checkpoints. Interrupted (Ctrl-C), runs
    keep their last checkpoint.

    Raises StoreError when the store cannot be written or read, EngineError when the cluster cannot
    be reached.
    """
    left = _left(cells, store)
    pending = tuple(run.key() for cell in left for run in cell.runs)
    if left:
        store = Store(store.root.resolve())
        with storing("write", store.root):
            store.root.mkdir(parents=True, exist_ok=True)
        with Display(console or Console(), left, store) as display:
            shards = make_shards(left, jobs)
            # A single shard needs no second process, whose start costs seconds.
            if scheduler is None and (jobs == 1 or len(shards) == 1):
                _train_here(shards, store, train, device, checkpoint_seconds, display)
            else:
                with _cluster(jobs, scheduler) as client:
                    slots = jobs if scheduler is None else sum(client.nthreads().values())
                    shards = make_shards(left, max(1, slots))
                    arguments = (store.root, train, device, checkpoint_seconds)
                    _train_on(client, shards, store, arguments, display)
            display.ends()
    runs = {run.key(): run for cell in cells for run in cell.runs}
    states = {key: store.state(key) for key in runs}
    lacking = {key: _why_lacking(key, store) for key, run in runs.items() if lacks(run, store)}
    return Summary(states, pending, lacking)


def _why_lacking(key: str, store: Store) -> str:
    """Why a complete run that trained once more still lacks a recording."""
    return store.mismatch(key) or store.again().state(key).message or "training it again was ended"


def _left(cells: Sequence[Cell], store: Store) -> list[Cell]:
    """The cells with the runs that are not complete or lack a recording, each run once; cells
    without one left out."""
    seen: set[str] = set()
    left = []
    for cell in cells:
        runs = []
        for run in cell.runs:
            key = run.key()
            if key not in seen and (not store.state(key).complete or lacks(run, store)):
                runs.append(run)
            seen.add(key)
        if runs:
            left.append(cell.model_copy(update={"runs": tuple(runs)}))
    return left


def _train_here(
    shards: Sequence[Shard],
    store: Store,
    train: Train,
    device: str,
    checkpoint_seconds: float,
    display: Display,
) -> None:
    queue = deque(shards)
    while queue:
        shard = queue.popleft()
        busy = work(shard, store.root, train, device, checkpoint_seconds, display.update)
        display.ends()
        if busy:
            display.note(busy)
            queue.append(shard)
            time.sleep(BUSY_SECONDS)


@contextmanager
def _cluster(jobs: int, scheduler: str | None) -> Iterator[Any]:
    """A client of a cluster of local processes, or of the one at `scheduler`."""
    # Imported here: training in this process does not need it.
    import dask
    from distributed import Client, LocalCluster

    if scheduler is not None:
        try:
            client = Client(scheduler, timeout=CONNECT_SECONDS)  # type: ignore[no-untyped-call]
        except (OSError, ValueError) as error:
            raise EngineError(
                f"cannot reach a Dask scheduler at {scheduler}: {error}. Start one with `dask"
                " scheduler` and workers with `dask worker`, or give --jobs instead."
            ) from error
        with client:
            yield client
        return
    settings = {
        "distributed.worker.profile.enabled": False,
        "distributed.nanny.pre-spawn-environ": ONE_THREAD,
    }
    with (
        dask.config.set(settings),
        LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=jobs,
            threads_per_worker=1,
            memory_limit=0,  # no limit: a worker is not killed for what its shard needs
            dashboard_address=":0",
            scheduler_kwargs={"dashboard": False},
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,  # type: ignore[no-untyped-call]
    ):
        yield client


class Stopped(BaseException):
    """Nobody waits for this shard any more."""


def _work_on_worker(
    shard: Shard, root: Path, train: Train, device: str, checkpoint_seconds: float
) -> str:
    """`work` in a Dask worker; it ends early when the engine that wants the shard went away.

    Warnings become the engine's: nobody may see what a worker prints.
    """
    from distributed import get_worker

    worker = get_worker()
    task_key = worker.get_current_task()

    def stop_when_unwanted() -> None:
        task = worker.state.tasks.get(task_key)
        if task is None or task.state == "cancelled":
            raise Stopped

    with warnings.catch_warnings():
        # What is logged as "warn" each client warns of.
        warnings.showwarning = lambda message, *_, **__: worker.log_event("warn", str(message))
        return work(shard, root, train, device, checkpoint_seconds, stop_when_unwanted)


def _train_on(
    client: Any, shards: Sequence[Shard], store: Store, arguments: tuple[Any, ...], display: Display
) -> None:
    from distributed import KilledWorker, wait

    queue = deque(shards)
    asleep: list[tuple[float, Shard]] = []
    running: dict[Any, Shard] = {}
    workers: dict[str, int] = {}
    while queue or asleep or running:
        workers = _note_workers(workers, client.nthreads(), display)
        now = time.monotonic()
        queue.extend(shard for until, shard in asleep if until <= now)
        asleep = [(until, shard) for until, shard in asleep if until > now]
        # Only as many as can run: the rest stays here, so that no shard waits behind a long one.
        while queue and len(running) < sum(workers.values()):
            shard = queue.popleft()
            future = client.submit(_work_on_worker, shard, *arguments, pure=False)
            running[future] = shard
        done: set[Any] = set()
        if running:
            with suppress(TimeoutError):
                finished = wait(  # type: ignore[no-untyped-call]
                    list(running), timeout=1.0, return_when="FIRST_COMPLETED"
                )
                done = finished.done
        else:
            time.sleep(0.2)
        for future in done:
            shard = running.pop(future)
            if future.status == "finished":
                busy = future.result()
                if busy:
                    display.note(busy)
                    asleep.append((time.monotonic() + BUSY_SECONDS, shard))
                continue
            if future.status != "error":
                raise EngineError(
                    "the Dask scheduler is gone. Start it and run again; finished runs are kept and"
                    " unfinished ones go on from their last checkpoint."
                )
            error = future.exception()
            if isinstance(error, StoreError):
                raise error
            if not isinstance(error, KilledWorker):
                raise EngineError(
                    f"a worker cannot train: {error!r}. Workers need the same installation of this"
                    " project and its constraints.txt."
                ) from error
            _fail(shard, store, f"the workers that trained it died: {error}")
        display.update()


def _note_workers(
    before: dict[str, int], present: dict[str, int], display: Display
) -> dict[str, int]:
    for address in before.keys() - present.keys():
        display.note(f"worker {address} is gone; what it trained goes on from its checkpoints")
    if before and not present:
        display.note("no worker is left; waiting for one")
    return present


def _fail(shard: Shard, store: Store, error: str) -> None:
    for run in shard.runs:
        if not store.state(run.key()).complete:
            store.fail(run.key(), error)
