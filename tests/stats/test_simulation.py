"""Rates of verdicts when the truth is known; the full tables are in docs/statistics.md."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from suite.specs.models import digest
from suite.stats import simulation
from suite.stats.intervals import CONFIDENCE, Precision
from suite.stats.runs import Run
from suite.stats.sequential import Looks
from suite.stats.simulation import (
    EFFECTS,
    LIMITS,
    SCENARIOS,
    SEEDS,
    Scenario,
    rates,
    rates_with_looks,
)
from suite.stats.verdicts import Expected, judge

LOOKS = Looks(SEEDS)

every_scenario = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)


def by_name(name: str) -> Scenario:
    return next(scenario for scenario in SCENARIOS if scenario.name == name)


@every_scenario
def test_without_an_effect_support_is_rare(scenario: Scenario) -> None:
    found = [rates(scenario, "none", n, trials=60, resamples=100) for n in SEEDS]
    # At a true 2.5 %, more than 12 of 180 has a chance of 0.1 %; at 10 %, 95 %.
    assert sum(60 * one["supported"] for one in found) < 12.5


@every_scenario
def test_looking_after_every_batch_does_not_make_support_more_frequent(scenario: Scenario) -> None:
    found, _ = rates_with_looks(scenario, "none", LOOKS, trials=60, resamples=50)
    # At a true 2.5 %, more than 6 of 60 has a chance of 0.1 %.
    assert 60 * found["supported"] < 6.5


@every_scenario
def test_the_stated_effect_is_found_with_ten_seeds(scenario: Scenario) -> None:
    # The tables say 95 % or more; fewer than 34 of 40 then has a chance below 0.5 %.
    seen = rates(scenario, "stated", 10, trials=40, resamples=50)
    assert seen["supported"] >= 0.85 and seen["contradicted"] == 0


@every_scenario
def test_the_opposite_effect_is_never_supported(scenario: Scenario) -> None:
    found = [rates(scenario, "opposite", n, trials=20, resamples=50) for n in SEEDS]
    assert [one["supported"] for one in found] == [0, 0, 0]
    assert found[-1]["contradicted"] >= 0.75


def test_the_power_of_a_paired_difference_is_that_of_a_t_test() -> None:
    scenario = by_name("difference, paired")
    for seeds in (6, 10):
        # The difference of two seeds has a deviation of root two.
        reach = stats.t.isf((1 - CONFIDENCE) / 2, seeds - 1)
        power = stats.nct.sf(reach, seeds - 1, np.sqrt(2 * seeds))
        seen = rates(scenario, "stated", seeds, trials=300, resamples=100)["supported"]
        # The standard error is below 2.5 %, and the bootstrap widens some intervals.
        assert power - 0.12 < seen < power + 0.06


def test_a_first_look_stops_early_when_the_effect_is_large() -> None:
    _, used = rates_with_looks(by_name("threshold"), "stated", LOOKS, trials=60, resamples=100)
    _, idle = rates_with_looks(by_name("threshold"), "none", LOOKS, trials=60, resamples=100)
    assert used < 9 < idle


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
            scenario, columns, Precision()
        )


# Failed seeds.

SPEC = {"task": {"environment": "Toy"}, "budget": 1}
A, B = by_name("difference").claim.compared()
STATES = st.sampled_from(["done", "done", "done", "failed", "diverged", "missing"])


@settings(max_examples=30, deadline=None)
@given(st.lists(STATES, min_size=8, max_size=8), st.floats(-5, 5))
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
        assert "diverged" not in states
        assert all(sum(s == "done" for s in states[i : i + 4]) >= 3 for i in (0, 4))


# The tables of the documentation.

DOCS = Path(__file__).resolve().parents[2] / "docs" / "statistics.md"


def documented() -> dict[tuple[str, str], list[float]]:
    """Rates of 'supported' in per cent by claim and effect: at 3, 6, 10 seeds and with looks."""
    found: dict[tuple[str, str], list[float]] = {}
    name = ""
    for line in DOCS.read_text(encoding="utf-8").splitlines():
        row = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(row) == 7 and row[1] in EFFECTS:
            name = row[0] or name
            found[name, row[1]] = [float(cell.split(" / ")[0]) for cell in row[2:6]]
    return found


def test_the_documented_rates_of_false_support_are_below_five_percent() -> None:
    supported = documented()
    for scenario in SCENARIOS:
        assert max(supported[scenario.name, "none"]) <= 5.0, scenario.name
        assert max(supported[scenario.name, "opposite"]) <= 0.1, scenario.name
        assert supported[scenario.name, "stated"][2] >= 95.0, scenario.name


def test_where_the_rate_is_not_kept_is_documented() -> None:
    supported = documented()
    assert all(max(supported[scenario.name, "none"]) > 5.0 for scenario in LIMITS)


def test_a_documented_rate_is_what_the_simulation_gives() -> None:
    seen = rates(by_name("threshold"), "none", 3, trials=1000)["supported"]
    assert documented()["threshold", "none"][0] == pytest.approx(100 * seen, abs=0.05)


@pytest.mark.long
def test_the_documented_tables_are_what_the_simulation_gives() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for scenarios in (SCENARIOS, LIMITS):
        assert simulation.table(scenarios, 1000) in text
        assert simulation.legend(scenarios) in text
