import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from suite.stats.intervals import (
    NoIntervalError,
    Precision,
    Ratio,
    bootstrapped,
    contrast,
    gain_difference,
    iqm_difference,
    mean_difference,
    mean_ratio,
    typical,
)

SAMPLES = arrays(np.float64, st.integers(2, 7), elements=st.floats(-1e3, 1e3))


def normal(rng: np.random.Generator, seeds: int) -> np.ndarray:
    return rng.normal(size=seeds)


def skewed(rng: np.random.Generator, seeds: int) -> np.ndarray:
    return rng.lognormal(size=seeds)


def test_t_of_a_mean_is_students() -> None:
    # t(0.975, 2) = 4.302653; the bootstrap of three values is narrower.
    seen = contrast([np.array([1.0, 2.0, 3.0])], [1.0])
    assert seen.observed == 2.0
    assert seen.high - seen.observed == pytest.approx(4.302653 / np.sqrt(3), rel=1e-6)
    assert seen.method == "bca+t"


def test_more_confidence_makes_a_wider_interval() -> None:
    sample = np.array([1.0, 2.0, 3.0, 5.0])
    usual, careful = contrast([sample], [1.0]), contrast([sample], [1.0], precision=Precision(0.99))
    assert careful.low < usual.low and usual.high < careful.high
    student = stats.ttest_1samp(sample, 0.0).confidence_interval(0.99)
    assert (careful.low, careful.high) == pytest.approx((student.low, student.high))


def test_an_unpaired_difference_has_welchs_interval_at_least() -> None:
    first, second = np.array([5.0, 6.0, 7.0, 8.0]), np.array([1.0, 1.5, 2.0, 1.2])
    seen = mean_difference([first], [second], paired=False)
    welch = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    assert seen.observed == pytest.approx(5.075)
    assert (seen.low, seen.high) == pytest.approx((welch.low, welch.high))


@pytest.mark.parametrize("aggregate", [mean_difference, iqm_difference])
def test_pairing_takes_out_what_the_seeds_share(aggregate) -> None:  # type: ignore[no-untyped-def]
    shared = np.array([0.0, 100.0, 200.0, 300.0, 400.0, 500.0])
    noise = np.array([0.01, -0.01, 0.02, -0.02, 0.01, -0.01])
    paired = aggregate([shared + 1 + noise], [shared], paired=True)
    unpaired = aggregate([shared + 1 + noise], [shared], paired=False)
    assert 0 < paired.low < 1 < paired.high
    assert unpaired.low < 0


def test_tasks_may_have_unequal_numbers_of_seeds() -> None:
    seen = mean_difference(
        [np.array([1.0, 2.0]), np.array([5.0, 6.0, 7.0])],
        [np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0])],
        paired=False,
    )
    assert seen.observed == pytest.approx(((1.5 - 1.0) + (6.0 - 0.5)) / 2)


def test_each_task_counts_alike_in_a_mean_and_is_resampled_by_itself() -> None:
    # Tasks of very different levels: drawing across tasks would make the interval 100 wide.
    seen = contrast([np.array([0.0, 0.1, 0.2]), np.array([100.0, 100.1, 100.2])], [0.5, 0.5])
    assert seen.observed == pytest.approx(50.1)
    assert seen.high - seen.low < 0.5


def test_a_ratio_is_the_mean_over_tasks_of_ratios_of_means() -> None:
    treatment = [np.array([2.0, 2.2, 1.8, 2.0]), np.array([30.0, 31.0, 29.0, 30.0])]
    control = [np.array([1.0, 1.1, 0.9, 1.0]), np.array([10.0, 10.0, 10.0, 10.0])]
    seen = mean_ratio(treatment, control, paired=True)
    assert seen.observed == pytest.approx(2.5)
    # Seeds of the first task are proportional, so only the second task varies when paired.
    assert mean_ratio(treatment, control, paired=False).low < seen.low


def test_a_difference_of_gains_is_that_of_mean_ratios_over_tasks() -> None:
    rng = np.random.default_rng(3)
    a, b, c, d = (1 + 0.1 * rng.normal(size=8) for _ in range(4))
    more = [Ratio("hopper", 3 * a, b), Ratio("walker", 2 * c, d)]
    than = [Ratio("ant", 4 * a, b)]
    seen = gain_difference(more, than)
    expected = (3 * a.mean() / b.mean() + 2 * c.mean() / d.mean()) / 2 - 4 * a.mean() / b.mean()
    assert seen.observed == pytest.approx(expected)
    # Alone, it is the mean ratio less what is known.
    alone = gain_difference([Ratio("hopper", 3 * a, b)], [Ratio("ant", np.ones(8), np.ones(8))])
    ratio = mean_ratio([3 * a], [b], paired=True)
    assert alone.observed == pytest.approx(ratio.observed - 1)
    assert alone.low == pytest.approx(ratio.low - 1, abs=0.01)


def test_gains_that_seeds_share_cancel() -> None:
    rng = np.random.default_rng(4)
    above, below = 2 + rng.normal(size=(2, 8)) / 4
    more, than = Ratio("hopper", above + 0.1, below), Ratio("hopper", above, below)
    apart = Ratio("ant", above, below)
    together, separate = gain_difference([more], [than]), gain_difference([more], [apart])
    assert together.observed == pytest.approx(separate.observed)
    assert together.high - together.low < (separate.high - separate.low) / 4


def test_a_ratio_to_what_may_be_zero_is_refused() -> None:
    with pytest.raises(NoIntervalError, match="not clearly above zero"):
        mean_ratio([np.ones(3)], [np.array([-1.0, 0.0, 2.0])], paired=True)
    with pytest.raises(NoIntervalError, match="not clearly above zero"):
        unclear = Ratio("ant", np.ones(3), np.array([-1.0, 0.0, 2.0]))
        gain_difference([Ratio("hopper", np.ones(3), np.ones(3))], [unclear])


def test_one_seed_has_no_interval() -> None:
    with pytest.raises(NoIntervalError, match="1 seed is too few"):
        contrast([np.array([1.0])], [1.0])


@pytest.mark.parametrize("aggregate", [mean_difference, iqm_difference, mean_ratio])
@pytest.mark.parametrize("paired", [True, False])
def test_equal_seeds_have_no_interval(aggregate, paired) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(NoIntervalError, match="no proof that others would"):
        aggregate([np.full(8, 0.3)], [np.full(8, 0.1)], paired=paired)


@pytest.mark.parametrize(
    ("pairs", "paired", "rate"),
    [([5], True, 2**-4), ([6], True, 2**-5), ([2, 3], True, 2**-4), ([3], False, 2 / 20),
     ([4], False, 2 / 70), ([2, 3], False, 2 / 120)],
)  # fmt: skip
@pytest.mark.parametrize("aggregate", [mean_difference, iqm_difference, mean_ratio])
def test_seeds_are_no_surer_than_their_arrangements_allow(aggregate, pairs, paired, rate) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(0)
    above = [10 + 1e-6 * rng.normal(size=n) for n in pairs]
    below = [1 + 1e-6 * rng.normal(size=n) for n in pairs]
    seen = aggregate(above, below, paired=paired)
    assert np.isfinite(seen.at(1 - 1.01 * rate)).all()
    assert seen.at(1 - 0.99 * rate) == (-np.inf, np.inf)
    assert seen.open == (rate > 0.05)


def test_the_interval_of_a_median_goes_from_value_to_value() -> None:
    # Of eight, at most one lies below the median in 9/256 of cases, none in 1/256.
    sample = np.array([8.0, 1.0, 7.0, 2.0, 6.0, 3.0, 5.0, np.inf])
    assert (typical(sample).observed, typical(sample).low, typical(sample).high) == (5.5, 1, np.inf)
    assert typical(sample, precision=Precision(1 - 18 / 255)).low == 2
    assert typical(sample, precision=Precision(1 - 1.99 / 256)).open
    assert typical(np.ones(5)).open and not typical(np.ones(6)).open


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.floats(0.5, 0.999))
def test_the_interval_of_a_median_is_that_of_the_sign_test(seeds: int, confidence: float) -> None:
    seen = typical(np.arange(seeds, dtype=np.float64), precision=Precision(confidence))
    for value in range(seeds):
        # Bounds just above the value: value + 1 seeds lie below.
        theirs = stats.binomtest(value + 1, seeds).pvalue
        if abs(theirs - (1 - confidence)) > 1e-9 and value + 1 <= seeds / 2:
            assert (seen.low > value) == (theirs < 1 - confidence)


def test_where_bca_is_undefined_the_percentile_interval_is_used() -> None:
    # Jackknife values of a trimmed mean that drops the outlier are all equal.
    sample = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 5.0])
    seen = iqm_difference([sample + 1e-9 * np.arange(8)], [np.zeros(8)], paired=True)
    assert np.isfinite([seen.low, seen.high]).all()
    assert contrast([np.array([1.0, 1.0, 2.0])], [1.0]).low < 4 / 3


def test_the_bootstrap_widens_the_interval_of_a_skewed_figure_by_the_same_bits_each_time() -> None:
    sample = np.array([0.0, 0.1, 0.2, 0.0, 0.1, 0.3, 0.2, 0.1, 0.0, 8.0, 0.1, 0.2])
    seen = contrast([sample], [1.0])
    student = stats.ttest_1samp(sample, 0.0).confidence_interval(0.95)
    assert seen.high > student.high + 0.1
    assert seen.low == pytest.approx(student.low)
    assert contrast([sample], [1.0]) == seen


@settings(max_examples=25, deadline=None)
@given(SAMPLES)
def test_the_same_sample_gives_the_same_bits_and_contains_its_statistic(sample) -> None:  # type: ignore[no-untyped-def]
    first, second = contrast([sample], [1.0]), contrast([sample.copy()], [1.0])
    assert first == second
    assert first.low <= first.observed <= first.high


@pytest.mark.parametrize("seeds", [3, 6, 10])
@pytest.mark.parametrize("draw", [normal, skewed])
@pytest.mark.parametrize("aggregate", [mean_difference, iqm_difference])
@pytest.mark.parametrize("paired", [True, False])
def test_without_an_effect_support_is_rarer_than_five_percent(
    seeds, draw, aggregate, paired
) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(seeds)
    trials = 150
    found = [
        aggregate(
            [draw(rng, seeds)],
            [draw(rng, seeds)],
            paired=paired,
            precision=Precision(resamples=200),
        )
        for _ in range(trials)
    ]
    # At a true 2.5 %, more than 10 of 150 has a chance of 0.2 %.
    assert sum(seen.low > 0 for seen in found) <= 10
    assert sum(seen.high < 0 for seen in found) <= 10


def test_the_bootstrap_alone_would_not_keep_the_rate() -> None:
    rng = np.random.default_rng(0)
    missed = 0
    for _ in range(150):
        ends, method = bootstrapped(
            [rng.normal(size=3)], lambda x, axis=-1: x.mean(axis=axis), Precision(resamples=1000)
        )
        low, high = ends(0.95)
        missed += low > 0 or high < 0
    assert method == "bca"
    assert missed > 30


def test_an_interval_knows_its_ends_at_another_confidence() -> None:
    sample = np.array([0.0, 0.1, 0.2, 0.0, 0.1, 0.3, 0.2, 0.1, 0.0, 8.0, 0.1, 0.2])
    usual, careful = contrast([sample], [1.0]), contrast([sample], [1.0], precision=Precision(0.99))
    assert usual.with_confidence(0.99) == careful
    assert careful.with_confidence(0.95) == usual


def test_without_resamples_an_interval_is_students_alone() -> None:
    sample = np.array([0.0, 0.1, 0.2, 0.0, 0.1, 0.3, 0.2, 0.1, 0.0, 8.0, 0.1, 0.2])
    seen = contrast([sample], [1.0], precision=Precision(resamples=0))
    student = stats.ttest_1samp(sample, 0.0).confidence_interval(0.95)
    assert (seen.low, seen.high) == pytest.approx((student.low, student.high))
    assert seen.method == "t"
