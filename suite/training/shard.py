"""A shard: the seeds of a cell that train stacked in this process."""

import functools
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Literal, Protocol

import numpy as np

from suite.specs.models import RunSpec
from suite.specs.registry import AGENTS
from suite.stacked.products import multiplying_in
from suite.stacked.streams import State
from suite.store import numerics, provenance
from suite.store.store import Store
from suite.training.off_policy import OffPolicyLoop
from suite.training.on_policy import OnPolicyLoop
from suite.training.process import configure
from suite.training.rows import Row, cut, stack
from suite.training.seconds import Seconds
from suite.training.series import Series
from suite.training.simulation import SimulationLoop
from suite.training.supervised import SupervisedLoop

RECORD_VERSION = 1

# Once per process: what it tells cannot change while the process lives.
_machine = functools.cache(provenance.collect)

PROGRESS_SECONDS = 2.0

# Names among the values of a checkpoint, beside those of the seed's row.
NUMERICS = "numerics"
RECORDED = "recorded"

# A checkpoint may take this share of the time between two checkpoints.
CHECKPOINT_SHARE = 0.01


class Loop(Protocol):
    """What a training loop offers."""

    step: int
    total: int
    diverged: np.ndarray  # [S] bool, seeds that stopped being finite
    series: Series
    seconds: Seconds

    def advance(self) -> None:
        """One step of every seed."""
        ...

    def evaluate(self) -> None:
        """Record what belongs to this step."""
        ...

    def figures(self, i: int) -> dict[str, float | None]:
        """Figures of one seed, from what was recorded so far."""
        ...

    def files(self, i: int) -> dict[str, dict[str, np.ndarray]]:
        """Arrays of one seed by the name of the file that they become."""
        ...

    def begin(self) -> None:
        """Start the files of the recordings; called once in a run, before the first evaluation."""
        ...

    def flush(self) -> None:
        """Wait until what was recorded is on the disk."""
        ...

    def state(self) -> State: ...

    def load_state(self, state: State) -> None: ...


# Each is called with a run, its seeds, the device, and the folders of the seeds' recordings.
LOOPS: dict[str, Callable[..., Loop]] = {
    "off_policy": OffPolicyLoop,
    "on_policy": OnPolicyLoop,
    "supervised": SupervisedLoop,
    "simulation": SimulationLoop,
}


@dataclass(frozen=True)
class Progress:
    """Where the seeds that train stacked now stand."""

    keys: tuple[str, ...]
    step: int
    total: int
    steps_per_second: float  # over all these seeds
    last_return: float | None  # newest evaluation, mean over these seeds


def train_shard(
    runs: Sequence[RunSpec],
    store: Store,
    cell: str,
    scale: str,
    device: str = "cpu",
    report: Callable[[Progress], None] | None = None,
    checkpoint_seconds: float = 60.0,
) -> None:
    """Train runs that differ in their seed only, from wherever their checkpoints are, to the end.

    Seeds whose checkpoints are at the same step train stacked; those behind first catch up with the
    others. A run whose checkpoint has other numerics than this process, or other recordings than
    are asked for, starts again from its beginning, with a warning. Completed runs are left alone. A
    seed whose parameters or actions stop being finite is completed as `diverged` and leaves the
    stack; the others go on and are not touched by it. The caller holds the runs' locks. `report` is
    called every two seconds.

    Raises ValueError when the runs differ in more than their seed.
    """
    configure()
    different = [run.seed for run in runs if _without_seed(run) != _without_seed(runs[0])]
    if different:
        raise ValueError(
            f"cell {cell!r}: the runs of seeds {different} differ from the run of seed "
            f"{runs[0].seed} in more than the seed; train them in shards of their own"
        )
    with multiplying_in(runs[0].agent.precision, device):
        _train(runs, store, cell, scale, device, report, checkpoint_seconds)


def _train(
    runs: Sequence[RunSpec],
    store: Store,
    cell: str,
    scale: str,
    device: str,
    report: Callable[[Progress], None] | None,
    checkpoint_seconds: float,
) -> None:
    present = numerics.present(device)
    waiting: dict[int, list[tuple[RunSpec, Row | None]]] = {}
    for run in runs:
        if not store.state(run.key()).complete:
            step, row = _beginning(run, store, f"{cell} {scale} seed {run.seed}", present)
            waiting.setdefault(step, []).append((run, row))
    while waiting:
        seeds = waiting.pop(min(waiting))
        group = _Group([run for run, _ in seeds], store, cell, scale, device, present)
        group.start([row for _, row in seeds if row is not None])
        seeds.clear()  # frees the checkpoints' memory
        meeting = min(waiting, default=group.loop.total)
        left = group.train(report, checkpoint_seconds, until=meeting)
        if left:
            waiting[meeting] += left


def _beginning(
    run: RunSpec, store: Store, name: str, present: dict[str, str]
) -> tuple[int, Row | None]:
    """Step and row from which a run goes on; 0 and None when it starts at its beginning."""
    checkpoint = store.load_checkpoint(run.key())
    if checkpoint is None:
        return 0, None
    values = dict(checkpoint.values)
    before, recorded = values.pop(NUMERICS, None), values.pop(RECORDED, None)
    wanted = _recorded(run)
    if before == present and recorded == wanted:
        return checkpoint.step, Row(checkpoint.arrays, values)
    why = "the checkpoint does not tell its numerics"
    if before == present:
        why = f"it recorded {_listed(recorded)}, now {_listed(wanted)} is asked for"
    elif before is not None:
        why = f"the numerics changed ({'; '.join(numerics.differences(before, present))})"
    warnings.warn(
        f"{name} starts again from its beginning; its work up to step {checkpoint.step} is dropped:"
        f" {why}",
        stacklevel=3,
    )
    return 0, None


def _recorded(run: RunSpec) -> list[str]:
    return [recording.name for recording in run.recordings]


def _listed(names: Sequence[str] | None) -> str:
    return ", ".join(names or ()) or "nothing"


def _without_seed(run: RunSpec) -> RunSpec:
    return run.model_copy(update={"seed": 0})


class _Group:
    """Seeds at the same step, trained stacked until each is completed."""

    def __init__(
        self,
        runs: list[RunSpec],
        store: Store,
        cell: str,
        scale: str,
        device: str,
        present: dict[str, str],
    ) -> None:
        self.runs = runs
        self.store = store
        self.cell = cell
        self.scale = scale
        self.device = device
        self.numerics = present
        self.loop = self._build()

    def _build(self) -> Loop:
        kind = AGENTS[self.runs[0].agent.kind]
        seeds = [run.seed for run in self.runs]
        folders = [self.store.recordings_folder(run.key()) for run in self.runs]
        return LOOPS[kind.loop](self.runs[0], seeds, self.device, folders)

    def start(self, rows: Sequence[Row]) -> None:
        """Go on from the seeds' rows of training state; without any, evaluate at step 0."""
        if rows:
            self.loop.load_state(stack(rows))
        else:
            self.loop.begin()
            self.loop.evaluate()

    def train(
        self,
        report: Callable[[Progress], None] | None,
        checkpoint_seconds: float,
        until: int,
    ) -> list[tuple[RunSpec, Row | None]]:
        """Train until step `until`, or until no seed is left; complete the seeds at the end.

        Returns the seeds that are not at their end yet, each with its row of training state.
        """
        evaluate_every = self.runs[0].evaluate_every
        next_checkpoint = monotonic() + checkpoint_seconds
        reported, reported_step = monotonic(), self.loop.step
        self._complete_diverged()
        while self.runs and self.loop.step < until:
            self.loop.advance()
            if self.loop.step % evaluate_every == 0 or self.loop.step == self.loop.total:
                self.loop.evaluate()
            if self.loop.diverged.any():
                self._complete_diverged()
            now = monotonic()
            if now >= next_checkpoint and self.runs:
                self._checkpoint()
                spent = monotonic() - now
                self.loop.seconds.add("checkpoint", spent)
                now = monotonic()
                next_checkpoint = now + max(checkpoint_seconds, spent / CHECKPOINT_SHARE)
            if report is not None and now >= reported + PROGRESS_SECONDS and self.runs:
                done = (self.loop.step - reported_step) * len(self.runs)
                report(self._progress(done / (now - reported)))
                reported, reported_step = now, self.loop.step
        if self.loop.step < self.loop.total:
            self.loop.flush()  # who goes on takes the files up again
            state = self.loop.state()
            return [(run, cut(state, i)) for i, run in enumerate(self.runs)]
        for i in range(len(self.runs)):
            self._complete(i, "done", "")
        return []

    def _checkpoint(self) -> None:
        self.loop.flush()
        state = self.loop.state()
        for i, run in enumerate(self.runs):
            row = cut(state, i)
            values = {**row.values, NUMERICS: self.numerics, RECORDED: _recorded(run)}
            self.store.save_checkpoint(run.key(), self.loop.step, row.arrays, values)

    def _complete_diverged(self) -> None:
        """Complete diverged seeds and go on with the others in a stack without them."""
        diverged = self.loop.diverged
        if not diverged.any():
            return
        for i in np.flatnonzero(diverged):
            self._complete(
                int(i),
                "diverged",
                f"parameters, actions or returns stopped being finite by step {self.loop.step}",
            )
        keep = np.flatnonzero(~diverged)
        self.runs = [self.runs[i] for i in keep]
        if self.runs:
            self.loop.flush()
            state = self.loop.state()
            rows = stack([cut(state, int(i)) for i in keep])
            self.loop = self._build()
            self.loop.load_state(rows)

    def _complete(self, i: int, state: Literal["done", "diverged"], message: str) -> None:
        run = self.runs[i]
        record = {
            "record_version": RECORD_VERSION,
            "key": run.key(),
            "cell": self.cell,
            "scale": self.scale,
            "seed": run.seed,
            "state": state,
            "message": message,
            "spec": run.trained(),
            "series": self.loop.series.of(i),
            "figures": self.loop.figures(i),
        }
        where = {
            **_machine(self.device),
            "numerics": self.numerics,
            "renderer": run.task.arguments.get("renderer"),
            "companions": [other.seed for other in self.runs if other is not run],
            "seconds": self.loop.seconds.of(i),  # this seed's share of the shard's
        }
        self.loop.flush()
        files = self.loop.files(i)
        self.store.complete(run.key(), record, where, files, state, _recorded(run))

    def _progress(self, steps_per_second: float) -> Progress:
        returns = [self.loop.series.last(i, "return") for i in range(len(self.runs))]
        known = [value for value in returns if value is not None]
        return Progress(
            keys=tuple(run.key() for run in self.runs),
            step=self.loop.step,
            total=self.loop.total,
            steps_per_second=steps_per_second,
            last_return=sum(known) / len(known) if known else None,
        )
