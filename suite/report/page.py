"""The report: one HTML file that loads nothing, and its summary in Markdown.

It reads specs, runs (records and provenance), verdicts, and two folders beside the report:
`pictures/` and `side_by_side/`. The same inputs give the same bytes.
"""

import base64
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from suite.report import coverage
from suite.report.drawings import Drawings
from suite.report.findings import Finding
from suite.report.judged import WHOSE, Counts, Judged, Strip, counts, judged_by_study
from suite.report.numbers import (
    confidence,
    duration,
    interval,
    number,
    observed,
    percent,
    seen,
)
from suite.report.panels import (
    Group,
    Panel,
    diagnostic_panels,
    grouped,
    learning_panels,
    short_number,
)
from suite.report.redrawing import redraw
from suite.report.side_by_side import SideBySide, load_side_by_side
from suite.report.summary import SYMBOLS, summary
from suite.settling import Settling, settling
from suite.specs.figures import PaperFigure
from suite.specs.models import SCALES, TaskSpec
from suite.specs.project import Project, Study
from suite.stats import sequential
from suite.stats.runs import Run
from suite.stats.verdicts import STATES, Verdict
from suite.store.numerics import digest

PICTURES = {
    "raycast_and_gl.png": "The walker of DeepMind Control in one state, drawn twice. Left: by "
    "casting rays, the default, which needs no graphics library. Right: by OpenGL, which adds "
    "stars, shadows and reflections.",
}
"""What the pictures beside the report show, by file name."""


METHODS = {
    "bca+t": "bootstrap (BCa) and Student's t",
    "percentile+t": "bootstrap (percentile) and Student's t",
    "t": "Student's t",
    "order": "order of the seeds (sign test)",
}
"""How intervals are made, in words."""


@dataclass(frozen=True)
class Drawn:
    """A panel with its SVG."""

    panel: Panel
    svg: str

    @classmethod
    def of(cls, panel: Panel, drawings: Drawings) -> "Drawn":
        return cls(panel, drawings.svg(panel))


@dataclass(frozen=True)
class DrawnFigure:
    """A figure of a paper with its panels drawn."""

    figure: PaperFigure
    panels: tuple[Drawn, ...]


@dataclass(frozen=True)
class Paper:
    """A study with what was found, its verdicts, what would settle the open ones, and its
    figures."""

    study: Study
    findings: tuple[Finding, ...]
    judged: tuple[Judged, ...]
    open: tuple[tuple[Judged, Settling], ...]
    figures: tuple[DrawnFigure, ...]

    @property
    def counts(self) -> Counts:
        """How many of its claims of each kind are in each state."""
        return counts(one.verdict for one in self.judged)

    @property
    def with_runs(self) -> list[Judged]:
        """Claims that runs say something of."""
        return [one for one in self.judged if one.verdict.state != "not run"]

    @property
    def without_runs(self) -> list[Judged]:
        """Claims that are not run."""
        return [one for one in self.judged if one.verdict.state == "not run"]


@dataclass(frozen=True)
class TaskGroup:
    """Figures of one task at one scale and budget."""

    group: Group
    learning: tuple[Drawn, ...]
    diagnostics: tuple[Drawn, ...]
    constants: tuple[Panel, ...]
    """Diagnostics that never change, which need no figure."""


@dataclass(frozen=True)
class TaskPage:
    """All figures of one task, the largest scale first."""

    task: str
    environment: str
    groups: tuple[TaskGroup, ...]


def write_report(
    project: Project, runs: Sequence[Run], verdicts: Sequence[Verdict], folder: Path
) -> None:
    """Write `report.html` and `summary.md` into a folder that exists.

    `runs`: all runs in any state, as `collect_runs` gives them. A claim without a verdict is an
    error (KeyError). Raises SideBySideError for a file in `folder/side_by_side/` that is no
    comparison. SVGs are kept in `folder/drawings/` (`suite.report.drawings`), which changes nothing
    but the time that the next report takes.
    """
    environment = Environment(
        loader=PackageLoader("suite.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=number,
        seen=seen,
        confidence=confidence,
        step=short_number,
        percent=percent,
        duration=duration,
        zip=zip,
    )
    runs = sorted(runs, key=lambda run: (run.cell, run.scale, run.seed, run.key))
    drawings = Drawings(folder / "drawings")
    papers = _papers(project, runs, verdicts, drawings)
    context = _context(project, runs, papers, folder, drawings)
    page = environment.get_template("page.html.j2").render(context)
    (folder / "report.html").write_text(page, encoding="utf-8")
    text = summary(
        coverage.ran(_done(runs)),
        [(p.study, p.findings, p.judged, {j.claim.id: s for j, s in p.open}) for p in papers],
    )
    (folder / "summary.md").write_text(text, encoding="utf-8")
    drawings.remove_unused()


def _done(runs: Sequence[Run]) -> list[Run]:
    return [run for run in runs if run.state in ("done", "diverged") and not run.stale]


def _context(
    project: Project,
    runs: Sequence[Run],
    papers: Sequence[Paper],
    folder: Path,
    drawings: Drawings,
) -> dict[str, Any]:
    done = _done(runs)
    machines = coverage.machines(done)
    verdicts = [one.verdict for paper in papers for one in paper.judged]
    return {
        "papers": papers,
        "states": STATES,
        "symbols": SYMBOLS,
        "whose": WHOSE,
        "counts": counts(verdicts),
        "ends": interval,
        "methods": METHODS,
        "at_looks": [confidence(sequential.confidence(look)) for look in range(3)],
        "ran": coverage.ran(done),
        "tasks": _task_pages(project, done, drawings),
        "costs": coverage.costs(done),
        "unfinished": coverage.unfinished(project, runs),
        "untouched": coverage.untouched(project, runs),
        "stale": [run for run in runs if run.stale],
        "numerics": coverage.all_numerics(done),
        "numerics_of": {run.key: digest(run.numerics) for run in done},
        "is_recorded": coverage.is_recorded,
        "machines": machines,
        "machine_of": {run.key: machines.index(coverage.machine(run)) for run in done},
        "alike": coverage.alike(done),
        "settings": coverage.settings(done),
        "strip": Strip.of,
        "observed_of": observed,
        "side_by_side": _side_by_side(folder / "side_by_side", drawings),
        "pictures": _pictures(folder / "pictures"),
    }


def _papers(
    project: Project, runs: Sequence[Run], verdicts: Sequence[Verdict], drawings: Drawings
) -> list[Paper]:
    studies = judged_by_study(project, verdicts)
    by_claim = {one.claim.id: one for _, judged in studies for one in judged}
    redrawn = redraw(project.studies.values(), _done(runs), by_claim)
    return [
        Paper(
            study=study,
            findings=tuple(Finding.of(sentence, by_claim) for sentence in study.findings),
            judged=tuple(judged),
            open=tuple(
                (one, found)
                for one in judged
                if (found := settling(one.claim, one.verdict, project, runs)) is not None
            ),
            figures=tuple(
                DrawnFigure(
                    again.figure, tuple(Drawn.of(panel, drawings) for panel in again.panels)
                )
                for again in redrawn[study.name]
            ),
        )
        for study, judged in studies
    ]


def _task_pages(project: Project, done: Sequence[Run], drawings: Drawings) -> list[TaskPage]:
    """Real tasks first, then synthetic ones, in the order of the specs."""
    groups = grouped(done)
    order = {task: i for i, task in enumerate(project.tasks)}

    def place(task: str) -> tuple[bool, int]:
        synthetic = task in project.tasks and project.tasks[task].family == "synthetic"
        return synthetic, order.get(task, len(order))

    pages = []
    for task in sorted({group[0] for group in groups}, key=place):
        here = sorted(
            (group for group in groups if group[0] == task),
            key=lambda group: (-SCALES.index(group[1]), -group[2]),
        )
        drawn, larger = [], set[str]()
        for group in here:
            drawn.append(_task_group(group, groups[group], larger, drawings))
            larger |= groups[group].keys()
        spec = next(iter(groups[here[0]].values()))[0].spec["task"]
        pages.append(
            TaskPage(task, _environment(project, TaskSpec.model_validate(spec)), tuple(drawn))
        )
    return pages


def _environment(project: Project, task: TaskSpec) -> str:
    told = task.environment
    papers = [
        f"{study.environments[task.name]} ({study.name})"
        for study in project.studies.values()
        if task.name in study.environments
    ]
    if papers:
        told += f"; in the papers {', '.join(papers)}"
    return f"{told}. {task.note[0].upper()}{task.note[1:]}" if task.note else told


def _task_group(
    group: Group, cells: Mapping[str, Sequence[Run]], larger: Set[str], drawings: Drawings
) -> TaskGroup:
    """`larger`: cells with runs at a larger scale or budget; of these diagnostics are there."""
    seen = [] if cells.keys() <= larger else diagnostic_panels(cells, group)
    return TaskGroup(
        group=group,
        learning=tuple(Drawn.of(panel, drawings) for panel in learning_panels(cells, group)),
        diagnostics=tuple(Drawn.of(panel, drawings) for panel in seen if not panel.constant),
        constants=tuple(panel for panel in seen if panel.constant),
    )


def _side_by_side(folder: Path, drawings: Drawings) -> list[tuple[SideBySide, Drawn]]:
    return [(one, Drawn.of(one.panel(), drawings)) for one in load_side_by_side(folder)]


def _pictures(folder: Path) -> list[tuple[str, str]]:
    """Known pictures as (data URI, what it shows)."""
    return [
        (f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}", shows)
        for name, shows in PICTURES.items()
        if (path := folder / name).exists()
    ]
