"""What a process does with a shard."""

import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from suite.specs.models import RunSpec
from suite.store.atomic import StoreError
from suite.store.store import RunLocked, Store

# How long to leave a shard alone whose runs another process trains.
BUSY_SECONDS = 2.0


@dataclass(frozen=True)
class Shard:
    """Runs of one cell, differing in their seed only, that train stacked in one process."""

    cell: str
    scale: str
    runs: tuple[RunSpec, ...]
    seconds: float  # estimate of the training time


class Progress(Protocol):
    """Where the seeds of a shard that train stacked now stand."""

    @property
    def keys(self) -> Sequence[str]: ...
    @property
    def step(self) -> int: ...
    @property
    def total(self) -> int: ...
    @property
    def steps_per_second(self) -> float: ...  # over all these seeds
    @property
    def last_return(self) -> float | None: ...  # mean over these seeds


Train = Callable[..., None]
"""`suite.training.shard.train_shard` or a function called like it:
`(runs, store, cell, scale, device, report, checkpoint_seconds)`."""


def work(
    shard: Shard,
    root: Path,
    train: Train,
    device: str,
    checkpoint_seconds: float,
    notice: Callable[[], None] | None = None,
) -> str:
    """Train what is left of a shard; each run ends complete or failed.

    A complete run that lacks a recording trains once more, beside its result, and must leave the
    same record; where it does not, the recording stays missing and the store knows why.

    Returns why nothing was done when another process trains one of the runs, else "". An exception
    of training marks the runs that are not complete as failed, with the traceback. `notice` is
    called whenever progress was noted in the store. Raises StoreError when the store fails.
    """
    if not root.is_dir():
        raise StoreError(
            f"there is no store {root} here. All workers must share the folder of the store."
        )
    store = Store(root)

    def report(progress: Progress) -> None:
        for key in progress.keys:
            store.save_progress(
                key,
                {
                    "step": progress.step,
                    "total": progress.total,
                    "steps_per_second": progress.steps_per_second / len(progress.keys),
                    "return": progress.last_return,
                },
            )
        if notice is not None:
            notice()

    with ExitStack() as locks:
        try:
            for run in shard.runs:
                locks.enter_context(store.lock(run.key()))
        except RunLocked as busy:
            return str(busy)
        fresh = [run for run in shard.runs if not store.state(run.key()).complete]
        repeated = [run for run in shard.runs if run not in fresh and lacks(run, store)]
        for runs, place in ((fresh, store), (repeated, store.again())):
            pending = [run for run in runs if not place.state(run.key()).complete]
            for run in pending:
                place.begin(run.key(), run.trained())
            if pending:
                error = _train(
                    train,
                    pending,
                    place,
                    shard.cell,
                    shard.scale,
                    device,
                    report,
                    checkpoint_seconds,
                )
                for run in pending:
                    if not place.state(run.key()).complete:
                        place.fail(run.key(), error or "training ended before the run was complete")
        for run in repeated:
            if store.again().state(run.key()).complete:
                store.adopt(run.key())
    return ""


def lacks(run: RunSpec, store: Store) -> list[str]:
    """Names of the recordings that a run is to have and a complete one has not."""
    if not run.recordings or not store.state(run.key()).complete:
        return []
    present = store.recordings(run.key())
    return [recording.name for recording in run.recordings if recording.name not in present]


def _train(train: Train, runs: Sequence[RunSpec], store: Store, *arguments: Any) -> str:
    """Traceback of what training raised, "" when it raised nothing."""
    try:
        train(runs, store, *arguments)
    except StoreError:
        raise
    except Exception:
        return traceback.format_exc()
    return ""
