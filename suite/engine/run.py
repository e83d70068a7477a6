"""Training cells: from what is asked for to complete runs in the store."""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from suite.engine.cluster import Training, cluster
from suite.engine.display import Display
from suite.engine.shards import make_shards
from suite.engine.work import BUSY_SECONDS, Shard, Train, lacks, work
from suite.engine.workers import terms
from suite.specs.models import Cell
from suite.store.atomic import storing
from suite.store.store import RunState, Store
from suite.training.shard import train_shard


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
    not used then). A worker that runs other code than this process or does not share the store's
    folder is refused. A shard that raises leaves its runs `failed` and the others go on; the
    shard of a worker that dies goes on elsewhere from its checkpoints, and fails when four workers
    in a row died without an advance of a checkpoint. Interrupted (Ctrl-C), runs keep their last
    checkpoint.

    Raises StoreError when the store cannot be written or read, EngineError when the cluster cannot
    be reached or all of its workers are refused.
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
                with cluster(jobs, scheduler) as client, terms(store.root) as asked:
                    slots = jobs if scheduler is None else sum(client.nthreads().values())
                    shards = make_shards(left, max(1, slots))
                    Training(
                        client, shards, store, asked, train, device, checkpoint_seconds, display
                    ).run()
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
