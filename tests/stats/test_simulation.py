"""Rates of verdicts when the truth is known; the full tables are in docs/statistics.md."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import ways
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from suite.specs.models import digest
from suite.stats import sequential, simulation
from suite.stats.intervals import Precision
from suite.stats.runs import Run
from suite.stats.scenarios import SHAPES, Scenario, Shape, scenarios, selection
from suite.stats.simulation import SEEDS, rates, rates_with_looks
from suite.stats.verdicts import Expected, judge

ALL = (*scenarios(), selection())
KINDS = [scenario.name for scenario in scenarios()]

every_scenario = pytest.mark.parametrize("scenario", ALL, ids=lambda s: s.name)


def by_name(name: str, shape: Shape = SHAPES[0]) -> Scenario:
    return next(one for one in (*scenarios(shape), selection()) if one.name == name)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: s.name)
@pytest.mark.parametrize("name", KINDS)
def test_without_an_effect_support_is_rare_whatever_the_shape_of_seeds(name, shape) -> None:  # type: ignore[no-untyped-def]
    found = [rates(by_name(name, shape), "none", n, trials=50, resamples=50) for n in SEEDS]
    for outcome in ("supported", "contradicted"):
        # At a true 1.7 %, more than 10 of 200 has a chance of 0.1 %; at 10 %, 99 %.
        assert sum(50 * one[outcome] for one in found) < 10.5


@every_scenario
def test_looking_again_does_not_make_support_more_frequent(scenario: Scenario) -> None:
    found, _ = rates_with_looks(scenario, "none", trials=60, resamples=50)
    # At a true 2.5 %, more than 6 of 60 has a chance of 0.1 %.
    assert 60 * found["supported"] < 6.5


@every_scenario
def test_the_stated_effect_is_found_by_looking_again(scenario: Scenario) -> None:
    # The tables say 99 % or more with up to 24 seeds; fewer than 27 of 30 then has a chance of
    # 0.3 %.
    seen, used = rates_with_looks(scenario, "stated", trials=30, resamples=50)
    assert seen["supported"] >= 0.9 and seen["contradicted"] == 0
    assert used < 13


@every_scenario
def test_the_opposite_effect_is_never_supported(scenario: Scenario) -> None:
    found = [rates(scenario, "opposite", n, trials=20, resamples=50) for n in SEEDS]
    assert [one["supported"] for one in found] == [0, 0, 0, 0]
    assert found[-1]["contradicted"] >= 0.75


@pytest.mark.parametrize("name", ["difference, paired", "ratio", "ordering", "threshold"])
def test_three_seeds_are_refused_whatever_they_show(name: str) -> None:
    found = rates(by_name(name), "stated", 3, trials=10, resamples=50)
    assert found["inconclusive"] == 1


def test_the_power_of_a_paired_difference_is_that_of_a_t_test() -> None:
    scenario = by_name("difference, paired")
    for seeds in (6, 10):
        # The difference of two seeds has a deviation of root two.
        reach = stats.t.isf((1 - sequential.confidence(0)) / 2, seeds - 1)
        power = stats.nct.sf(reach, seeds - 1, np.sqrt(2 * seeds))
        seen = rates(scenario, "stated", seeds, trials=300, resamples=100)["supported"]
        # The standard error is below 2.5 %, and the bootstrap widens some intervals.
        assert power - 0.12 < seen < power + 0.06


def test_a_first_look_stops_early_when_the_effect_is_large() -> None:
    _, used = rates_with_looks(by_name("threshold"), "stated", trials=40, resamples=50)
    _, idle = rates_with_looks(by_name("threshold"), "none", trials=40, resamples=50)
    assert used < 10 < idle


@pytest.mark.parametrize("way", ["seeds of one arm first, `suite verify` after each"])
def test_whatever_one_does_with_the_commands_wrong_verdicts_stay_rare(way: str) -> None:
    found = [ways.wrong(way, kind, ways.SHAPES[0], 12) for kind in ways.CLAIMS]
    # At a true 5 %, more than 6 of 36 has a chance of 0.4 %; at 20 %, 60 %.
    assert 12 * sum(found) < 6.5


def test_without_the_selection_null_the_best_of_many_settings_is_supported_too_often() -> None:
    scenario = by_name("difference, best of 12")
    unguarded = replace(scenario, claim=scenario.claim.model_copy(update={"null": None}))
    found = [
        rates(one, "none", 10, trials=150, resamples=50)["supported"]
        for one in (unguarded, scenario)
    ]
    # About 11 and 2 %.
    assert found[0] > 0.06 and found[0] > 2 * found[1]


def test_the_bounds_of_a_simulation_are_those_of_verdicts() -> None:
    # The same numbers, judged as runs.
    scenario = by_name("difference")
    for seed in range(5):
        columns = scenario.draw(np.random.default_rng(seed), 2.0, 6)
        runs = [run for cell in simulation._as_runs(columns).values() for run in cell]
        runs = [
            Run(run.key, run.cell, "smoke", run.seed, "done", spec=SPEC, figures=run.figures)
            for run in runs
        ]
        assert judge(scenario.claim, runs).state == simulation.outcome(
            scenario, columns, Precision(sequential.confidence(0))
        )


# Failed seeds.

SPEC = {"task": {"name": "toy", "environment": "Toy"}, "budget": 1}
A, B = by_name("difference").claim.compared()
STATES = st.sampled_from(["done", "done", "done", "failed", "diverged", "missing"])


@settings(max_examples=30, deadline=None)
@given(st.lists(STATES, min_size=8, max_size=8), st.floats(-50, 50))
def test_seeds_that_are_not_there_are_never_silent(states: list[str], effect: float) -> None:
    rng = np.random.default_rng(0)
    runs = []
    for i, state in enumerate(states):
        cell, seed = (A, B)[i // 4], i % 4
        figures = {"x": rng.normal() + (effect if cell == B else 0.0)} if state == "done" else {}
        if state != "missing":
            key = digest([cell, seed])
            runs.append(Run(key, cell, "smoke", seed, state, spec=SPEC, figures=figures))  # type: ignore[arg-type]
    expected = {(cell, "smoke"): Expected((0, 1, 2, 3), 1) for cell in (A, B)}
    verdict = judge(by_name("difference").claim, runs, expected)  # type: ignore[arg-type]
    # Without any run of a cell the verdict is 'not run' and names the cell.
    if {run.cell for run in runs} == {A, B}:
        kinds = {flag.kind for flag in verdict.flags}
        flagged = {"failed": "failed", "diverged": "diverged", "missing": "seeds missing"}
        for state, kind in flagged.items():
            assert (kind in kinds) == (state in states)
    for flag in verdict.flags:
        assert flag.says in verdict.reason
    if verdict.state in ("supported", "contradicted"):
        assert "diverged" not in states and "missing" not in states
        assert all(sum(s == "done" for s in states[i : i + 4]) >= 3 for i in (0, 4))


# The tables of the documentation.

DOCS = Path(__file__).resolve().parents[2] / "docs" / "statistics.md"
TRIALS = 1000


def rows(columns: int) -> list[list[str]]:
    """The rows of the documented tables that have so many columns, heads and rules left out."""
    lines = DOCS.read_text(encoding="utf-8").splitlines()
    found = [[cell.strip() for cell in x.strip("|").split("|")] for x in lines if x[:1] == "|"]
    return [row for row in found if len(row) == columns and "/" in row[-1]]


def documented_false() -> dict[tuple[str, str], list[tuple[float, float]]]:
    """False 'supported' and 'contradicted' in per cent by claim and shape, at each of SEEDS."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    name = ""
    for row in rows(2 + len(SEEDS)):
        if row[1] in {shape.name for shape in SHAPES}:
            name = row[0] or name
            pairs = [[float(part) for part in cell.split("/")] for cell in row[2:]]
            found[name, row[1]] = [(supported, against) for supported, against in pairs]
    return found


def test_documented_rates_of_false_verdicts_are_below_five_percent_for_every_shape() -> None:
    found = documented_false()
    assert set(found) == {(name, shape.name) for name in KINDS for shape in SHAPES}
    # Two standard errors of a rate of 5 % in 1000 trials are 1.4 %.
    worst = {key: max(supported + against for supported, against in x) for key, x in found.items()}
    assert max(worst.values()) <= 5.0 + 1.4, worst


def test_documented_rates_over_all_that_one_can_do_are_below_five_percent() -> None:
    lines = DOCS.read_text(encoding="utf-8").splitlines()
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    found = [row for row in table if len(row) == 2 + len(ways.SHAPES) and row[1] in ways.CLAIMS]
    assert len(found) == len(ways.WAYS) * len(ways.CLAIMS)
    assert [row[0] for row in found if row[0]] == list(ways.WAYS)
    # Two standard errors of a rate of 5 % in 200 trials are 3.1 %.
    assert max(float(cell) for row in found for cell in row[2:]) <= 5.0 + 3.1


def test_a_documented_rate_is_what_the_simulation_gives() -> None:
    seen = rates(by_name("threshold"), "none", 6, trials=TRIALS)
    told = documented_false()["threshold", "normal"][SEEDS.index(6)]
    assert told == pytest.approx((100 * seen["supported"], 100 * seen["contradicted"]), abs=0.05)


@pytest.mark.long
def test_the_documented_tables_are_what_the_simulation_gives() -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert simulation.false_table(TRIALS) in text
    assert simulation.power_table(TRIALS) in text
    assert simulation.legend() in text


@pytest.mark.long
def test_the_documented_rates_of_ways_are_what_they_give() -> None:
    assert ways.table(ways.TRIALS) in DOCS.read_text(encoding="utf-8")
