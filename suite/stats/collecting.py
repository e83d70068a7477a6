"""All runs that verdicts may count: those in the store and those in committed evidence."""

from collections.abc import Mapping
from pathlib import Path

from suite.specs.loading import Project
from suite.specs.models import SCALES, Cell, RunSpec
from suite.stats.runs import Run
from suite.store.evidence import Record, load, outdated
from suite.store.store import Store


def collect_runs(project: Project, store: Store, evidence: Path) -> list[Run]:
    """Every run that is planned at any scale, in its present state, and all committed evidence.

    A run that is in the store and in the evidence is taken from the store. Evidence whose key the
    present specs would not give (a setting or a behaviour version changed) is stale. Raises
    StoreError for unreadable files.
    """
    runs: dict[str, Run] = {}
    cells: dict[tuple[str, str], Cell] = {
        (cell.id, cell.scale): cell for scale in SCALES for cell in project.cells[scale]
    }
    for cell in cells.values():
        for spec in cell.runs:
            runs[spec.key()] = _stored(store, cell, spec)
    for record in load(evidence):
        if runs.get(record.key) is None or runs[record.key].state not in ("done", "diverged"):
            runs[record.key] = Run.of(record, stale=staleness(record, cells))
    return sorted(runs.values(), key=lambda run: (run.cell, run.scale, run.seed, run.key))


def _stored(store: Store, cell: Cell, spec: RunSpec) -> Run:
    key = spec.key()
    found = store.state(key)
    if found.complete:
        return Run.of(Record(store.record(key), store.provenance(key), key))
    # The last line of a traceback says what went wrong.
    message = found.message.strip().rpartition("\n")[2]
    document = spec.model_dump(mode="json")
    return Run(key, cell.id, cell.scale, spec.seed, found.state, message, document)


def staleness(record: Record, cells: Mapping[tuple[str, str], Cell]) -> str:
    """Why the present cells, by id and scale, would not give a record's key; "" when they do."""
    cell = cells.get((record.cell, record.scale))
    if cell is None:
        return f"no study has {record.cell} at scale {record.scale}"
    spec = cell.runs[0].model_copy(update={"seed": record.seed})
    if spec.key() == record.key:
        return ""
    return "; ".join(outdated(record, spec.versions)) or "a setting changed since"
