"""From a figure of a paper and our runs to panels.

A figure is drawn for each task that has runs of two of its arms (or of its only one), at the
largest scale that has them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

from suite.report.panels import (
    Cells,
    Group,
    Line,
    Panel,
    group_title,
    grouped,
    labels_of,
    lines_of,
    panel_id,
)
from suite.report.references import ByClaim, references
from suite.specs.claims import is_named
from suite.specs.figures import PaperFigure
from suite.specs.models import SCALES
from suite.specs.project import Study
from suite.stats.runs import Run


@dataclass(frozen=True)
class Redrawn:
    """A figure of a paper with its panels, one per task; none where runs are lacking."""

    figure: PaperFigure
    panels: tuple[Panel, ...]


def redraw(
    studies: Iterable[Study], runs: Sequence[Run], judged: ByClaim
) -> dict[str, list[Redrawn]]:
    """The figures of studies by the study's name."""
    groups = grouped(runs)
    places = count()
    return {
        study.name: [
            Redrawn(figure, tuple(_panels(next(places), figure, groups, judged)))
            for figure in study.figures
        ]
        for study in studies
    }


def _panels(
    place: int, figure: PaperFigure, groups: Mapping[Group, Cells], judged: ByClaim
) -> list[Panel]:
    panels = []
    for task in figure.tasks:
        wanted = figure.cells_of(task)
        labels = labels_of(wanted)
        here = [group for group in groups if group[0] == task]
        for group in sorted(here, key=lambda g: (-SCALES.index(g[1]), -g[2])):
            cells = {cell: groups[group][cell] for cell in wanted if cell in groups[group]}
            names = _series(cells, figure.series)
            lines = lines_of(cells, labels, names, lambda curves: _changed(figure, curves))
            if len(lines) < figure.least_arms(task):
                continue
            panel = Panel(
                id=panel_id("figure", str(place), task),
                title=group_title(group),
                quantity=figure.quantity,
                note="mean over layers" if len(names) > 1 else "",
                lines=tuple(lines),
                references=tuple(references(figure.null, lines, cells, judged)),
                logarithmic=figure.axis == "log",
                over=figure.over,
            )
            if any(_is_drawn(panel, line) for line in lines):
                panels.append(panel)
                break
    return panels


def _changed(figure: PaperFigure, curves: np.ndarray) -> np.ndarray:
    """Curves [S, E] as the figure shows them."""
    return 1.0 - curves if figure.change == "complement" else curves


def _series(cells: Cells, series: str) -> set[str]:
    names = {name for runs in cells.values() for run in runs for name in run.series}
    return {name for name in names if is_named(name, series)}


def _is_drawn(panel: Panel, line: Line) -> bool:
    """Whether there are two points to join."""
    return int(np.isfinite(panel.drawable(line.mean)).sum()) > 1
