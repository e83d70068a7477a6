"""Verdicts and curves as plain data, for version control, CI and `dvc metrics` and `dvc plots`.

They are the numbers of the report: verdicts of its tables, means and intervals of its figures.
"""

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from suite.report.judged import counts
from suite.report.panels import MAIN_SERIES, group_title, grouped, lines_of
from suite.specs.project import Project
from suite.stats.runs import Run
from suite.stats.verdicts import Verdict, in_words

CURVE_COLUMNS = ("figure", "cell", "step", "mean", "low", "high", "seeds", "quantity")


def write_verdicts(project: Project, verdicts: Sequence[Verdict], path: Path) -> None:
    """All verdicts as JSON: `counts` by kind of claim and state, `claims` by study and id.

    `metrics.json` beside it has the counts and what each claim observed, as the report shows it:
    numbers alone, for `dvc metrics`. The same verdicts give the same bytes, in whatever order they
    come.
    """
    found = {verdict.claim: verdict for verdict in verdicts}
    claims = {
        study.name: {
            claim.id: found[claim.id].model_dump(mode="json")
            for claim in study.claims
            if claim.id in found
        }
        for study in project.studies.values()
    }
    _write_json(path, {"counts": counts(verdicts), "claims": claims})
    observed = {
        claim: float(in_words(verdict.observed).replace(",", ""))
        for claim, verdict in found.items()
        if verdict.observed is not None
    }
    _write_json(path.with_name("metrics.json"), {"counts": counts(verdicts), "observed": observed})


def write_curves(runs: Iterable[Run], path: Path) -> None:
    """The learning curves of the report as CSV, one row a cell and evaluation.

    Columns: the figure's title, cell, step, across-seed mean with its 95 % t interval (empty for
    one seed), number of seeds, quantity.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(CURVE_COLUMNS)
        for group, cells in sorted(grouped(runs).items()):
            for cell in sorted(cells):
                writer.writerows(_rows(group_title(group), cell, cells[cell]))


def _rows(title: str, cell: str, runs: Sequence[Run]) -> Iterable[tuple[Any, ...]]:
    """The first of the main series that the cell's runs have."""
    for series, quantity in MAIN_SERIES.items():
        for line in lines_of({cell: runs}, {cell: cell}, [series]):
            interval = line.interval()
            for i, step in enumerate(line.steps):
                ends = ("", "") if interval is None else (_short(end[i]) for end in interval)
                yield (
                    title,
                    cell,
                    f"{step:.0f}",
                    _short(line.mean[i]),
                    *ends,
                    len(line.seeds),
                    quantity,
                )
            return


def _short(value: float) -> str:
    return f"{value:.6g}"


def _write_json(path: Path, document: dict[str, Any]) -> None:
    text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")
