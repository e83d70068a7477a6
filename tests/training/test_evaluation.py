"""Evaluation: own environments, own seeds, fixed batches."""

import numpy as np

from suite.conformance.small_runs import TASKS
from suite.training.evaluation import Evaluation

TASK = TASKS["inverted-pendulum"]


def steady(observations):
    """A policy that catches the pole for a while."""
    return (3 * observations[..., 1:2]).astype(np.float32)


def falling(observations):
    """A policy that pushes the pole over, sooner or later by where it starts."""
    return -steady(observations)


def test_a_seed_is_evaluated_alike_in_any_group():
    together = Evaluation(TASK, [3, 1, 2], 3).returns(falling, 4)
    alone = [Evaluation(TASK, [seed], 3).returns(falling, 4)[0] for seed in (3, 1, 2)]
    assert len(np.unique(together)) > 2
    np.testing.assert_array_equal(together, alone)


def test_evaluations_and_episodes_differ_and_can_be_repeated():
    evaluation = Evaluation(TASK.model_copy(update={"episode_limit": 500}), [0], 4)
    observed = []

    def watched(observations):
        observed.append(observations.copy())
        return steady(observations)

    first = evaluation.returns(watched, 0)
    start = observed[0][0]
    assert len({tuple(row) for row in start}) == 4
    second_start = len(observed)
    evaluation.returns(watched, 1)
    assert not (observed[second_start][0] == start).any(axis=1).any()
    np.testing.assert_array_equal(evaluation.returns(steady, 0), first)


def test_the_policy_always_sees_the_same_batch_shape():
    shapes = set()

    def watched(observations):
        shapes.add(observations.shape)
        return falling(observations)

    returns = Evaluation(TASK, [0, 1], 3).returns(watched, 0)
    assert shapes == {(2, 3, 4)}
    assert len(set(returns.ravel())) > 1  # the episodes ended one by one


def test_an_action_that_is_not_finite_gives_that_episode_no_return():
    def broken(observations):
        actions = steady(observations)
        actions[1, 0] = np.nan
        return actions

    returns = Evaluation(TASK, [0, 1], 2).returns(broken, 0)
    expected = Evaluation(TASK, [0, 1], 2).returns(steady, 0)
    assert np.isnan(returns[1, 0])
    expected[1, 0] = np.nan
    np.testing.assert_array_equal(returns, expected)
