"""Shards on a Dask cluster: which workers may train, and what becomes of a worker's shard.

Each shard is sent to one worker, so that the engine knows whose death it was: Dask's own count of
deaths (`allowed-failures`) knows nothing of checkpoints and belongs to the scheduler.
"""

import logging
import math
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from suite.engine.display import Display
from suite.engine.work import BUSY_SECONDS, Shard, Train, lacks
from suite.engine.workers import Busy, Refused, Terms, Unchecked, check, train_on_worker
from suite.specs.models import RunSpec
from suite.store.atomic import StoreError
from suite.store.store import RunState, Store

# A shard fails after so many deaths of its workers in a row between which no checkpoint advanced.
DEATHS = 4

# A shard that died without progress saves that many times as often in its next attempt: workers
# that live shorter than the time between two checkpoints would never get it further.
SOONER = 4

# How long to try to reach a scheduler.
CONNECT_SECONDS = 10.0

# How long to wait for another worker when all that are there were refused.
REFUSED_SECONDS = 10.0

# numpy's linear algebra must not start threads beside the other workers'.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}

SCHEDULER_GONE = (
    "the Dask scheduler is gone. Start it and run again; finished runs are kept and unfinished ones"
    " go on from their last checkpoint."
)


class Lost(Exception):
    """A task was over, and what is known of it died with its worker."""


class EngineError(Exception):
    """The cluster cannot be reached, is gone or cannot train; the message says what to do."""


@contextmanager
def cluster(jobs: int, scheduler: str | None) -> Iterator[Any]:
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
        ) as local,
        Client(local) as client,  # type: ignore[no-untyped-call]
    ):
        yield client


@dataclass(eq=False)
class _Job:
    """A shard until it is over."""

    shard: Shard
    reached: list[float]  # of each run, the furthest step known to be kept; infinity when complete
    deaths: int = 0  # in a row without progress


class Training:
    """Trains shards on the workers of a cluster, of which each is checked before it gets one."""

    def __init__(
        self,
        client: Any,
        shards: Sequence[Shard],
        store: Store,
        terms: Terms,
        train: Train,
        device: str,
        checkpoint_seconds: float,
        display: Display,
    ) -> None:
        self._client = client
        self._store = store
        self._terms = terms
        self._train = train
        self._device = device
        self._checkpoint_seconds = checkpoint_seconds
        self._display = display
        self._waiting = deque(_Job(shard, self._reached(shard)) for shard in shards)
        self._asleep: list[tuple[float, _Job]] = []  # with the time at which they wake up
        self._running: dict[Any, tuple[_Job, str]] = {}  # with the worker's address, by future
        self._threads: dict[str, int] = {}  # of the workers present, by address
        self._checks: dict[str, Any] = {}  # futures, by address
        self._accepted: set[str] = set()
        self._refused: dict[str, str] = {}  # why, by address
        self._usable_at = time.monotonic()  # when not all workers were refused

    def run(self) -> None:
        """Returns when every run of the shards is complete or failed. Raises EngineError when
        nobody can train them, StoreError when the store fails."""
        while self._waiting or self._asleep or self._running:
            self._look_at_workers()
            self._read_checks()
            self._hand_out()
            self._wait()
            self._collect()
            self._display.update()

    def _look_at_workers(self) -> None:
        """Check who joined, and take back the shards of who is gone."""
        before = self._threads
        try:
            self._threads = self._client.nthreads()
        except OSError as error:
            raise EngineError(SCHEDULER_GONE) from error
        for address in before.keys() - self._threads.keys():
            self._lose(address)
        if before and not self._threads:
            self._display.note("no worker is left; waiting for one")
        for address in self._threads.keys() - self._accepted - self._refused.keys():
            if address not in self._checks:
                self._checks[address] = self._submit(address, check, self._terms)

    def _submit(self, address: str, function: Any, *arguments: Any) -> Any:
        return self._client.submit(
            function, *arguments, workers=[address], allow_other_workers=False, pure=False
        )

    def _lose(self, address: str) -> None:
        check = self._checks.pop(address, None)
        if check is not None:
            check.cancel()
        self._refused.pop(address, None)
        if address not in self._accepted:
            return
        self._accepted.remove(address)
        self._display.note(
            f"worker {address} is gone; what it trained goes on from its checkpoints"
        )
        for future, (job, where) in list(self._running.items()):
            # What is over by now is read below.
            if where == address and future.status == "pending":
                del self._running[future]
                future.cancel()
                self._died(job, address)

    def _read_checks(self) -> None:
        from distributed import KilledWorker

        for address, future in list(self._checks.items()):
            if future.status == "pending":
                continue
            del self._checks[address]
            error = _outcome(future)
            if error is None:
                self._accepted.add(address)
                continue
            if isinstance(error, KilledWorker | Lost):
                continue
            if isinstance(error, Refused):
                why = f"{error}."
            else:
                why = (
                    f"it cannot run this project's code ({error!r}). Install the same version and"
                    " its constraints.txt there and restart the worker."
                )
            self._refused[address] = why
            self._display.note(f"worker {address} is refused: {why}")
        now = time.monotonic()
        if self._threads.keys() != self._refused.keys() or not self._refused:
            self._usable_at = now
        elif now > self._usable_at + REFUSED_SECONDS:
            lines = (f"worker {address}: {why}" for address, why in self._refused.items())
            raise EngineError("\n".join(["no worker of the cluster can train:", *lines]))

    def _hand_out(self) -> None:
        """Give each free thread a shard: as many as can run, so that none waits behind another."""
        now = time.monotonic()
        self._waiting.extend(job for until, job in self._asleep if until <= now)
        self._asleep = [(until, job) for until, job in self._asleep if until > now]
        busy = Counter(address for _, address in self._running.values())
        free = sorted(
            (slot, address)
            for address in self._accepted
            for slot in range(busy[address], self._threads[address])
        )
        for _, address in free:
            if not self._waiting:
                return
            job = self._waiting.popleft()
            future = self._submit(
                address,
                train_on_worker,
                job.shard,
                self._terms.token.name,
                self._train,
                self._store.root,
                self._device,
                self._checkpoint_seconds / SOONER**job.deaths,
            )
            self._running[future] = (job, address)

    def _wait(self) -> None:
        """Until something is over, for a second at most."""
        from distributed import wait

        futures = [*self._running, *self._checks.values()]
        if not futures:
            time.sleep(0.2)
            return
        with suppress(TimeoutError, CancelledError):
            wait(futures, timeout=1.0, return_when="FIRST_COMPLETED")  # type: ignore[no-untyped-call]

    def _collect(self) -> None:
        from distributed import KilledWorker

        for future in [future for future in self._running if future.status != "pending"]:
            job, address = self._running.pop(future)
            error = _outcome(future)
            if error is None:
                continue
            if isinstance(error, Busy):
                self._display.note(str(error))
                self._asleep.append((time.monotonic() + BUSY_SECONDS, job))
            elif isinstance(error, Unchecked):
                self._accepted.discard(address)
                self._died(job, address)
            elif isinstance(error, KilledWorker | Lost):
                self._died(job, address)
            elif isinstance(error, StoreError):
                raise error
            else:
                raise EngineError(
                    f"worker {address} cannot train: {error!r}. Workers need the same installation"
                    " of this project and its constraints.txt."
                ) from error

    def _died(self, job: _Job, address: str) -> None:
        """Let the shard of a dead worker go on elsewhere, unless its deaths lead nowhere."""
        reached = list(map(max, job.reached, self._reached(job.shard)))
        job.deaths = 0 if reached != job.reached else job.deaths + 1
        job.reached = reached
        if min(reached) == math.inf:
            return
        if job.deaths < DEATHS:
            self._waiting.appendleft(job)
            return
        for run in job.shard.runs:
            place = self._place(run)
            if not place.state(run.key()).complete:
                place.fail(
                    run.key(),
                    f"{DEATHS} workers in a row died while they trained it and no checkpoint"
                    f" advanced, the last one {address}. Its log or the system's tells why; memory"
                    " is a common reason.",
                )

    def _reached(self, shard: Shard) -> list[float]:
        return [_step(self._place(run).state(run.key())) for run in shard.runs]

    def _place(self, run: RunSpec) -> Store:
        """Where a run trains: beside its result, if it trains once more for a recording."""
        return self._store.again() if lacks(run, self._store) else self._store


def _outcome(future: Any) -> BaseException | None:
    """What a task that is over raised; None when nothing. Raises EngineError without scheduler."""
    status = future.status
    error: BaseException | None = future.exception() if status == "error" else None
    # Else the scheduler has a lost result computed again.
    future.release()
    if status == "lost":
        return Lost()
    if status not in ("finished", "error"):
        raise EngineError(SCHEDULER_GONE)
    return error


def _step(state: RunState) -> float:
    """How far a run would go on from. What a running one tells may be ahead of its checkpoint."""
    if state.complete:
        return math.inf
    return float(state.step or 0) if state.state == "interrupted" else 0.0
