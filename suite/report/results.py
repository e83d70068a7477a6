"""Verdicts and curves as plain data, for version control, CI and `dvc metrics` and `dvc plots`."""

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from suite.specs.loading import Project
from suite.stats.runs import Run
from suite.stats.verdicts import STATES, Verdict


def write_verdicts(project: Project, verdicts: Sequence[Verdict], path: Path) -> None:
    """All verdicts as JSON: `counts` by state and `claims` by study and id.

    The same verdicts give the same bytes, in whatever order they come.
    """
    found = {verdict.claim: verdict.model_dump(mode="json") for verdict in verdicts}
    document = {
        "counts": {state: sum(v.state == state for v in verdicts) for state in STATES},
        "claims": {
            study.name: {claim.id: found[claim.id] for claim in study.claims if claim.id in found}
            for study in project.studies.values()
        },
    }
    text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def write_curves(runs: Iterable[Run], path: Path) -> None:
    """Across-seed mean of evaluation returns as CSV: cell, scale, step, mean_return, seeds."""
    returns: dict[tuple[str, str, float], list[float]] = {}
    for run in runs:
        if run.state == "done" and not run.stale and "return" in run.series:
            series = run.series["return"]
            for step, value in zip(series.steps, series.values, strict=True):
                returns.setdefault((run.cell, run.scale, float(step)), []).append(float(value))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["cell", "scale", "step", "mean_return", "seeds"])
        for (cell, scale, step), values in sorted(returns.items()):
            writer.writerow([cell, scale, f"{step:.0f}", f"{np.mean(values):.6g}", len(values)])
