from dataclasses import replace

import numpy as np
import pytest
from toy_project import SEEDS, claim, cost_claim, record

from suite.report.judged import Judged
from suite.settling import Settling
from suite.settling import settling as settling_of
from suite.specs.planning import seconds_estimate
from suite.specs.project import Project
from suite.stats.runs import Run, Series
from suite.stats.verdicts import expectations, judge


def judged(project: Project, runs: list[Run], **parts: object) -> Judged:
    one = claim("first-C9", "hill", **parts)
    return Judged(one, judge(one, runs, expectations(project)))


def settling(one: Judged, project: Project, runs: list[Run]) -> Settling | None:
    return settling_of(one.claim, one.verdict, project, runs)


def test_a_settled_claim_needs_nothing(project: Project, runs: list[Run]) -> None:
    assert settling(judged(project, runs), project, runs) is None


def test_planned_runs_come_first_at_the_scale_that_settles(
    project: Project, runs: list[Run]
) -> None:
    found = settling(judged(project, runs, settled_at="paper"), project, runs)
    assert found is not None
    assert found.command == "suite run hill--climber--none hill--climber--pptb --scale paper"
    cells = [cell for cell in project.cells["paper"] if cell.id.startswith("hill")]
    assert found.seeds == 2 * SEEDS
    assert found.seconds == pytest.approx(sum(map(seconds_estimate, cells)))


def test_only_cells_and_seeds_that_are_missing_are_named(project: Project, runs: list[Run]) -> None:
    kept = [run for run in runs if not (run.cell.endswith("pptb") and run.seed > 0)]
    found = settling(judged(project, kept), project, kept)
    assert found is not None
    assert found.command == "suite run hill--climber--pptb --scale smoke"
    assert found.seeds == SEEDS - 1


def test_runs_without_a_result_of_an_analysis_that_is_read_are_trained_for_it(
    project: Project, runs: list[Run]
) -> None:
    unread = [replace(run, lacking=("policy_path",)) for run in runs]
    assert settling(judged(project, unread), project, unread) is None
    figure = {"series": "policy_path/gini/all", "take": "last"}
    found = settling(judged(project, unread, figure=figure), project, unread)
    assert found is not None
    assert found.command == "suite run hill--climber--none hill--climber--pptb --scale smoke"


COMMAND = "pytest tasks/ -k first-C9 --train --until-conclusive"


def further(project: Project, runs: list[Run], seeds: int) -> list[Run]:
    """The runs with those of all seeds of `hill` at smoke up to a number."""
    hill = [cell for cell in project.cells["smoke"] if cell.id.startswith("hill")]
    more = [Run.of(record(c, c.run(seed))) for c in hill for seed in range(SEEDS, seeds)]
    return runs + more


def test_with_all_planned_seeds_those_of_a_coming_look_are_asked_for(
    project: Project, runs: list[Run]
) -> None:
    one = judged(project, runs, margin=1.9)
    looks = (2 * SEEDS, 4 * SEEDS, 8 * SEEDS)
    assert one.verdict.look == 0 and one.verdict.seeds_to_settle in looks
    for seeds, cap in zip(looks, ("", "", f" --seed-cap {8 * SEEDS}"), strict=True):
        verdict = one.verdict.model_copy(update={"seeds_to_settle": seeds})
        found = settling(replace(one, verdict=verdict), project, runs)
        assert found is not None
        assert f"The look at {seeds} seeds a cell would settle it" in found.why
        assert found.command == f"{COMMAND}{cap}"
        assert found.seeds == 2 * (seeds - SEEDS)
        left = [cell.with_seeds(seeds) for cell in project.cells["smoke"] if "hill" in cell.id]
        share = (seeds - SEEDS) / seeds
        assert found.seconds == pytest.approx(share * sum(map(seconds_estimate, left)))


def test_seeds_on_the_way_to_the_next_look_are_not_asked_for_again(
    project: Project, runs: list[Run]
) -> None:
    more = further(project, runs, SEEDS + 3)
    one = judged(project, more, margin=1.9)
    assert one.verdict.look == 0
    verdict = one.verdict.model_copy(update={"seeds_to_settle": 2 * SEEDS})
    found = settling(replace(one, verdict=verdict), project, more)
    assert found is not None and found.command == COMMAND
    assert found.seeds == 2 * (SEEDS - 3)


def test_where_no_look_in_reach_would_settle_it_the_next_one_is_named(
    project: Project, runs: list[Run]
) -> None:
    # The observed 2.01 lies short of the margin and far from the falsifier.
    out_of_reach = {"margin": 2.5, "falsifier": -5.0}
    found = settling(judged(project, runs, **out_of_reach), project, runs)
    assert found is not None and found.command == COMMAND
    assert found.seeds == 0
    assert f"the next is at {2 * SEEDS} seeds a cell" in found.why and "not known" in found.why
    # After the look at four times the planned seeds the usual cap lets none follow.
    more = further(project, runs, 4 * SEEDS)
    found = settling(judged(project, more, **out_of_reach), project, more)
    assert found is not None
    assert found.command == f"{COMMAND} --seed-cap {8 * SEEDS}"


def test_an_assumed_range_of_a_cost_is_no_look_away(project: Project, runs: list[Run]) -> None:
    one = cost_claim("first-C9")
    cost = Judged(one, judge(one, runs, expectations(project)))
    assert cost.assumed
    found = settling(cost, project, runs)
    assert found is not None and found.command == COMMAND and found.seeds == 0
    assert "not known: seeds that train together read one clock." in found.why


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
        "figure": {"series": "weight_norms/ratio/actor/*", "take": "last"},
        "at_least": 10.0,
    }
    found = settling(judged(project, runs, preconditions=[grows]), project, runs)
    assert found is not None and found.command is None
    assert "weights grow tenfold" in found.why
    constant = [
        replace(run, series={**run.series, "return": Series(np.arange(2.0), np.ones(2))})
        for run in runs
    ]
    found = settling(judged(project, constant), project, constant)
    assert found is not None and found.command is None
    assert "More seeds would not settle it: all seeds gave the same" in found.why
    lost = [replace(run, state="diverged") if run.seed == 0 else run for run in runs]
    found = settling(judged(project, lost), project, lost)
    assert found is not None and found.command is None
    assert "diverged" in found.why


def test_runs_that_have_ended_and_cannot_be_used_leave_nothing_to_train(
    project: Project, runs: list[Run]
) -> None:
    planned = [cell for cell in project.cells["paper"] if cell.id.startswith("hill")]
    lost = [
        Run.of(record(cell, spec, "diverged", "lost")) for cell in planned for spec in cell.runs
    ]
    one = judged(project, runs + lost, settled_at="paper")
    assert one.verdict.scale == "smoke"
    found = settling(one, project, runs + lost)
    assert found is not None and found.command is None
    assert "Too few of the runs at scale paper can be used" in found.why


def test_cells_that_no_study_plans_are_named(project: Project, runs: list[Run]) -> None:
    found = settling(judged(project, runs, settled_at="short", margin=3.0), project, runs)
    assert found is not None and found.command is None
    assert "No study plans hill--climber--pptb, hill--climber--none at scale short" in found.why
