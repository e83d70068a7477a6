"""From a figure of a paper and our runs to panels.

A figure is drawn for each task that has runs of enough of its arms, at the largest scale that has
them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from suite.report.panels import (
    Cells,
    Line,
    Panel,
    group_title,
    grouped,
    lines_of,
    panel_id,
)
from suite.report.paper_figures import FIGURES, PaperFigure
from suite.report.references import ByClaim
from suite.specs.models import SCALES
from suite.stats.runs import Run, is_named


@dataclass(frozen=True)
class Redrawn:
    """A figure of a paper with its panels, one per task; none where runs are lacking."""

    figure: PaperFigure
    panels: tuple[Panel, ...]


def redraw(study: str, runs: Sequence[Run], judged: ByClaim) -> list[Redrawn]:
    """All figures of a study."""
    return [
        Redrawn(figure, tuple(_panels(place, figure, runs, judged)))
        for place, figure in enumerate(FIGURES)
        if figure.study == study
    ]


def _panels(place: int, figure: PaperFigure, runs: Sequence[Run], judged: ByClaim) -> list[Panel]:
    groups = grouped(runs)
    panels = []
    for task in figure.tasks:
        wanted = figure.cells_of(task)
        here = [group for group in groups if group[0] == task]
        for group in sorted(here, key=lambda g: (-SCALES.index(g[1]), -g[2])):
            cells = {cell: groups[group][cell] for cell in wanted if cell in groups[group]}
            names = _series(cells, figure.series)
            lines = lines_of(cells, {c: figure.label(c) for c in cells}, names, figure.change)
            if len(lines) < figure.arms or not any(_is_drawn(line) for line in lines):
                continue
            panels.append(
                Panel(
                    id=panel_id("figure", str(place), task),
                    title=group_title(group),
                    quantity=figure.quantity,
                    note="mean over layers" if len(names) > 1 else "",
                    lines=tuple(lines),
                    references=tuple(figure.references(lines, cells, judged)),
                    logarithmic=figure.logarithmic,
                )
            )
            break
    return panels


def _series(cells: Cells, series: str) -> set[str]:
    names = {name for runs in cells.values() for run in runs for name in run.series}
    return {name for name in names if is_named(name, series)}


def _is_drawn(line: Line) -> bool:
    """Whether there are two points to join."""
    return int(np.isfinite(line.mean).sum()) > 1
