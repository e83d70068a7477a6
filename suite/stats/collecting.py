"""All runs that verdicts may count: those in the store and those in committed evidence."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from suite.specs.models import SCALES, Cell, RunSpec, Scale
from suite.specs.project import Project
from suite.stats.runs import Run
from suite.store.evidence import Damaged, Record, load, outdated
from suite.store.store import Store

Cells = Mapping[tuple[str, str], Cell]


def collect_runs(project: Project, store: Store, evidence: Path) -> list[Run]:
    """Every run that is planned at any scale or follows the planned seeds in the store, in its
    present state, and all committed evidence.

    A run that is in the store and in the evidence is taken from the store. What describes a task
    and decides nothing about training (`random_return`, `note`) is that of the present spec, not
    what the run's own had. Evidence whose key the present specs would not give (a setting or a
    behaviour version changed) is stale; an evidence file that cannot be used is a `corrupt` run
    whose message names the file. A seed that trained together with one in the evidence and is
    nowhere itself is `queued`, planned or not. Raises StoreError for an unreadable store.
    """
    runs: dict[str, Run] = {}
    cells: Cells = {
        (cell.id, cell.scale): cell for scale in SCALES for cell in project.cells[scale]
    }
    for cell in cells.values():
        for spec in begun_runs(store, cell):
            runs[spec.key()] = _stored(store, cell, spec)
    records, damaged = load(evidence)
    for record in records:
        planned = cells.get((record.cell, record.scale))
        wanted = planned.runs[0].analyses if planned is not None else None
        run = Run.of(record, stale=staleness(record, cells), analyses=wanted)
        if record.key not in runs or runs[record.key].state not in ("done", "diverged"):
            runs[record.key] = run
    for file in damaged:
        if file.key not in runs or runs[file.key].state not in ("done", "diverged"):
            runs[file.key] = _corrupt(file)
    runs = {key: _described(run, cells) for key, run in runs.items()}
    for (cell_id, scale), seeds in _companions(runs.values()).items():
        for seed in seeds:
            spec = cells[cell_id, scale].run(seed)
            runs.setdefault(spec.key(), _queued(cell_id, scale, spec))
    return sorted(runs.values(), key=lambda run: (run.cell, run.scale, run.seed, run.key))


def begun_runs(store: Store, cell: Cell) -> Iterator[RunSpec]:
    """The planned runs, and the seeds that follow them as far as the store has begun them."""
    yield from cell.runs
    seed = cell.first_seed + len(cell.runs)
    while store.state((spec := cell.run(seed)).key()).state != "queued":
        yield spec
        seed += 1


def _stored(store: Store, cell: Cell, spec: RunSpec) -> Run:
    key = spec.key()
    found = store.state(key)
    if found.complete:
        results = (store.analysis(key, analysis.key(key)) for analysis in spec.analyses)
        present = tuple(result for result in results if result is not None)
        record = Record(store.record(key), store.provenance(key), key, present)
        return Run.of(record, analyses=spec.analyses)
    # The last line of a traceback says what went wrong.
    message = found.message.strip().rpartition("\n")[2]
    if found.state == "corrupt":
        message = f"run {key}: {message}; train it again"
    document = spec.trained()
    return Run(key, cell.id, cell.scale, spec.seed, found.state, message, document)


def _described(run: Run, cells: Cells) -> Run:
    """With the present spec, which for a run that is not stale differs in descriptions only, and
    the analyses that it asks for in vain."""
    cell = cells.get((run.cell, run.scale))
    if cell is None or run.stale or not run.spec:
        return run
    spec = cell.run(run.seed)
    lacking = tuple(one.kind for one in spec.analyses if one.kind not in run.analyses)
    return replace(run, spec=spec.trained(), lacking=lacking if run.series else ())


def _queued(cell: str, scale: Scale, spec: RunSpec) -> Run:
    return Run(spec.key(), cell, scale, spec.seed, "queued", spec=spec.trained())


def _corrupt(file: Damaged) -> Run:
    return Run(file.key, file.cell, file.scale, file.seed, "corrupt", file.reason)


def _companions(runs: Iterable[Run]) -> dict[tuple[str, Scale], set[int]]:
    """By cell and scale, the seeds that runs name as trained together with them."""
    seeds: dict[tuple[str, Scale], set[int]] = {}
    for run in runs:
        if not run.stale:
            named = run.provenance.get("companions", ())
            seeds.setdefault((run.cell, run.scale), set()).update(named)
    return seeds


def staleness(record: Record, cells: Cells) -> str:
    """Why the present cells, by id and scale, would not give a record's key; "" when they do."""
    cell = cells.get((record.cell, record.scale))
    if cell is None:
        return f"no study has {record.cell} at scale {record.scale}"
    spec = cell.run(record.seed)
    if spec.key() == record.key:
        return ""
    return "; ".join(outdated(record, spec.versions)) or "a setting changed since"
