"""The report: one HTML file without network or scripts, and its summary in Markdown.

It reads specs, runs (records and provenance) and verdicts. The same inputs give the same bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from suite.report.figures import draw
from suite.report.panels import (
    Group,
    Panel,
    diagnostic_panels,
    grouped,
    learning_panels,
    short_number,
)
from suite.specs.claims import Claim
from suite.specs.loading import Project, Study
from suite.specs.models import SCALES, Cell, Scale, canonical
from suite.stats.runs import Run
from suite.stats.verdicts import STATES, Comparison, Verdict, in_words

SYMBOLS = {"supported": "✓", "contradicted": "✗", "inconclusive": "?", "not run": "–"}


@dataclass(frozen=True)
class Judged:
    """A claim with its verdict."""

    claim: Claim
    verdict: Verdict

    @property
    def seeds(self) -> str:
        """Fewest and most usable seeds of a compared cell."""
        counts = sorted({len(cell.seeds) for cell in self.verdict.evidence})
        return "–".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))

    @property
    def deciding(self) -> Comparison | None:
        """The comparison whose values the verdict shows."""
        seen = (self.verdict.observed, self.verdict.low, self.verdict.high)
        matching = [c for c in self.verdict.comparisons if (c.observed, c.low, c.high) == seen]
        return matching[0] if matching else None


@dataclass(frozen=True)
class Strip:
    """Positions in per cent of an interval, its bounds and the null on one small axis."""

    low: float
    high: float
    observed: float
    bounds: tuple[float, ...]
    null: float | None
    wanted: tuple[float, float]
    """From where to where the interval must lie."""

    @classmethod
    def of(cls, comparison: Comparison, null: float | None) -> "Strip":
        bounds = [b for b in (comparison.above, comparison.below) if b is not None]
        shown = [comparison.low, comparison.high, *bounds, *([] if null is None else [null])]
        start, width = min(shown), max(shown) - min(shown) or 1.0

        def at(value: float) -> float:
            return round(6 + 88 * (value - start) / width, 2)

        return cls(
            low=at(comparison.low),
            high=at(comparison.high),
            observed=at(comparison.observed),
            bounds=tuple(at(bound) for bound in bounds),
            null=None if null is None else at(null),
            wanted=(
                0.0 if comparison.above is None else at(comparison.above),
                100.0 if comparison.below is None else at(comparison.below),
            ),
        )


@dataclass(frozen=True)
class Drawn:
    """A panel with its SVG."""

    panel: Panel
    svg: str


@dataclass(frozen=True)
class TaskFigures:
    """Figures of one task at one scale and budget."""

    group: Group
    environment: str
    learning: tuple[Drawn, ...]
    diagnostics: tuple[Drawn, ...]
    constants: tuple[Panel, ...]
    """Diagnostics that never change, which need no figure."""


@dataclass(frozen=True)
class Cost:
    """Wall clock of one cell at one scale, over its done seeds."""

    cell: str
    scale: Scale
    seeds: int
    seconds: float
    steps_per_second: float
    shares: Mapping[str, float]


@dataclass(frozen=True)
class Unfinished:
    """Runs of a cell that have no result, and why."""

    cell: str
    scale: Scale
    seeds: tuple[int, ...]
    reason: str


@dataclass(frozen=True)
class Untouched:
    """A scale at which some cells have not begun."""

    scale: Scale
    cells: tuple[str, ...]
    steps: int


def write_report(
    project: Project, runs: Sequence[Run], verdicts: Sequence[Verdict], folder: Path
) -> None:
    """Write `report.html` and `summary.md` into a folder that exists.

    `runs`: all runs in any state, as `collect_runs` gives them. A claim without a verdict is an
    error (KeyError).
    """
    environment = Environment(
        loader=PackageLoader("suite.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, step=short_number, percent=percent, zip=zip)
    context = _context(project, runs, verdicts)
    page = environment.get_template("page.html.j2").render(context)
    (folder / "report.html").write_text(page, encoding="utf-8")
    (folder / "summary.md").write_text(_summary(context), encoding="utf-8")


def number(value: float | None) -> str:
    """A number as in reasons, with a real minus sign; a dash for None."""
    return "–" if value is None else in_words(value).replace("-", "−")


def percent(share: float | None) -> str:
    """A share as a percentage of two significant digits; a dash for None."""
    if share is None:
        return "–"
    return f"{100 * share:.0f} %" if share >= 0.0995 else f"{100 * share:.2g} %"


def _context(project: Project, runs: Sequence[Run], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    by_claim = {verdict.claim: verdict for verdict in verdicts}
    studies: list[tuple[Study, list[Judged]]] = [
        (study, [Judged(claim, by_claim[claim.id]) for claim in study.claims])
        for study in project.studies.values()
    ]
    runs = sorted(runs, key=lambda run: (run.cell, run.scale, run.seed, run.key))
    done = [run for run in runs if run.state in ("done", "diverged") and not run.stale]
    machines = _machines(done)
    return {
        "studies": studies,
        "states": STATES,
        "symbols": SYMBOLS,
        "counts": {state: sum(v.state == state for v in verdicts) for state in STATES},
        "ran": _ran(done),
        "figures": _figures(project, done),
        "costs": _costs(done),
        "unfinished": _unfinished(project, runs),
        "untouched": _untouched(project, runs),
        "stale": [run for run in runs if run.stale],
        "machines": machines,
        "machine_of": {run.key: _machine_index(run, machines) for run in done},
        "runs": done,
        "strip": Strip.of,
    }


def _ran(done: Sequence[Run]) -> list[dict[str, Any]]:
    """Cells, runs, seeds and steps by scale."""
    told = []
    for scale in SCALES:
        here = [run for run in done if run.scale == scale]
        if here:
            cells = {run.cell for run in here}
            seeds = sorted({sum(run.cell == cell for run in here) for cell in cells})
            told.append(
                {
                    "scale": scale,
                    "runs": len(here),
                    "cells": len(cells),
                    "seeds": "–".join(str(n) for n in dict.fromkeys((seeds[0], seeds[-1]))),
                    "steps": sum(run.budget for run in here),
                    "diverged": sum(run.state == "diverged" for run in here),
                }
            )
    return told


def _figures(project: Project, done: Sequence[Run]) -> list[TaskFigures]:
    """Real tasks first, then synthetic ones; the largest scale of a task first."""
    groups = grouped(done)
    order = {task: i for i, task in enumerate(project.tasks)}

    def place(group: Group) -> tuple[bool, int, int, int]:
        task, scale, budget = group
        synthetic = task in project.tasks and project.tasks[task].family == "synthetic"
        return synthetic, order.get(task, len(order)), -SCALES.index(scale), -budget

    figures = []
    for group in sorted(groups, key=place):
        cells = groups[group]
        task = next(iter(cells.values()))[0].spec["task"]
        wanted = task.get("paper_environment", "")
        environment = task["environment"]
        if wanted and wanted != environment:
            environment += f" (paper: {wanted})"
        learning = [Drawn(panel, draw(panel)) for panel in learning_panels(cells, group)]
        seen = diagnostic_panels(cells, group)
        drawn = [Drawn(panel, draw(panel)) for panel in seen if not panel.constant]
        constants = tuple(panel for panel in seen if panel.constant)
        if learning or seen:
            figures.append(
                TaskFigures(group, environment, tuple(learning), tuple(drawn), constants)
            )
    return figures


def _costs(done: Sequence[Run]) -> list[Cost]:
    by_cell: dict[tuple[str, Scale], list[Run]] = {}
    for run in done:
        if run.state == "done" and run.provenance.get("seconds", {}).get("total"):
            by_cell.setdefault((run.cell, run.scale), []).append(run)
    costs = []
    for (cell, scale), runs in sorted(by_cell.items(), key=lambda item: item[0]):
        spent: dict[str, float] = {}
        for run in runs:
            for part, seconds in run.provenance["seconds"].items():
                spent[part] = spent.get(part, 0.0) + seconds
        total = spent.pop("total")
        costs.append(
            Cost(
                cell=cell,
                scale=scale,
                seeds=len(runs),
                seconds=total,
                steps_per_second=sum(run.budget for run in runs) / total,
                shares={part: spent[part] / total for part in sorted(spent)},
            )
        )
    return costs


def _missing(cell: Cell, runs: Mapping[str, Run]) -> dict[int, str]:
    """Seeds of a planned cell that have no result, with the reason."""
    reasons = {}
    for spec in cell.runs:
        run = runs.get(spec.key())
        if run is None or run.state == "queued":
            reasons[spec.seed] = "not started"
        elif run.state not in ("done", "diverged"):
            reasons[spec.seed] = f"{run.state}: {run.message}" if run.message else run.state
    return reasons


def _unfinished(project: Project, runs: Sequence[Run]) -> list[Unfinished]:
    """Cells that have begun at a scale and are not complete there."""
    known = {run.key: run for run in runs}
    found = []
    for scale in SCALES:
        for cell in project.cells[scale]:
            reasons = _missing(cell, known)
            if all(reason == "not started" for reason in reasons.values()) and len(reasons) == len(
                cell.runs
            ):
                continue
            for reason in dict.fromkeys(reasons.values()):
                seeds = tuple(seed for seed, why in reasons.items() if why == reason)
                found.append(Unfinished(cell.id, scale, seeds, reason))
    return found


def _untouched(project: Project, runs: Sequence[Run]) -> list[Untouched]:
    known = {run.key: run for run in runs}
    found = []
    for scale in SCALES:
        cells = [
            cell
            for cell in project.cells[scale]
            if list(_missing(cell, known).values()) == ["not started"] * len(cell.runs)
        ]
        if cells:
            steps = sum(cell.steps for cell in cells)
            found.append(Untouched(scale, tuple(cell.id for cell in cells), steps))
    return found


def _machine(run: Run) -> dict[str, Any]:
    """Provenance that runs of one machine and commit share."""
    return {
        name: value
        for name, value in run.provenance.items()
        if name not in ("seconds", "companions") and value is not None
    }


def _machines(done: Sequence[Run]) -> list[dict[str, Any]]:
    unique = {canonical(_machine(run)): _machine(run) for run in done}
    return [unique[text] for text in sorted(unique)]


def _machine_index(run: Run, machines: Sequence[dict[str, Any]]) -> int:
    return machines.index(_machine(run))


def _summary(context: Mapping[str, Any]) -> str:
    """Markdown for terminals and CI job summaries."""
    lines = ["# rl-claims: verdicts", ""]
    lines.append(", ".join(f"{count} {state}" for state, count in context["counts"].items()) + ".")
    for row in context["ran"]:
        lines.append(
            f"Scale {row['scale']}: {row['runs']} runs of {row['cells']} cells, "
            f"{row['seeds']} seeds each, {short_number(row['steps'])} steps."
        )
    for study, judged in context["studies"]:
        lines += ["", f"## {study.paper}", "", "| claim | says | verdict | scale | reason |"]
        lines.append("|---|---|---|---|---|")
        for one in judged:
            verdict = one.verdict
            cells = (
                verdict.claim,
                one.claim.says,
                f"{SYMBOLS[verdict.state]} {verdict.state}",
                verdict.scale or "–",
                verdict.reason,
            )
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"
