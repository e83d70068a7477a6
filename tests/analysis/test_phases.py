"""The phases of training on curves whose phases are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.analysis.phases import phases, smoothed

STEPS = np.arange(0, 100)
# Flat at 0 to step 20, a rise to 60 at step 80, flat from there.
RISE = np.clip(STEPS - 20, 0, 60).astype(float)


def boundaries(found):
    """The first step of training and of convergence, for phases at every step."""
    return found.index("training"), found.index("convergence")


def test_training_begins_beyond_a_tenth_of_the_gain_and_ends_at_nine_tenths():
    found, told = phases(STEPS, RISE, STEPS, 0)
    # A tenth is 6, reached at step 26 and exceeded at 27; the last below nine tenths, 53, at 73.
    assert told
    assert boundaries(found) == (27, 73)
    assert found == ["initial"] * 27 + ["training"] * 46 + ["convergence"] * 27


def test_phases_are_looked_up_between_returns_and_beyond_them():
    at = np.array([-5, 26.9, 27, 72.9, 73, 1e6])
    found, _ = phases(STEPS, RISE, at, 0)
    assert found == ["initial"] * 2 + ["training"] * 2 + ["convergence"] * 2


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(-50, 50), min_size=2, max_size=30),
    st.integers(-100, 100),
    st.sampled_from([0.25, 0.5, 2.0, 8.0]),
    st.integers(0, 4),
)
def test_neither_the_scale_nor_the_zero_of_returns_and_steps_matters(values, zero, scale, width):
    steps, returns = np.arange(len(values)) * 10, np.array(values, float)
    found = phases(steps, returns, steps, 10 * width)
    assert phases(steps + 70, returns, steps + 70, 10 * width) == found
    assert phases(3 * steps, returns, 3 * steps, 30 * width) == found
    if width == 0:  # sums of whole numbers and powers of 2 have no rounding
        assert phases(steps, scale * (returns + zero), steps, 0) == found


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30), st.integers(0, 3))
def test_phases_follow_each_other_on_any_curve(values, width):
    steps = np.arange(len(values))
    found, told = phases(steps, np.array(values), steps, width)
    ranks = [("initial", "training", "convergence").index(phase) for phase in found]
    assert ranks == sorted(ranks)
    assert found[0] == "initial"
    if not told:
        assert set(found) == {"initial"}


@pytest.mark.parametrize(
    "returns",
    [np.zeros(100), np.full(100, -7.0), -RISE, np.full(100, np.nan), np.r_[np.full(99, np.nan), 1]],
    ids=["zero", "flat", "falling", "unknown", "one known"],
)
def test_a_curve_that_never_rises_tells_no_phase(returns):
    found, told = phases(STEPS, returns, STEPS, 0)
    assert found == ["initial"] * 100 and told is False
    assert phases(np.array([]), np.array([]), STEPS[:3], 0) == (["initial"] * 3, False)


def test_unknown_returns_are_left_out():
    returns = RISE.copy()
    returns[::3] = np.nan
    known = np.isfinite(returns)
    found = phases(STEPS, returns, STEPS, 4)
    assert found == phases(STEPS[known], returns[known], STEPS, 4)
    returns[1] = np.inf
    known[1] = False
    assert phases(STEPS, returns, STEPS, 4) == phases(STEPS[known], returns[known], STEPS, 4)


def test_dips_after_the_highest_return_count_for_nothing_and_those_before_it_do():
    returns = RISE.copy()
    returns[79:] = np.linspace(59, 0, 21)
    returns[80] = 60.0
    assert boundaries(phases(STEPS, returns, STEPS, 0)[0]) == (27, 73)
    early = RISE.copy()
    early[78] = 10.0
    assert boundaries(phases(STEPS, early, STEPS, 0)[0]) == (27, 78)


def test_a_return_that_jumps_has_a_training_phase_of_its_last_low_point_only():
    returns = np.where(STEPS < 50, 0.0, 1.0)
    found, told = phases(STEPS, returns, STEPS, 0)
    # Convergence begins at the last low return, step 49, before training would at step 50.
    assert told
    assert found == ["initial"] * 50 + ["convergence"] * 50


def test_runs_with_time_axes_of_their_own_have_their_own_phases():
    slow = phases(np.arange(0, 300, 3), RISE, np.array([30, 90, 290]), 0)[0]
    fast = phases(np.arange(0, 50, 0.5), RISE, np.array([30, 90, 290]), 0)[0]
    assert slow == ["initial", "training", "convergence"]
    assert fast == ["training", "convergence", "convergence"]
    short = phases(STEPS[:60], RISE[:60], np.array([50, 59]), 0)[0]
    assert short == ["training", "convergence"]


def test_smoothing_is_the_mean_of_all_within_reach_and_of_fewer_at_the_ends():
    steps = np.array([0, 1, 2, 5, 6])
    values = np.array([1.0, 2.0, 6.0, 10.0, 20.0])
    np.testing.assert_allclose(smoothed(steps, values, 1), [1.5, 3, 4, 15, 15])
    np.testing.assert_array_equal(smoothed(steps, values, 0), values)
    np.testing.assert_allclose(smoothed(steps, values, 100), values.mean())


def test_a_spike_counts_for_less_when_smoothed():
    returns = RISE.copy()
    returns[5] = 20.0
    assert boundaries(phases(STEPS, returns, STEPS, 0)[0])[0] == 5
    assert boundaries(phases(STEPS, returns, STEPS, 5)[0])[0] > 20
