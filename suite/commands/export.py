"""All series of all runs, for one's own plots: a long table (CSV, Parquet), TensorBoard events."""

import csv
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from suite.specs.models import SCALES
from suite.specs.project import Project
from suite.stats.runs import Run
from suite.store.atomic import temporary

COLUMNS = (
    "study",
    "cell",
    "task",
    "agent",
    "plugins",
    "scale",
    "seed",
    "key",
    "state",
    "series",
    "step",
    "value",
)
ROWS_AT_ONCE = 100_000

Row = tuple[str, str, str, str, str, str, int, str, str, str, int, float | None]


class ExportError(Exception):
    """Nothing was exported; the message says why and what to do."""


def rows(project: Project, runs: Iterable[Run]) -> Iterator[Row]:
    """A row of `COLUMNS` for each value of each series, in the order of `runs`.

    Several studies or plug-ins are joined by `+`, and none is `none`, as in a cell's id. `value` is
    None where it was not finite.
    """
    studies: dict[str, dict[str, None]] = {}
    for scale in SCALES:
        for cell in project.cells[scale]:
            studies.setdefault(cell.id, {}).update(dict.fromkeys(cell.studies))
    for run in runs:
        task, agent, plugins = run.cell.split("--", 2)
        fixed = (
            "+".join(studies.get(run.cell, {})) or "none",
            run.cell,
            task,
            agent,
            plugins,
            run.scale,
            run.seed,
            run.key,
            run.state,
        )
        for name, series in run.series.items():
            for step, value in zip(series.steps, series.values, strict=True):
                yield *fixed, name, int(step), None if math.isnan(value) else float(value)


def write_csv(table: Iterable[Row], path: Path) -> int:
    """Write rows as CSV with a header, every digit kept, None as nothing; their number.

    Raises ExportError when the file cannot be written.
    """
    count = 0

    def write(new: Path) -> None:
        nonlocal count
        with new.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            for row in table:
                writer.writerow(row)
                count += 1

    _whole(path, write)
    return count


def write_parquet(table: Iterable[Row], path: Path) -> int:
    """Write rows as Parquet, names as dictionaries; their number.

    Raises ExportError when pyarrow is missing or the file cannot be written.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise _missing("Parquet", "pyarrow") from error
    kinds = {"seed": pyarrow.int64(), "step": pyarrow.int64(), "value": pyarrow.float64()}
    schema = pyarrow.schema([(name, kinds.get(name, pyarrow.string())) for name in COLUMNS])
    count = 0

    def write(new: Path) -> None:
        nonlocal count
        with parquet.ParquetWriter(new, schema) as writer:
            rest = iter(table)
            while part := list(islice(rest, ROWS_AT_ONCE)):
                columns = dict(zip(COLUMNS, zip(*part, strict=True), strict=True))
                writer.write_table(pyarrow.table(columns, schema=schema))
                count += len(part)

    _whole(path, write)
    return count


def write_tensorboard(runs: Sequence[Run], folder: Path) -> int:
    """Write `<scale>/<cell>/seed-<n>-<key>/` below `folder`, a scalar a value; their number.

    Times of single values are not recorded, so that all events carry time 0. Values that were not
    finite are left out. Raises ExportError when tensorboardX is missing, or the folder cannot be
    written or holds something: events of two exports would be drawn on top of each other.
    """
    try:
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary
        from tensorboardX.record_writer import RecordWriter
    except ImportError as error:
        raise _missing("TensorBoard events", "tensorboardX") from error
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ExportError(f"{folder} is not an empty folder; name another one or delete it")
    count = 0
    try:
        for run in runs:
            below = folder / run.scale / run.cell / f"seed-{run.seed}-{run.key}"
            below.mkdir(parents=True)
            # The writer of records, as SummaryWriter would lose what its thread fails to write.
            writer = RecordWriter(str(below / f"events.out.tfevents.0.{run.key}"))
            writer.write(Event(file_version="brain.Event:2").SerializeToString())
            for name, series in run.series.items():
                for step, value in zip(series.steps, series.values, strict=True):
                    if not math.isnan(value):
                        scalar = Summary.Value(tag=name, simple_value=value)
                        event = Event(step=int(step), summary=Summary(value=[scalar]))
                        writer.write(event.SerializeToString())
                        count += 1
            writer.close()
    except OSError as error:
        raise _unwritable(folder, error) from error
    return count


def _whole(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file, then make it `path`."""
    new = temporary(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(new)
            os.replace(new, path)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> ExportError:
    return ExportError(f"cannot write {path}: {error}; name a place that can be written")


def _missing(what: str, package: str) -> ExportError:
    return ExportError(
        f"{what} needs the package {package}, which is not installed; install it with"
        " `python -m pip install -c constraints.txt '.[export]'`, or export to a .csv"
    )
