from pathlib import Path

import numpy as np
import pytest

from suite.analysis.registry import ANALYSES, diagnostics
from suite.report.page import write_report
from suite.specs.loading import load_project
from suite.specs.models import RunSpec
from suite.stats.runs import Run, Series
from suite.stats.verdicts import expectations, judge

PATHS = ("boost_times_window", "kept_energy", "move_to_norm", "moves", "snapshots")
MAIN = {
    "dead_unit_walk": ["dead_fraction"],
    "classifier": ["online_accuracy"],
    "image_classifier": ["online_accuracy"],
    "twins": [],
}
"""What is learned, where it is no return."""
GROUPS = {
    "classifier": ("classifier",),
    "image_classifier": ("classifier",),
    "cloning": ("clone",),
    "twins": ("free", "projected"),
    "dqn": ("q",),
    "dead_unit_walk": (),
}
"""What agents train, where it is no actor and critic."""


def everything_recorded(
    spec: RunSpec, drawn: frozenset[str], random: np.random.Generator
) -> dict[str, Series]:
    """The series that a run of the spec leaves and a report draws, with random walks for values."""
    names = MAIN.get(spec.agent.kind, ["return", "train_return"])
    groups = GROUPS.get(spec.agent.kind, ("actor", "critic"))
    names = names + [f"loss/{group}" for group in groups]
    weights = [f"{group}/{name}" for group in groups for name in ("hidden1", "hidden2", "output")]
    for analysis in spec.analyses:
        shown = {f"{analysis.kind}/{d.series}" for d in diagnostics(ANALYSES[analysis.kind])}
        shown |= {series for series in drawn if series.startswith(f"{analysis.kind}/")}
        games = [f"{game}/{n}" for game in spec.task.arguments.get("games", ()) for n in (1, 2)]
        ends = games if analysis.kind == "visits" else weights
        names = names + [series for pattern in sorted(shown) for series in named(pattern, ends)]
    for plugin in spec.plugins:
        if plugin.kind == "pptb":
            names = names + [f"plugin/pptb/{name}" for name in PATHS]
        elif plugin.kind in ("nap", "projection"):
            names = names + [f"plugin/{plugin.kind}/growth/{weight}" for weight in weights]
    others = {"actor", "critic", "q", "classifier"}.difference(groups)
    names = [name for name in names if not others.intersection(name.split("/"))]
    steps = np.arange(0.0, spec.budget + 1, spec.evaluate_every)
    found = {n: Series(steps, 1 + np.abs(random.normal(size=len(steps)).cumsum())) for n in names}
    if "plugin/pptb/snapshots" in found:
        found["plugin/pptb/snapshots"] = Series(steps, np.full(len(steps), 100.0))
    return found


def named(pattern: str, ends: list[str]) -> list[str]:
    """Names of series that a pattern stands for."""
    return [pattern[:-1] + end for end in ends] if pattern.endswith("*") else [pattern]


@pytest.mark.long
def test_with_every_run_of_every_scale_the_report_is_below_8_megabytes(tmp_path: Path) -> None:
    project = load_project(Path(__file__).parents[2])
    random = np.random.default_rng(0)
    figures = [figure for study in project.studies.values() for figure in study.figures]
    drawn = frozenset(figure.series for figure in figures)
    runs = [
        Run(
            key=spec.key(),
            cell=cell.id,
            scale=scale,
            seed=spec.seed,
            state="done",
            spec=spec.model_dump(mode="json"),
            series=everything_recorded(spec, drawn, random),
            analyses={analysis.kind: analysis.version for analysis in spec.analyses},
            provenance={"cpu": "one", "seconds": {"total": 1.0}},
        )
        for scale, cells in project.cells.items()
        for cell in cells
        for spec in cell.runs
    ]
    claims = [claim for study in project.studies.values() for claim in study.claims]
    expected = expectations(project)
    write_report(project, runs, [judge(claim, runs, expected) for claim in claims], tmp_path)
    assert (tmp_path / "report.html").stat().st_size < 8_000_000
