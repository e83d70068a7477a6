"""How many runs of each cell are in which state."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

from suite.specs.models import SCALES, Scale
from suite.specs.project import Project
from suite.stats.runs import Run
from suite.store.store import State

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
