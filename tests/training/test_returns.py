"""Returns: what an evaluation records of training and of the greedy policy."""

import numpy as np
import pytest

from suite.conformance.small_runs import TASKS, small_runs
from suite.training.returns import Returns
from suite.training.series import Series

SEEDS = [0, 1]


def falling(observations):
    """A policy that pushes the pole over, sooner or later by where it starts."""
    return (-3 * observations[..., 1:2]).astype(np.float32)


@pytest.fixture
def returns():
    run = small_runs("td3", SEEDS, task=TASKS["inverted-pendulum"], evaluation_episodes=3)[0]
    return Returns(run, SEEDS, Series(len(SEEDS)))


def values(returns, seed, name):
    return returns._series.of(seed).get(name, {"value": []})["value"]


def test_training_returns_are_means_of_what_ended_since_the_last_evaluation(returns):
    returns.add([4.0, None])
    returns.add([2.0, 7.0])
    returns.evaluate(10, falling)
    returns.add([None, 5.0])
    returns.evaluate(20, falling)
    assert returns._series.of(0)["train_return"] == {"step": [10], "value": [3.0]}
    assert returns._series.of(1)["train_return"] == {"step": [10, 20], "value": [7.0, 5.0]}


def test_episodes_of_a_seed_s_environments_are_its_own(returns):
    returns.add([1.0, None, 3.0, 10.0, 20.0, None])
    returns.evaluate(10, falling)
    assert [values(returns, seed, "train_return") for seed in (0, 1)] == [[2.0], [15.0]]


def test_each_evaluation_plays_episodes_of_its_own_resumed_or_not(returns):
    returns.evaluate(10, falling)
    state = returns.state()
    returns.evaluate(20, falling)
    first, second = values(returns, 0, "return")
    assert first != second
    returns.load_state(state)
    returns.evaluate(30, falling)
    assert values(returns, 0, "return")[-1] == second


def test_a_seed_whose_greedy_return_is_not_finite_is_told(returns):
    def broken(observations):
        actions = falling(observations)
        actions[1] = np.nan
        return actions

    assert returns.evaluate(10, broken).tolist() == [True, False]
    assert values(returns, 1, "return") == [None]
