from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from suite.stats.columns import coefficient
from suite.stats.intervals import NoIntervalError, Precision, correlation, typical
from suite.stats.verdicts import judge

A, B = "toy--agent--none", "toy--agent--norm"
T_ALONE = Precision(resamples=0)


@given(arrays(np.float64, (2, 6), elements=st.floats(-10, 10, width=16)))
def test_coefficients_are_scipys(rows: np.ndarray) -> None:
    for name, theirs in (("pearson", stats.pearsonr), ("spearman", stats.spearmanr)):
        seen = float(coefficient(name, *rows))
        if (np.ptp(rows, axis=1) < 1e-3).any():
            assert -1 <= seen <= 1
        else:
            assert seen == pytest.approx(float(theirs(*rows).statistic), abs=1e-9)


def test_what_never_changes_has_no_correlation() -> None:
    assert (
        coefficient("spearman", np.ones((3, 5)), np.arange(15.0).reshape(3, 5)).tolist() == [0] * 3
    )


def test_the_interval_of_a_correlation_is_fishers_at_least() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40, 2))
    rows[:, 1] += rows[:, 0]
    seen = correlation(rows, partial(coefficient, "pearson"))
    fisher = stats.pearsonr(*rows.T).confidence_interval(0.95)
    assert seen.low <= fisher.low and seen.high >= fisher.high
    assert seen.high - seen.low < 1.5 * (fisher.high - fisher.low)
    assert seen.method == "bca+fisher"


def test_few_runs_can_not_show_a_correlation_however_regular_they_are() -> None:
    rows = np.stack([np.arange(6.0), np.arange(6.0)], axis=1)
    spearman = partial(coefficient, "spearman")
    with pytest.raises(NoIntervalError, match="3 runs are too few"):
        correlation(rows[:3], spearman)
    # 4 values are in one order in 1 of 24 cases.
    assert correlation(rows[:4], spearman, precision=T_ALONE).low == -1.0
    assert correlation(rows[:5], spearman, precision=T_ALONE).low > 0
    assert correlation(rows[:5], spearman, precision=Precision(0.99, 0)).low == -1.0


@pytest.mark.parametrize("seeds", [6, 10])
def test_unrelated_series_that_drift_are_rarely_called_correlated(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    walks = rng.normal(size=(2, 2000, seeds, 50)).cumsum(axis=-1)
    coefficients = coefficient("spearman", walks[0], walks[1])
    found = [typical(row).low > 0 for row in coefficients]
    # All of six agree in sign in 1.6 % of cases, nine or ten of ten in 1.1 %.
    assert np.mean(found) < 0.025


def claim(make_claim, **parts: Any) -> Any:  # type: ignore[no-untyped-def]
    common = {"kind": "correlation", "method": "spearman", "measured": [A], "direction": "above"}
    return make_claim(**(common | parts))


def test_two_series_are_correlated_over_the_steps_that_both_have(make_run, make_claim) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(0)
    runs = []
    for seed in range(6):
        noise = rng.normal(size=20)
        # The second series ends later.
        series = {"norm": noise, "return": [*(2 * noise + rng.normal(size=20) / 9), 5.0, 9.0]}
        runs.append(make_run(A, seed, series=series))
    spec = claim(make_claim, pair={"series": ["norm", "return"]}, bound=0.5)
    verdict = judge(spec, runs)
    assert verdict.state == "supported"
    assert verdict.observed is not None and verdict.observed > 0.9
    assert verdict.statistic == "median Spearman correlation of norm and return"
    against = claim(make_claim, pair={"series": ["norm", "return"]}, direction="below")
    assert judge(against, runs).state == "contradicted"


def test_a_correlation_of_series_holds_in_every_cell(make_run, make_claim) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(0)
    runs = [
        make_run(
            cell, seed, series={"a": np.arange(20), "b": sign * np.arange(20) + rng.normal(size=20)}
        )
        for cell, sign in ((A, 1), (B, -1))
        for seed in range(8)
    ]
    spec = claim(make_claim, pair={"series": ["a", "b"]}, measured=[A, B])
    verdict = judge(spec, runs)
    assert verdict.state == "contradicted"
    assert verdict.reason.startswith(f"{B}: -0.9")


def test_two_figures_are_correlated_over_all_runs(make_run, make_claim) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(0)
    runs = []
    for cell, level in ((A, 0.0), (B, 5.0)):
        for seed in range(6):
            x = level + rng.normal()
            runs.append(
                make_run(cell, seed, figures={"norm": x, "accuracy": x + 0.1 * rng.normal()})
            )
    parts = {"pair": {"figures": ["norm", "accuracy"]}, "measured": [A, B], "bound": 0.5}
    verdict = judge(claim(make_claim, **parts), runs)
    assert verdict.state == "supported"
    assert len(verdict.comparisons) == 1
    assert verdict.statistic == "Spearman correlation of norm and accuracy"
    shuffled = [r for r in runs if r.seed < 3]
    assert judge(claim(make_claim, **parts | {"measured": [A]}), shuffled).state == "inconclusive"


@pytest.mark.parametrize(
    ("series", "message"),
    [
        ({"a": [1, 2, 3, 4, 5]}, "no series 'b'"),
        ({"a": [1, 2, 3, 4], "b": [1, 2, 3, 4]}, "has 4 steps with 'a' and 'b'"),
        ({"a": [1, 2, 3, 4, 5], "b": [2, 2, 2, 2, 2]}, "one never changes"),
    ],
)
def test_series_that_have_no_correlation_are_the_reason(
    make_run, make_claim, series, message
) -> None:  # type: ignore[no-untyped-def]
    runs = [make_run(A, seed, series=series) for seed in range(6)]
    verdict = judge(claim(make_claim, pair={"series": ["a", "b"]}), runs)
    assert verdict.state == "inconclusive"
    assert message in verdict.reason
