from dataclasses import replace

import pytest
from toy_project import claim, record, run_spec

from suite.report.judged import Judged
from suite.report.settling import settling
from suite.specs.loading import Project
from suite.specs.planning import seconds_estimate
from suite.stats.runs import Run
from suite.stats.verdicts import expectations, judge


def judged(project: Project, runs: list[Run], **parts: object) -> Judged:
    one = claim("first-C9", "hill", **parts)
    return Judged(one, judge(one, runs, expectations(project)))


def test_a_settled_claim_needs_nothing(project: Project, runs: list[Run]) -> None:
    assert settling(judged(project, runs), project, runs) is None


def test_planned_runs_come_first_at_the_scale_that_settles(
    project: Project, runs: list[Run]
) -> None:
    found = settling(judged(project, runs, settled_at="paper"), project, runs)
    assert found is not None
    assert found.command == "suite run hill--climber--none hill--climber--pptb --scale paper"
    cells = [cell for cell in project.cells["paper"] if cell.id.startswith("hill")]
    assert found.seeds == 6
    assert found.seconds == pytest.approx(sum(map(seconds_estimate, cells)))


def test_only_cells_and_seeds_that_are_missing_are_named(project: Project, runs: list[Run]) -> None:
    kept = [run for run in runs if not (run.cell.endswith("pptb") and run.seed > 0)]
    found = settling(judged(project, kept), project, kept)
    assert found is not None
    assert found.command == "suite run hill--climber--pptb --scale smoke"
    assert found.seeds == 2


def test_with_all_planned_seeds_the_next_ones_are_asked_for(
    project: Project, runs: list[Run]
) -> None:
    # 1.9 is within reach of the observed 1.95 with more seeds; 1.99 lies beyond it.
    near = settling(judged(project, runs, margin=1.9), project, runs)
    beyond = settling(judged(project, runs, margin=1.99, falsifier=-5.0), project, runs)
    assert near is not None and beyond is not None
    command = "pytest tasks/ -k first-C9 --train --until-conclusive"
    assert beyond.command == command
    assert near.command is not None and near.command.startswith(command)
    assert near.seeds is not None and near.seeds > 0 and near.seconds is not None
    assert "would settle it at the observed value" in near.why
    assert beyond.seeds is None and "is not known" in beyond.why


def test_the_cap_is_raised_where_the_estimate_is_above_it(
    project: Project, runs: list[Run]
) -> None:
    one = judged(project, runs, margin=1.9)
    for seeds, cap in ((12, ""), (13, " --seed-cap 13")):
        verdict = one.verdict.model_copy(update={"seeds_to_settle": seeds})
        found = settling(replace(one, verdict=verdict), project, runs)
        assert found is not None and found.seeds == 2 * (seeds - 3)
        assert found.command == f"pytest tasks/ -k first-C9 --train --until-conclusive{cap}"


def test_a_claim_whose_name_others_hold_is_asked_for_alone(
    project: Project, runs: list[Run]
) -> None:
    first = project.studies["first"]
    longer = (claim("first-C9-fast", "hill"), claim("first-C9-slow", "hill"))
    studies = {"first": replace(first, claims=(*first.claims, *longer))}
    found = settling(judged(project, runs, margin=1.9), replace(project, studies=studies), runs)
    assert found is not None and found.command is not None
    assert "-k 'first-C9 and not first-C9-fast and not first-C9-slow' --train" in found.command


def test_a_larger_scale_is_named_in_the_command(project: Project, runs: list[Run]) -> None:
    planned = [cell for cell in project.cells["paper"] if cell.id.startswith("hill")]
    done = [Run.of(record(cell, spec)) for cell in planned for spec in cell.runs]
    found = settling(judged(project, done, margin=1.99, falsifier=-5.0), project, done)
    assert found is not None
    assert found.command is not None and found.command.endswith("--until-conclusive --scale paper")


def test_more_seeds_are_not_advised_where_they_cannot_help(
    project: Project, runs: list[Run]
) -> None:
    grows = {
        "says": "weights grow tenfold",
        "where": ["hill--climber--none"],
        "figure": {"series": "weight_norm_ratio/actor/*", "take": "last"},
        "at_least": 10.0,
    }
    found = settling(judged(project, runs, preconditions=[grows]), project, runs)
    assert found is not None and found.command is None
    assert "weights grow tenfold" in found.why
    lost = [replace(run, state="diverged") if run.seed == 0 else run for run in runs]
    found = settling(judged(project, lost), project, lost)
    assert found is not None and found.command is None
    assert "diverged" in found.why


def test_seeds_beyond_the_plan_count_as_there(project: Project, runs: list[Run]) -> None:
    for plugin in ("none", "pptb"):
        cell = next(c for c in project.cells["smoke"] if c.id == f"hill--climber--{plugin}")
        spec = run_spec("hill", plugin, "smoke", 3, {"agent": 1})
        runs.append(Run.of(record(cell, spec)))
    found = settling(judged(project, runs, margin=1.99, falsifier=-5.0), project, runs)
    assert found is not None and found.command is not None and "pytest" in found.command
