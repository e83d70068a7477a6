import json
from collections.abc import Sequence
from math import comb
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from scipy import stats

from suite.specs.claims import ClaimSpec
from suite.specs.models import SCALES
from suite.stats.sequential import confidence
from suite.stats.verdicts import Expected, Verdict, judge, side_by_side

A, B, C, D = (f"toy--agent--{name}" for name in ("none", "norm", "nap", "pptb"))
HIGH = [0.90, 0.91, 0.92, 0.90, 0.93, 0.89, 0.91, 0.92]
LOW = [0.50, 0.52, 0.51, 0.49, 0.52, 0.50, 0.48, 0.51]
MIDDLE = [0.70, 0.71, 0.72, 0.70, 0.73, 0.69, 0.71, 0.72]
SEEDS = range(8)


def claim(kind: str, **parts: Any) -> ClaimSpec:
    common: dict[str, Any] = {
        "id": "toy-C1",
        "source": "section 1",
        "says": "norm helps",
        "reported": "0.3",
        "kind_of_claim": "paper",
        "settled_because": "1M steps on four tasks",
        "settled_at": "smoke",
        "kind": kind,
    }
    if kind in ("difference", "ratio", "equivalence"):
        common |= {"treatment": [B], "control": [A]}
    if kind in ("difference", "ratio"):
        common |= {"direction": "greater", "paired": True}
    if kind not in ("cost", "gains"):
        common["figure"] = "accuracy"
    return TypeAdapter(ClaimSpec).validate_json(json.dumps(common | parts))


def planned(seeds: int) -> dict[Any, Expected]:
    return {(cell, "smoke"): Expected(tuple(range(seeds)), 100) for cell in (A, B)}


def flags(verdict: Verdict) -> list[str]:
    return [flag.kind for flag in verdict.flags]


# Rules by kind.


def test_a_difference_is_supported_contradicted_or_open(make_cell) -> None:  # type: ignore[no-untyped-def]
    better = make_cell(A, LOW) + make_cell(B, HIGH)
    verdict = judge(claim("difference"), better)
    assert verdict.state == "supported"
    assert verdict.observed == pytest.approx(np.mean(HIGH) - np.mean(LOW))
    assert verdict.low is not None and 0 < verdict.low < verdict.observed  # type: ignore[operator]
    assert judge(claim("difference", direction="less"), better).state == "contradicted"
    noisy = make_cell(A, [0.1, 0.9, 0.5]) + make_cell(B, [0.8, 0.3, 0.6])
    assert judge(claim("difference"), noisy).state == "inconclusive"


def test_every_interval_is_wider_at_a_later_look(make_cell) -> None:  # type: ignore[no-untyped-def]
    levels = {A: LOW, B: HIGH, C: [x - 0.3 for x in HIGH[::-1]]}
    runs = []
    for rate, (cell, x) in zip((1e-4, 3e-5, 7e-5), levels.items(), strict=True):
        # No two values are equal: an order interval of equal ones may have the same ends.
        runs += make_cell(cell, [y + rate * i**2 for i, y in enumerate(x + x[::-1])])
    gap = {"fraction": 0.5, "upper": B, "lower": C}
    claims = [
        claim("difference"),
        claim("difference", aggregate="iqm", paired=False),
        claim("ratio"),
        claim("ordering", levels=[B, C, A], direction="decreasing", paired=True),
        claim("threshold", measured=[A, B], direction="above", bound=0.4),
        claim("equivalence", margin=0.5),
        claim("equivalence", margin=gap),
    ]
    later = {(cell, "smoke"): Expected(tuple(SEEDS), 100) for cell in levels}
    for one in claims:
        # The same 16 seeds, as planned and as twice the plan.
        usual, careful = judge(one, runs), judge(one, runs, later)
        assert (usual.look, careful.look) == (0, 1)
        assert (usual.confidence, careful.confidence) == (confidence(0), confidence(1))
        for before, after in zip(usual.comparisons, careful.comparisons, strict=True):
            assert after.low < before.low <= before.high < after.high, one


def test_between_falsifier_and_margin_a_difference_is_open(make_cell) -> None:  # type: ignore[no-untyped-def]
    runs = make_cell(A, LOW) + make_cell(B, HIGH)
    assert judge(claim("difference", margin=0.5, falsifier=0.0), runs).state == "inconclusive"
    assert judge(claim("difference", margin=0.5), runs).state == "contradicted"


def test_paired_claims_compare_equal_seeds(make_cell) -> None:  # type: ignore[no-untyped-def]
    levels = [0.1, 0.5, 0.9, 0.3, 0.7, 0.2, 0.6, 0.4]
    runs = make_cell(A, levels) + make_cell(B, [x + 0.05 + 0.001 * i for i, x in enumerate(levels)])
    assert judge(claim("difference"), runs).state == "supported"
    assert judge(claim("difference", paired=False), runs).state == "inconclusive"


def test_only_common_seeds_enter_a_paired_comparison(make_cell) -> None:  # type: ignore[no-untyped-def]
    runs = make_cell(A, [*LOW, 100.0]) + make_cell(B, HIGH)
    verdict = judge(claim("difference"), runs)
    assert verdict.observed == pytest.approx(np.mean(HIGH) - np.mean(LOW))


def test_a_ratio_above_random_play(make_run) -> None:  # type: ignore[no-untyped-def]
    task = {"name": "toy", "environment": "Toy-v0", "random_return": 10.0}
    spec = {"task": task, "budget": 100}
    runs = [
        make_run(cell, seed, spec=spec, series={"return": [10.0, value + 0.01 * seed]})
        for cell, value in ((A, 20.0), (B, 25.0))
        for seed in SEEDS
    ]
    verdict = judge(claim("ratio", figure="final_return", baseline="random"), runs)
    assert (verdict.state, verdict.observed) == ("supported", pytest.approx(1.5, abs=0.01))
    assert judge(claim("ratio", figure="final_return", bound=1.4), runs).state == "contradicted"


def test_gains_of_two_figures_are_compared_above_random_play(make_run) -> None:  # type: ignore[no-untyped-def]
    task = {"name": "toy", "environment": "Toy-v0", "random_return": 10.0}
    spec = {"task": task, "budget": 100}

    def runs(early: float) -> list[Any]:
        return [
            make_run(
                cell, seed, spec=spec, series={"return": [10.0, middle + 0.01 * seed**2, 30.0]}
            )
            for cell, middle in ((A, 20.0), (B, early))
            for seed in SEEDS
        ]

    side = {"treatment": [B], "control": [A]}
    gains = claim("gains", more={"figure": "auc"} | side, than={"figure": "score"} | side)
    # Both reach 30, the one sooner.
    sooner = judge(gains, runs(28.0))
    assert sooner.state == "supported"
    # Areas above random play (0 + 18 + 20) / 3 and (0 + 10 + 20) / 3.
    assert sooner.observed == pytest.approx(38 / 30 - 1, abs=0.01)
    assert all(cell.mean is None for cell in sooner.evidence)
    assert judge(gains, runs(12.0)).state == "contradicted"
    other = claim("gains", more={"figure": "score"} | side, than={"figure": "auc"} | side)
    assert judge(other, runs(28.0)).state == "contradicted"


def test_what_cells_have_together_is_compared_seed_by_seed(make_run) -> None:  # type: ignore[no-untyped-def]
    """Wide cells lie at 0, 3 and 9, narrow ones at 4, 5 and 6, all of a seed by as much higher."""
    levels = {"w0": 0.0, "w1": 3.0, "w2": 9.0, "n0": 4.0, "n1": 5.0, "n2": 6.0}
    runs = [
        make_run(f"a--agent--{name}", seed, figures={"x": level + (1 + 0.01 * place**2) * seed})
        for place, (name, level) in enumerate(levels.items())
        for seed in SEEDS
    ]
    sides = {
        "treatment": [f"a--agent--n{i}" for i in range(3)],
        "control": [f"a--agent--w{i}" for i in range(3)],
    }
    narrower = judge(claim("across", figure="x", summary="range", direction="less", **sides), runs)
    assert narrower.state == "supported"
    assert narrower.observed == pytest.approx(2 - 9, abs=0.5)
    higher = claim("across", figure="x", summary="median", direction="less", **sides)
    found = judge(higher, runs)
    assert found.state == "contradicted" and found.observed == pytest.approx(5 - 3, abs=0.6)
    with pytest.raises(ValidationError, match="cells of one task"):
        other = sides | {"control": ["b--agent--w0", "b--agent--w1"]}
        claim("across", figure="x", summary="range", direction="less", **other)
    with pytest.raises(ValidationError, match="control: a range needs two cells or more"):
        other = sides | {"control": ["a--agent--w0", "a--agent--w0"]}
        claim("across", figure="x", summary="range", direction="less", **other)


@pytest.mark.parametrize(
    "level, state", [(6.0, "supported"), (4.0, "contradicted"), (5.0, "inconclusive")]
)
def test_one_cell_is_among_the_upper_half_where_it_lies_above_the_median_of_the_others(
    make_run,  # type: ignore[no-untyped-def]
    level: float,
    state: str,
) -> None:
    """The others lie at 0, 1, 5, 7 and 30: their mean is 8.6, above every level here."""
    levels = {"one": level, "o0": 0.0, "o1": 1.0, "o2": 5.0, "o3": 7.0, "o4": 30.0}
    runs = [
        make_run(f"a--agent--{name}", seed, figures={"x": middle + 0.1 * (-1) ** (seed + place)})
        for place, (name, middle) in enumerate(levels.items())
        for seed in SEEDS
    ]
    sides = {"treatment": ["a--agent--one"], "control": [f"a--agent--o{i}" for i in range(5)]}
    upper = claim("across", figure="x", summary="median", direction="greater", **sides)
    assert judge(upper, runs).state == state


def test_a_null_must_be_beaten_by_the_observed_value(make_cell) -> None:  # type: ignore[no-untyped-def]
    null = {"name": "selection", "value": 0.6, "source": "s", "must_be_beaten": True}
    runs = make_cell(A, LOW) + make_cell(B, HIGH)
    verdict = judge(claim("difference", null=null), runs)
    assert verdict.state == "inconclusive"
    assert "not beyond the null, selection: 0.6" in verdict.reason
    assert judge(claim("difference", null=null | {"value": 0.2}), runs).state == "supported"


def test_an_ordering_needs_every_step(make_cell) -> None:  # type: ignore[no-untyped-def]
    def verdict(*levels: Sequence[float]) -> str:
        runs = [
            run for cell, x in zip((A, B, C), levels, strict=True) for run in make_cell(cell, x)
        ]
        spec = claim("ordering", levels=[A, B, C], direction="decreasing", paired=False)
        return judge(spec, runs).state

    assert verdict(HIGH, MIDDLE, LOW) == "supported"
    assert verdict(HIGH, LOW, MIDDLE) == "contradicted"
    assert verdict(HIGH, MIDDLE, [0.4, 0.9, 0.6, 0.7, 0.8, 0.5, 0.9, 0.6]) == "inconclusive"
    rising = claim("ordering", levels=[A, B, C], direction="increasing", paired=False)
    runs = make_cell(A, LOW) + make_cell(B, MIDDLE) + make_cell(C, HIGH)
    assert judge(rising, runs).state == "supported"


def test_a_threshold_holds_in_every_cell(make_cell) -> None:  # type: ignore[no-untyped-def]
    runs = make_cell(A, LOW) + make_cell(B, HIGH)
    above = claim("threshold", measured=[B], direction="above", bound=0.8)
    assert judge(above, runs).state == "supported"
    both = judge(claim("threshold", measured=[B, A], direction="above", bound=0.8), runs)
    assert both.state == "contradicted"
    assert A in both.reason and "lies below 0.8" in both.reason


def test_a_threshold_of_typical_cells_is_that_of_their_median(make_cell) -> None:  # type: ignore[no-untyped-def]
    cells = [f"pendulum--drawn-{i}--none" for i in range(10)]
    high = [run for cell in cells[1:] for run in make_cell(cell, HIGH)]
    runs = [*make_cell(cells[0], LOW), *high]
    every = claim("threshold", measured=cells, direction="above", bound=0.8)
    typical = claim("threshold", measured=cells, direction="above", bound=0.8, typical="cell")
    assert judge(every, runs).state != "supported"
    found = judge(typical, runs)
    assert found.state == "supported"
    # From the second smallest of ten cells to the second largest.
    assert (found.observed, found.low, found.high) == pytest.approx((np.median(HIGH),) * 3)
    below = claim("threshold", measured=cells, direction="below", bound=0.8, typical="cell")
    assert judge(below, runs).state == "contradicted"


def test_a_threshold_of_typical_cells_needs_six() -> None:
    cells = [f"pendulum--drawn-{i}--none" for i in range(5)]
    with pytest.raises(ValidationError, match="typical: cell of 5 cells"):
        claim("threshold", measured=cells, direction="above", bound=0.8, typical="cell")


def test_equivalence_needs_every_interval_inside_the_margin(make_cell) -> None:  # type: ignore[no-untyped-def]
    near = [x + 0.005 + 0.0001 * i for i, x in enumerate(HIGH)]
    runs = make_cell(A, HIGH) + make_cell(B, near) + make_cell(C, LOW)
    assert judge(claim("equivalence", margin=0.02), runs).state == "supported"
    assert judge(claim("equivalence", margin=0.004), runs).state == "contradicted"
    both = claim("equivalence", margin=0.02, treatment=[B, C], control=[A, A])
    assert judge(both, runs).state == "contradicted"
    wide = make_cell(A, HIGH) + make_cell(B, [0.8, 1.0, 0.9, 0.95, 0.85, 0.97, 0.9, 0.92])
    assert judge(claim("equivalence", margin=0.02), wide).state == "inconclusive"


def test_a_margin_may_be_a_part_of_a_gap_in_the_same_runs(make_cell) -> None:  # type: ignore[no-untyped-def]
    spec = claim(
        "equivalence",
        treatment=[B],
        control=[C],
        margin={"fraction": 0.5, "upper": A, "lower": C},
    )
    # The gap from C to A is 0.4: B is equivalent to C up to 0.2.
    assert (
        judge(
            spec, make_cell(A, HIGH) + make_cell(B, [x + 0.05 for x in LOW]) + make_cell(C, LOW)
        ).state
        == "supported"
    )
    for shift in (0.35, -0.35):
        far = make_cell(A, HIGH) + make_cell(B, [x + shift for x in LOW]) + make_cell(C, LOW)
        assert judge(spec, far).state == "contradicted"


def test_a_part_of_a_gap_says_nothing_where_the_gap_is_not_clear(make_cell) -> None:  # type: ignore[no-untyped-def]
    gap = {"fraction": 0.5, "upper": A, "lower": C}
    spec = claim("equivalence", treatment=[B], control=[C], margin=gap)
    # Both ends of the gap are alike: any difference is more than half of it.
    runs = make_cell(A, LOW) + make_cell(B, HIGH) + make_cell(C, LOW[::-1])
    verdict = judge(spec, runs)
    assert verdict.state == "inconclusive"
    assert verdict.reason.startswith("the gap, none less nap: ")
    condition = verdict.comparisons[0]
    assert condition.condition and not condition.supports and not condition.contradicts


def clocks(make_run, *readings: float, together: int = 1) -> list[Any]:  # type: ignore[no-untyped-def]
    """Shares of wall clock, each read by so many seeds that trained together."""
    runs = []
    for i, share in enumerate(readings):
        group = range(i * together, (i + 1) * together)
        for seed in group:
            spent = {"total": 10.0, "plugin/pptb": 10 * share}
            others = [other for other in group if other != seed]
            runs.append(make_run(A, seed, provenance={"seconds": spent, "companions": others}))
    return runs


COST = {"clock": {"seconds": "plugin/pptb"}, "measured": [A], "bound": 0.05}


def test_cost_is_the_median_over_clocks(make_run) -> None:  # type: ignore[no-untyped-def]
    spec = claim("cost", **COST)
    seen = judge(spec, clocks(make_run, 0.010, 0.011, 0.012, 0.013, 0.014, 0.045))
    assert (seen.state, seen.observed) == ("supported", pytest.approx(0.0125))
    assert (seen.low, seen.high) == (0.010, 0.045)
    mixed = clocks(make_run, 0.010, 0.011, 0.012, 0.013, 0.014, 0.055)
    assert judge(spec, mixed).state == "inconclusive"
    dear = clocks(make_run, 0.07, 0.071, 0.072, 0.08, 0.09, 0.07)
    assert judge(spec, dear).state == "contradicted"


def test_seeds_that_train_together_share_one_clock(make_run) -> None:  # type: ignore[no-untyped-def]
    verdict = judge(claim("cost", **COST), clocks(make_run, 0.02, together=8))
    assert (verdict.low, verdict.observed, verdict.high) == (0.01, 0.02, 0.04)


@pytest.mark.parametrize("readings", [(0.006, 0.024), (0.001,), (0.9, 0.8, 0.9, 0.9, 0.9)])
def test_clocks_so_few_have_an_assumed_range_that_decides_nothing(make_run, readings) -> None:  # type: ignore[no-untyped-def]
    verdict = judge(claim("cost", **COST), clocks(make_run, *readings, together=3))
    assert verdict.state == "inconclusive"
    assert (verdict.low, verdict.high) == (min(readings) / 2, 2 * max(readings))
    assert verdict.comparisons[0].assumed and verdict.p_value is None
    assert "assumed: each clock within a factor of two; clocks so few decide nothing" in (
        verdict.reason
    )


def test_seconds_of_a_call_count_the_calls(make_run) -> None:  # type: ignore[no-untyped-def]
    clock = {"seconds": "plugin/pptb", "calls": "plugin/pptb/calls"}
    runs = [
        make_run(
            A, i, provenance={"seconds": {"plugin/pptb": 6.0}}, series={"plugin/pptb/calls": [1, 4]}
        )
        for i in SEEDS
    ]
    verdict = judge(claim("cost", clock=clock, measured=[A], bound=2.0), runs)
    assert (verdict.state, verdict.observed) == ("supported", pytest.approx(1.5))


# What is wrong with the evidence is never silent.


def test_without_any_run_a_claim_is_not_run() -> None:
    verdict = judge(claim("difference"), [])
    assert (verdict.state, verdict.scale, verdict.observed) == ("not run", None, None)


def test_a_cell_without_runs_leaves_the_claim_not_run(make_run, make_cell) -> None:  # type: ignore[no-untyped-def]
    waiting = [make_run(B, i, state="queued") for i in range(3)]
    assert judge(claim("difference"), waiting).reason == "none of its cells has a run"
    verdict = judge(claim("difference"), make_cell(A, HIGH) + waiting)
    assert verdict.state == "not run"
    assert B in verdict.reason


@pytest.mark.parametrize("state", ["failed", "queued"])
def test_too_few_seeds_leave_the_claim_open(make_run, make_cell, state) -> None:  # type: ignore[no-untyped-def]
    runs = [*make_cell(A, HIGH), *make_cell(B, LOW[:2]), make_run(B, 2, state=state, message="no")]
    verdict = judge(claim("difference"), runs, planned(3))
    assert verdict.state == "inconclusive"
    assert f"{B} has 2 usable seeds and the claim needs 3" in verdict.reason
    word = "failed" if state == "failed" else "missing"
    assert f"{word}: {B} seed 2" in verdict.reason


def test_failed_seeds_are_named_beside_a_verdict(make_run, make_cell) -> None:  # type: ignore[no-untyped-def]
    runs = [*make_cell(A, LOW), *make_cell(B, HIGH[:7])]
    runs.append(make_run(B, 7, state="failed", message="boom"))
    verdict = judge(claim("difference"), runs, planned(8))
    assert verdict.state == "supported"
    assert flags(verdict) == ["failed"]
    assert f"failed: {B} seed 7 (boom)" in verdict.reason


@pytest.mark.parametrize("state", ["queued", "running", "interrupted", "corrupt"])
def test_nothing_is_decided_before_the_planned_seeds_have_ended(make_run, make_cell, state) -> None:  # type: ignore[no-untyped-def]
    runs = [*make_cell(A, LOW), *make_cell(B, HIGH[:7]), make_run(B, 7, state=state, message="x")]
    verdict = judge(claim("difference"), runs, planned(8))
    assert (verdict.state, verdict.seen, verdict.look) == ("inconclusive", "supported", None)
    assert verdict.reason.startswith("decided when all planned seeds have ended; seen so far: 0.4")
    whole = make_cell(A, LOW) + make_cell(B, HIGH)
    assert judge(claim("difference"), whole, planned(8)).state == "supported"


def test_seeds_beyond_a_look_wait_for_the_next(make_cell) -> None:  # type: ignore[no-untyped-def]
    # Seeds 8 and on would turn it round.
    for count, look in ((8, 0), (15, 0), (16, 1), (31, 1), (32, 2)):
        low, high = (LOW + [2.0] * 24)[:count], (HIGH + [1.0] * 24)[:count]
        verdict = judge(claim("difference"), make_cell(A, low) + make_cell(B, high), planned(8))
        assert (verdict.look, verdict.confidence) == (look, confidence(look))
        assert verdict.evidence[0].seeds == tuple(range(8 * 2**look))
        assert (verdict.state == "supported") == (look == 0)


def test_more_seeds_of_one_cell_alone_change_nothing(make_cell) -> None:  # type: ignore[no-untyped-def]
    few = judge(claim("difference"), make_cell(A, LOW) + make_cell(B, HIGH), planned(8))
    more = judge(claim("difference"), make_cell(A, LOW) + make_cell(B, HIGH * 4), planned(8))
    assert more == few


def test_a_diverged_seed_leaves_the_claim_open_unless_it_has_a_figure(make_run, make_cell) -> None:  # type: ignore[no-untyped-def]
    runs = [*make_cell(A, LOW), *make_cell(B, HIGH), make_run(B, 4, state="diverged")]
    verdict = judge(claim("difference"), runs)
    assert verdict.state == "inconclusive"
    assert "a diverged seed has no figure" in verdict.reason
    assert flags(verdict) == ["diverged"]


def test_a_diverged_seed_counts_as_larger_than_every_value(make_run) -> None:  # type: ignore[no-untyped-def]
    runs = [make_run(A, i, series={"norm": [1.0, 5e3 + i]}) for i in range(7)]
    runs.append(make_run(A, 7, state="diverged", message="at step 3"))
    parts = {"figure": {"series": "norm", "take": "growth"}, "measured": [A]}
    spec = claim("threshold", direction="above", bound=10, diverged="largest", **parts)
    verdict = judge(spec, runs)
    # Finished seeds count as what they are.
    assert (verdict.state, verdict.observed) == ("supported", 5003.5)
    assert "diverged" in flags(verdict)
    assert "at step 3" in verdict.reason
    low = claim("threshold", direction="below", bound=1e9, diverged="largest", **parts)
    assert judge(low, runs).state == "inconclusive"
    smallest = claim("threshold", direction="below", bound=1e9, diverged="smallest", **parts)
    assert judge(smallest, runs).state == "supported"


def test_where_most_seeds_diverge_the_typical_one_is_infinite(make_run) -> None:  # type: ignore[no-untyped-def]
    runs = [make_run(A, i, state="diverged", message="at step 3") for i in range(6)]
    runs += [make_run(A, i, series={"norm": [1.0, 20.0]}) for i in (6, 7)]
    figure = {"series": "norm", "take": "growth"}
    spec = claim(
        "threshold", figure=figure, measured=[A], direction="above", bound=10, diverged="largest"
    )
    verdict = judge(spec, runs)
    assert (verdict.state, verdict.observed, verdict.high) == ("supported", None, None)
    assert verdict.reason.startswith(f"{A}: infinity [20, infinity] lies above 10")
    assert side_by_side(verdict).startswith("observed: infinity [20, infinity];")


def test_below_its_scale_a_claim_is_open_and_says_how_far_it_came(make_cell) -> None:  # type: ignore[no-untyped-def]
    runs = make_cell(A, LOW) + make_cell(B, HIGH)
    expected = {(cell, "paper"): Expected((0,), 20_000) for cell in (A, B)}
    spec = claim("difference", settled_at="paper")
    verdict = judge(spec, runs, expected)
    assert verdict.state == "inconclusive"
    assert verdict.share_of_paper == 0.005
    assert verdict.reason.startswith(
        "needs scale paper (1M steps on four tasks); ran at smoke, 0.5 % of the paper's budget: 0.4"
    )
    assert verdict.low is not None
    assert "scale below" in flags(verdict)


def test_the_largest_scale_with_enough_seeds_is_judged_and_scales_do_not_mix(make_cell) -> None:  # type: ignore[no-untyped-def]
    smoke = make_cell(A, LOW) + make_cell(B, HIGH)
    short = make_cell(A, HIGH, scale="short") + make_cell(B, LOW[:2], scale="short")
    assert judge(claim("difference"), smoke + short).scale == "smoke"
    short = make_cell(A, HIGH, scale="short") + make_cell(B, LOW, scale="short")
    verdict = judge(claim("difference"), smoke + short)
    assert (verdict.scale, verdict.state) == ("short", "contradicted")


def test_a_scale_that_is_still_trained_does_not_take_the_place_of_one_that_is_complete(
    make_cell,
) -> None:  # type: ignore[no-untyped-def]
    smoke = make_cell(A, LOW) + make_cell(B, HIGH)
    plans = {(cell, scale): Expected(tuple(SEEDS), 1) for cell in (A, B) for scale in SCALES}
    short = make_cell(A, HIGH, scale="short") + make_cell(B, LOW[:5], scale="short")
    verdict = judge(claim("difference"), smoke + short, plans)
    assert (verdict.scale, verdict.state) == ("smoke", "supported")
    assert [other.state for other in verdict.other_scales] == ["inconclusive"]
    whole = make_cell(A, HIGH, scale="short") + make_cell(B, LOW, scale="short")
    assert judge(claim("difference"), smoke + whole, plans).state == "contradicted"


def test_scales_that_do_not_agree_are_both_shown(make_cell) -> None:  # type: ignore[no-untyped-def]
    smoke = make_cell(A, LOW) + make_cell(B, HIGH)
    short = make_cell(A, HIGH, scale="short") + make_cell(B, LOW, scale="short")
    for settled_at, state in (("smoke", "supported"), ("short", "inconclusive")):
        verdict = judge(claim("difference", settled_at=settled_at), smoke + short)
        (other,) = verdict.other_scales
        assert (other.scale, other.state, other.seen) == ("smoke", state, "supported")
        assert "scales differ" in flags(verdict)
        assert "scales differ: at smoke it is supported, 0.406 [" in verdict.reason
    alike = make_cell(A, LOW, scale="short") + make_cell(B, HIGH, scale="short")
    verdict = judge(claim("difference"), smoke + alike)
    assert verdict.other_scales[0].state == "supported" and flags(verdict) == []


def test_below_its_scale_a_claim_is_looked_at_on_the_tasks_that_ran(make_cell) -> None:  # type: ignore[no-untyped-def]
    others = ["game--agent--none", "game--agent--norm"]
    sides = {"treatment": [B, others[1]], "control": [A, others[0]]}
    runs = make_cell(A, LOW) + make_cell(B, HIGH)
    # One side of the pair at the next scale is not enough to judge there.
    runs += make_cell(A, LOW, scale="short")
    verdict = judge(claim("difference", settled_at="paper", **sides), runs)
    assert (verdict.state, verdict.scale) == ("inconclusive", "smoke")
    assert verdict.observed == pytest.approx(np.mean(HIGH) - np.mean(LOW))
    assert verdict.flags[0].kind == "tasks missing"
    assert f"no run of {others[1]}, {others[0]}" in verdict.reason
    # At the scale that settles it, a claim needs all its tasks.
    assert judge(claim("difference", **sides), runs).state == "not run"


def test_a_reference_gives_each_task_its_unit(make_run) -> None:  # type: ignore[no-untyped-def]
    def task(cell: str, random: float, values: Sequence[float]) -> list[Any]:
        spec = {"task": {"name": "toy", "random_return": random}, "budget": 1}
        return [
            make_run(cell, i, spec=spec, series={"return": [random, value]})
            for i, value in enumerate(values)
        ]

    other = ["game--agent--none", "game--agent--norm"]
    runs = task(A, 0.0, [10.0] * 3) + task(B, 0.0, [15.0, 15.1, 14.9])
    runs += task(other[0], -50.0, [50.0] * 3) + task(other[1], -50.0, [60.0, 61.0, 59.0])
    sides = {"treatment": [B, other[1]], "control": [A, other[0]], "reference": [A, other[0]]}
    for aggregate, wanted in (("mean", 0.3), ("iqm", 0.3)):
        spec = claim("difference", figure="final_return", aggregate=aggregate, **sides)
        verdict = judge(spec, runs)
        assert verdict.observed == pytest.approx(wanted, abs=1e-9)
        # The reference is the control here: no cell is listed twice.
        assert [cell.cell for cell in verdict.evidence] == [B, other[1], A, other[0]]
    poor = task(A, 20.0, [10.0] * 3) + task(B, 20.0, [15.0] * 3)
    verdict = judge(claim("difference", figure="final_return", reference=[A]), poor)
    assert "does no better than random play" in verdict.reason


def test_a_precondition_that_fails_leaves_the_claim_open(make_run) -> None:  # type: ignore[no-untyped-def]
    def runs(growth: float) -> list[Any]:
        return [
            make_run(cell, i, figures={"accuracy": values[i]}, series={"w/h1": [1.0, growth]})
            for cell, values in ((A, LOW), (B, HIGH))
            for i in SEEDS
        ]

    condition = {
        "says": "norms grow fivefold",
        "where": [A],
        "figure": {"series": "w/*", "take": "growth"},
        "at_least": 5.0,
    }
    spec = claim("difference", preconditions=[condition])
    assert judge(spec, runs(6.0)).state == "supported"
    verdict = judge(spec, runs(2.0))
    assert verdict.state == "inconclusive"
    assert "precondition not met: norms grow fivefold" in verdict.reason
    assert flags(verdict) == ["precondition"]


def test_stale_runs_do_not_count_and_are_named(make_run, make_cell) -> None:  # type: ignore[no-untyped-def]
    stale = [make_run(B, i, key=f"old{i}", stale="agent is version 2 now") for i in range(3)]
    verdict = judge(claim("difference"), make_cell(A, LOW) + stale)
    assert verdict.state == "not run"
    assert "3 stale runs not counted (agent is version 2 now)" in verdict.reason


def test_another_environment_than_the_papers_is_a_flag(make_run, make_cell) -> None:  # type: ignore[no-untyped-def]
    runs = make_cell(A, LOW) + make_cell(B, HIGH)
    verdict = judge(claim("difference"), runs, environments={"toy": "Toy-v4", "other": "Other"})
    assert [flag.says for flag in verdict.flags] == ["environment Toy-v0, the paper has Toy-v4"]
    assert not judge(claim("difference"), runs, environments={"other": "Toy-v4"}).flags


def test_a_figure_that_a_run_lacks_is_the_reason(make_cell) -> None:  # type: ignore[no-untyped-def]
    runs = make_cell(A, LOW) + make_cell(B, HIGH)
    verdict = judge(claim("difference", figure="dead_fraction"), runs)
    assert verdict.state == "inconclusive"
    assert "has no figure 'dead_fraction'" in verdict.reason


def test_an_open_claim_says_at_which_look_it_would_be_settled(make_cell) -> None:  # type: ignore[no-untyped-def]
    runs = make_cell(A, [0.1, 0.2, 0.3, 0.2]) + make_cell(B, [0.3, 0.2, 0.4, 0.25])
    verdict = judge(claim("difference"), runs, planned(4))
    assert verdict.state == "inconclusive"
    # Differences of mean 0.0875 and deviation 0.085: a t test has 73 % power with 16 seeds at
    # a confidence of 99.6 %, and 98 % with 32 at 99.9 %.
    assert verdict.seeds_to_settle == 32
    settled = judge(claim("difference"), make_cell(A, LOW) + make_cell(B, HIGH))
    assert settled.seeds_to_settle is None
    below = judge(claim("difference", settled_at="paper"), runs)
    assert below.seeds_to_settle is None


def test_without_its_power_a_verdict_is_the_same_but_for_the_seeds_to_settle(make_cell) -> None:  # type: ignore[no-untyped-def]
    runs = make_cell(A, [0.1, 0.2, 0.3, 0.2]) + make_cell(B, [0.3, 0.2, 0.4, 0.25])
    whole = judge(claim("difference"), runs, planned(4))
    assert whole.seeds_to_settle is not None
    bare = judge(claim("difference"), runs, planned(4), power=False)
    assert bare == whole.model_copy(update={"seeds_to_settle": None})


def test_a_verdict_holds_observed_null_and_paper_side_by_side(make_cell) -> None:  # type: ignore[no-untyped-def]
    null = {"name": "selection", "value": 0.2, "low": 0.1, "high": 0.3, "source": "measured"}
    spec = claim("difference", null=null)
    seen, empty = judge(spec, make_cell(A, LOW) + make_cell(B, HIGH)), judge(spec, [])
    for verdict in (seen, empty):
        assert verdict.paper == "0.3"
        assert verdict.null is not None
        assert (verdict.null.name, verdict.null.source) == ("selection", "measured")
        assert (verdict.null.low, verdict.null.value, verdict.null.high) == (0.1, 0.2, 0.3)
    told = "null: selection: 0.2 [0.1, 0.3]; paper: 0.3"
    assert side_by_side(empty) == f"observed: nothing; {told}"
    assert side_by_side(seen) == f"observed: 0.406 [0.394, 0.418]; {told}"
    assert "null: no effect;" in side_by_side(judge(claim("difference"), []))


def test_a_null_with_a_range_must_be_beaten_beyond_its_range(make_cell) -> None:  # type: ignore[no-untyped-def]
    null = {"name": "selection", "value": 0.2, "source": "s", "must_be_beaten": True}
    runs = make_cell(A, LOW) + make_cell(B, HIGH)
    assert judge(claim("difference", null=null | {"high": 0.3}), runs).state == "supported"
    verdict = judge(claim("difference", null=null | {"low": 0.1, "high": 0.5}), runs)
    assert verdict.state == "inconclusive"
    assert verdict.reason.endswith("but not beyond the null, selection: 0.2 [0.1, 0.5]")
    fewer = {"treatment": [A], "control": [B], "direction": "less"}
    below = null | {"value": -0.2, "low": -0.5, "high": -0.1}
    assert judge(claim("difference", null=below, **fewer), runs).state == "inconclusive"
    assert (
        judge(claim("difference", null=below | {"low": -0.3}, **fewer), runs).state == "supported"
    )


def test_a_p_value_is_the_error_rate_at_which_the_interval_still_supports(make_cell) -> None:  # type: ignore[no-untyped-def]
    above = [0.2, 0.0, 0.1, 0.05, 0.1, -0.01, 0.07, 0.12]
    runs = make_cell(A, LOW) + make_cell(B, [x + d for x, d in zip(LOW, above, strict=True)])
    verdict = judge(claim("difference"), runs)
    assert verdict.p_value is not None
    student = stats.ttest_1samp(above, 0.0)
    assert verdict.p_value == pytest.approx(student.pvalue, rel=1e-4)
    assert judge(claim("difference", direction="less"), runs).p_value == 1.0


def test_no_p_value_is_below_what_the_seeds_allow_without_a_shape(make_cell) -> None:  # type: ignore[no-untyped-def]
    def p_value(seeds: int, spec: ClaimSpec) -> float | None:
        return judge(spec, make_cell(A, LOW[:seeds]) + make_cell(B, HIGH[:seeds])).p_value

    for seeds in (3, 5, 8):
        signs = pytest.approx(2 ** (1 - seeds), rel=1e-4)
        assert p_value(seeds, claim("difference")) == signs
        assert p_value(seeds, claim("ratio")) == signs
        assert p_value(seeds, claim("equivalence", margin=1.0)) == signs
        typical = claim("threshold", measured=[B], direction="above", bound=0.8)
        assert p_value(seeds, typical) == signs
        sides = pytest.approx(2 / comb(2 * seeds, seeds), rel=1e-4)
        assert p_value(seeds, claim("difference", paired=False)) == sides


def test_three_clear_seeds_decide_nothing(make_cell) -> None:  # type: ignore[no-untyped-def]
    runs = make_cell(A, LOW[:3]) + make_cell(B, HIGH[:3])
    for spec in (claim("difference"), claim("threshold", measured=[B], direction="above", bound=0)):
        verdict = judge(spec, runs)
        assert (verdict.state, verdict.low, verdict.high) == ("inconclusive", None, None)
        assert "so few seeds allow no interval of 96.7 %" in verdict.reason


def test_seeds_without_any_spread_have_no_interval(make_cell) -> None:  # type: ignore[no-untyped-def]
    runs = make_cell(A, [0.5] * 8) + make_cell(B, [0.9] * 8)
    for spec in (claim("difference"), claim("ratio"), claim("difference", paired=False)):
        verdict = judge(spec, runs)
        assert verdict.state == "inconclusive" and verdict.p_value is None
        assert "all seeds gave the same" in verdict.reason


def test_of_many_comparisons_each_contradicts_with_a_part_of_the_error_rate(make_cell) -> None:  # type: ignore[no-untyped-def]
    # Alone, 6 of 6 seeds below the bound contradict (an error rate of 2^-5); as one of two, not.
    runs = make_cell(A, LOW[:6]) + make_cell(B, HIGH[:6])
    alone = claim("threshold", measured=[A], direction="above", bound=0.8)
    both = claim("threshold", measured=[A, B], direction="above", bound=0.8)
    assert judge(alone, runs).state == "contradicted"
    assert judge(both, runs).state == "inconclusive"
    runs = make_cell(A, LOW) + make_cell(B, HIGH)
    assert judge(both, runs).state == "contradicted"


def test_of_several_comparisons_the_weakest_gives_the_p_value(make_cell) -> None:  # type: ignore[no-untyped-def]
    runs = make_cell(A, LOW) + make_cell(B, [0.9, 0.5, 0.8, 0.7, 0.2, 0.6, 0.5, 0.4])
    alone = [
        judge(claim("threshold", measured=[cell], direction="above", bound=0.3), runs).p_value
        for cell in (A, B)
    ]
    both = judge(claim("threshold", measured=[A, B], direction="above", bound=0.3), runs)
    assert both.p_value == max(p for p in alone if p is not None)


def test_another_renderer_than_the_papers_is_a_flag(make_cell) -> None:  # type: ignore[no-untyped-def]
    def flagged(renderer: str) -> list[str]:
        task = {"name": "toy", "environment": "Toy", "arguments": {"renderer": renderer}}
        spec = {"task": task, "budget": 1}
        runs = make_cell(A, LOW, spec=spec) + make_cell(B, HIGH, spec=spec)
        return flags(judge(claim("difference"), runs))

    assert flagged("raycast") == ["renderer"]
    assert flagged("gl") == []


def test_runs_of_unlike_numerics_are_flagged_and_named(make_cell) -> None:  # type: ignore[no-untyped-def]
    def cells(*blas: str) -> list[Any]:
        return [
            run
            for cell, values, name in zip((A, B), (LOW, HIGH), blas, strict=True)
            for run in make_cell(cell, values, provenance={"numerics": {"blas": name}})
        ]

    alike = judge(claim("difference"), cells("one", "one"))
    assert flags(alike) == [] and len(alike.numerics) == 1
    mixed = judge(claim("difference"), cells("one", "two"))
    assert mixed.state == "supported" and flags(mixed) == ["numerics"]
    assert len(mixed.numerics) == 2 and alike.numerics[0] in mixed.numerics
    assert "its runs have 2 numerics (" in mixed.reason
    assert "blas: one | two" in mixed.reason or "blas: two | one" in mixed.reason
    # What was recorded before numerics were never counts as alike.
    older = judge(claim("difference"), make_cell(A, LOW) + cells("one", "one")[8:])
    assert flags(older) == ["numerics"]


# The same inputs give the same verdict.


@pytest.mark.parametrize("aggregate", ["mean", "iqm"])
def test_the_order_of_runs_does_not_matter(make_cell, aggregate) -> None:  # type: ignore[no-untyped-def]
    runs = make_cell(A, [0.1, 0.5, 0.3, 0.35]) + make_cell(B, [0.4, 0.2, 0.9, 0.1])
    texts = {
        judge(claim("difference", aggregate=aggregate), order).model_dump_json()
        for order in (runs, runs[::-1], runs[3:] + runs[:3])
    }
    assert len(texts) == 1


def test_a_run_given_twice_is_refused(make_cell) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="given twice"):
        judge(claim("difference"), make_cell(A, LOW) * 2)
