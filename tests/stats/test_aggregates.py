"""Aggregates over tasks, held against rliable (Agarwal et al., NeurIPS 2021), the oracle."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rliable import library, metrics
from scipy import stats

from suite.stats.aggregates import (
    iqm,
    mean,
    median,
    normalised,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
    sample_efficiency,
)
from suite.stats.intervals import CONFIDENCE, NoIntervalError, Precision, bootstrapped

# rliable's matrices: [runs, tasks].
SHAPES = st.tuples(st.integers(2, 7), st.integers(1, 6))
# On a coarse grid there are ties; sums of these values lose no more than a few bits.
MATRICES = SHAPES.flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.integers(-40, 40).map(lambda i: i / 8))
)
ONCE = Precision(resamples=0)
POINTS = {
    "mean": (mean, metrics.aggregate_mean),
    "median": (median, metrics.aggregate_median),
    "iqm": (iqm, metrics.aggregate_iqm),
    "optimality gap": (optimality_gap, metrics.aggregate_optimality_gap),
}
THRESHOLDS = np.linspace(-5, 5, 7)


def by_task(matrix: np.ndarray) -> list[np.ndarray]:
    return list(matrix.T)


@pytest.mark.parametrize("name", POINTS)
@settings(max_examples=30, deadline=None)
@given(matrix=MATRICES)
def test_aggregates_are_those_of_rliable(name: str, matrix: np.ndarray) -> None:
    ours, theirs = POINTS[name]
    few = Precision(resamples=9) if name == "median" else ONCE
    seen = ours(by_task(matrix), precision=few).observed
    assert seen == pytest.approx(float(theirs(matrix)), rel=0, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(treatment=MATRICES, data=st.data())
def test_probability_of_improvement_is_that_of_rliable(
    treatment: np.ndarray, data: st.DataObject
) -> None:
    runs = data.draw(st.integers(2, 7))
    elements = st.integers(-40, 40).map(lambda i: i / 8)
    control = data.draw(arrays(np.float64, (runs, treatment.shape[1]), elements=elements))
    theirs = metrics.probability_of_improvement(treatment, control)
    ours = probability_of_improvement(by_task(treatment), by_task(control), precision=ONCE)
    assert ours.observed == pytest.approx(theirs, rel=0, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(matrix=MATRICES)
def test_performance_profiles_are_those_of_rliable(matrix: np.ndarray) -> None:
    theirs = library.score_distributions(matrix, THRESHOLDS)
    ours = performance_profile(by_task(matrix), THRESHOLDS, precision=ONCE)
    assert [one.observed for one in ours] == pytest.approx(list(theirs), rel=0, abs=1e-12)


@pytest.mark.parametrize("name", ["iqm", "median", "mean"])
def test_bootstrap_intervals_are_those_of_rliable(name: str) -> None:
    matrix = np.random.default_rng(0).normal(size=(6, 10))
    _, theirs = POINTS[name]
    # rliable draws from numpy's global generator, whatever random state it is given.
    np.random.seed(0)
    _, intervals = library.get_interval_estimates(
        {"scores": matrix}, lambda scores: np.array([theirs(scores)]), reps=3000
    )
    ends, method = bootstrapped(
        by_task(matrix), STATISTICS[name], Precision(resamples=3000), methods=("percentile",)
    )
    assert method == "percentile"
    # The standard error of a 2.5 % quantile of 3000 draws is 8 % of their deviation.
    deviation = np.ptp(intervals["scores"]) / 4
    assert ends(CONFIDENCE) == pytest.approx(intervals["scores"][:, 0], abs=4 * 0.08 * deviation)


STATISTICS = {
    "iqm": lambda *x, axis=-1: stats.trim_mean(np.concatenate(x, axis=axis), 0.25, axis=axis),
    "median": lambda *x, axis=-1: np.median([one.mean(axis=axis) for one in x], axis=0),
    "mean": lambda *x, axis=-1: np.mean([one.mean(axis=axis) for one in x], axis=0),
}


def test_the_same_scores_give_the_same_bits() -> None:
    scores = by_task(np.random.default_rng(0).normal(size=(5, 4)))
    for aggregate in (mean, median, iqm, optimality_gap):
        assert aggregate(scores) == aggregate([x.copy() for x in scores])
    assert probability_of_improvement(scores, scores[::-1]) == probability_of_improvement(
        scores, scores[::-1]
    )


def test_tasks_may_have_unequal_numbers_of_seeds() -> None:
    scores = [np.array([1.0, 3.0]), np.array([4.0, 5.0, 9.0])]
    assert mean(scores).observed == pytest.approx((2 + 6) / 2)
    assert median(scores).observed == pytest.approx((2 + 6) / 2)
    assert optimality_gap(scores, target=4.0).observed == pytest.approx((2 + 0) / 2)
    profile = performance_profile(scores, [2.0, 4.5])
    assert [one.observed for one in profile] == pytest.approx([(0.5 + 1) / 2, (0 + 2 / 3) / 2])
    better = [x + 1 for x in scores[::-1]]
    assert 0 < probability_of_improvement(better, scores).observed < 1


@pytest.mark.parametrize("tasks", [1, 4])
@pytest.mark.parametrize("seeds", [3, 6, 10])
def test_without_an_effect_a_probability_of_improvement_is_rarely_above_a_half(
    seeds: int, tasks: int
) -> None:
    rng = np.random.default_rng(seeds)
    found = [
        probability_of_improvement(
            list(rng.normal(size=(tasks, seeds))),
            list(rng.normal(size=(tasks, seeds))),
            precision=Precision(resamples=50),
        )
        for _ in range(100)
    ]
    # At a true 2.5 %, more than 8 of 100 has a chance of 0.1 %.
    assert sum(seen.low > 0.5 for seen in found) <= 8
    assert sum(seen.high < 0.5 for seen in found) <= 8


def test_sample_efficiency_is_the_iqm_at_each_evaluation() -> None:
    curves = [np.array([[0.0, 1.0], [0.0, 2.0]]), np.array([[0.0, 3.0], [0.0, 100.0]])]
    seen = sample_efficiency(curves, precision=ONCE)
    assert [one.observed for one in seen] == [0.0, 2.5]
    with pytest.raises(ValueError, match=r"\[1, 2\] evaluations"):
        sample_efficiency([curves[0], curves[1][:, :1]])


def test_scores_are_normalised_by_random_play_and_a_base() -> None:
    assert normalised([10.0, 60.0, 110.0], random=10.0, base=60.0).tolist() == [0.0, 1.0, 2.0]
    with pytest.raises(ValueError, match="not above random"):
        normalised([1.0], random=5.0, base=5.0)


def test_an_aggregate_of_one_seed_has_no_interval() -> None:
    for aggregate in (mean, median, iqm, optimality_gap):
        with pytest.raises(NoIntervalError, match="too few"):
            aggregate([np.array([1.0])])
