"""How many runs of each cell are in which state, and what of them is not recorded or analysed."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

from suite.engine.work import lacks
from suite.specs.models import SCALES, AnalysisSpec, Scale
from suite.specs.project import Project
from suite.stats.runs import Run
from suite.store.store import State, Store

STALE = "stale"
STATES: tuple[str, ...] = (*get_args(State), STALE)
NO_STUDY = "-"


@dataclass(frozen=True)
class Row:
    """The runs of one cell at one scale, as one study has them."""

    study: str
    cell: str
    scale: Scale
    runs: tuple[Run, ...]

    @property
    def counts(self) -> Counter[str]:
        """Runs by state; those of earlier specs or behaviour are stale, whatever else they are."""
        return Counter(state_of(run) for run in self.runs)


def state_of(run: Run) -> str:
    """One of `STATES`."""
    return STALE if run.stale else run.state


@dataclass(frozen=True)
class Looks:
    """What is asked of runs for analyses and is not there."""

    lacking: int
    """Complete runs of the store that lack a recording."""
    waiting: int
    """Analyses of runs that are not complete or lack a recording."""
    missing: int
    """Analyses that could be computed and never were."""
    earlier: int
    """Analyses that could be computed and are there of an earlier version."""
    mismatches: tuple[tuple[Run, str], ...]
    """Runs that another record came of when they trained once more, with the reason."""

    def told(self) -> Iterator[str]:
        """A line for each of them that is there."""
        if self.lacking:
            yield f"recordings: {self.lacking} complete runs lack one; `suite run` repeats them"
        left = self.missing + self.earlier
        if self.waiting or left:
            counts = (
                f"{self.waiting} wait for runs or recordings",
                f"{self.missing} are missing",
                f"{self.earlier} are of an earlier version",
            )
            remedy = "; `suite analyse` computes them" if left else ""
            yield f"analyses: {', '.join(counts)}{remedy}"
        for run, reason in self.mismatches:
            yield f"{run.key}  {run.name()}, mismatch: {reason}"


def looks(project: Project, store: Store, rows: Sequence[Row]) -> Looks:
    """What the runs of some rows lack; a run of several rows counts once, a stale one not."""
    cells = {(cell.id, cell.scale): cell for scale in SCALES for cell in project.cells[scale]}
    runs = {run.key: run for row in rows for run in row.runs}
    lacking, counts = 0, Counter[str]()
    for run in runs.values():
        cell = cells.get((run.cell, run.scale))
        if cell is None or run.stale:
            continue
        spec = cell.run(run.seed)
        unrecorded = bool(lacks(spec, store))
        lacking += unrecorded
        for analysis in spec.analyses:
            if analysis.kind in run.analyses:
                continue
            if unrecorded or not store.state(run.key).complete:
                counts["waiting"] += 1
            else:
                counts["earlier" if _has_earlier(store, run.key, analysis) else "missing"] += 1
    mismatches = [(run, store.mismatch(run.key)) for run in runs.values()]
    return Looks(
        lacking,
        counts["waiting"],
        counts["missing"],
        counts["earlier"],
        tuple((run, reason) for run, reason in mismatches if reason),
    )


def _has_earlier(store: Store, key: str, analysis: AnalysisSpec) -> bool:
    """Whether a result of the same settings and an earlier version is there."""
    versions = range(1, analysis.version)
    earlier = (analysis.model_copy(update={"version": version}) for version in versions)
    return any(store.analysis(key, one.key(key)) is not None for one in earlier)


def status(
    project: Project, runs: Sequence[Run], study: str | None, scale: Scale | None
) -> Iterator[Row]:
    """A row for each study, cell and scale that has runs, in the order of the studies.

    Runs of cells that no study has are listed last, under study `-`; with `study` they are left
    out.
    """
    found: dict[tuple[str, Scale], list[Run]] = {}
    planned: dict[tuple[str, Scale], tuple[str, ...]] = {}
    anywhere: dict[str, set[str]] = {}
    for at in SCALES:
        for cell in project.cells[at]:
            found[cell.id, at] = []
            planned[cell.id, at] = cell.studies
            anywhere.setdefault(cell.id, set()).update(cell.studies)
    for run in runs:
        found.setdefault((run.cell, run.scale), []).append(run)
    for name in [*project.studies, NO_STUDY] if study is None else [study]:
        for cell_id in dict.fromkeys(cell_id for cell_id, _ in found):
            for at in SCALES if scale is None else (scale,):
                # Runs of a scale that is planned no more belong to the studies of the cell.
                studies = planned.get((cell_id, at)) or anywhere.get(cell_id, {NO_STUDY})
                if (cell_id, at) in found and name in studies:
                    yield Row(name, cell_id, at, tuple(found[cell_id, at]))
