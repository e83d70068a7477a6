"""The on-policy loop: what a rollout holds, when it learns, and that nothing else matters."""

import copy

import numpy as np
import pytest

from suite.conformance.small_runs import TASKS, small_runs
from suite.training.on_policy import OnPolicyLoop
from suite.training.rows import cut, stack

PLAIN = {"normalise_observations": False, "normalise_rewards": False}


def loop_of(seeds=(0, 1), n_envs=1, task=None, evaluate_every=8, **changes):
    settings = {"budget": 96, "n_envs": n_envs, "evaluate_every": evaluate_every} | changes
    (run,) = small_runs("ppo", [seeds[0]], task=task, **settings)
    return OnPolicyLoop(run, list(seeds), "cpu")


def advanced(loop, until):
    while loop.step < until:
        loop.advance()
    return loop


def test_cut_episodes_bootstrap_and_ended_ones_do_not():
    short = TASKS["inverted-pendulum"].model_copy(update={"episode_limit": 2})
    cut_short = loop_of(task=short, n_steps=128, budget=128, **PLAIN)
    seen = []
    inner = cut_short.environments.step
    cut_short.environments.step = lambda taken: seen.append(inner(taken)) or seen[-1]
    advanced(cut_short, 60)
    rollout = cut_short.rollout
    for t, (following, reward, terminal, truncated, _) in enumerate(seen):
        value = cut_short.agent.value(following[:, None])[:, 0]
        # A pendulum cannot fall within two steps.
        assert not terminal.any() and (truncated == t % 2).all()
        expected = reward + 0.99 * value * truncated
        np.testing.assert_allclose(rollout.reward[:, t, 0], expected, rtol=1e-5)
        assert (rollout.ended[:, t, 0] == t % 2).all()
    falling = advanced(loop_of(n_steps=128, budget=128, **PLAIN), 60).rollout
    assert falling.ended[:, :60].sum() >= 3
    # The reward is 1 for each step but the one that ends an episode by falling.
    np.testing.assert_array_equal(falling.reward[:, :60] == 0, falling.ended[:, :60] == 1)


def test_a_rollout_continues_from_the_observation_after_the_last_one():
    loop = loop_of(n_envs=2, **PLAIN)
    observations = []
    for _ in range(16):
        observations.append(loop.environments.observation.reshape(2, 2, -1))
        before = loop.rollout.length
        loop.advance()
        if not loop.rollout.full and loop.rollout.length:
            np.testing.assert_array_equal(loop.rollout.observation[:, before], observations[-1])


def test_plug_ins_are_told_the_number_of_learn_calls():
    for n_envs in (1, 2):
        loop = loop_of(n_envs=n_envs)
        advanced(loop, loop.total)
        assert loop.step == 96
        assert loop.agent.updates == 96 // (16 * n_envs) * 2 * (16 * n_envs // 8)
        assert loop.agent.groups["actor"].steps == loop.agent.updates
        assert loop.rollout.length == 0


def test_a_rollout_cut_by_the_budget_is_not_learned_from():
    loop = advanced(loop_of(budget=24), 24)
    assert (loop.agent.updates, loop.rollout.length) == (4, 8)


def test_environments_of_a_seed_differ_and_the_first_one_is_that_of_a_single_one():
    one, three = loop_of(), loop_of(n_envs=3, budget=96, evaluate_every=3)
    start = three.environments.observation.reshape(2, 3, -1)
    np.testing.assert_array_equal(start[:, 0], one.environments.observation)
    assert len(np.unique(start.reshape(6, -1), axis=0)) == 6


@pytest.mark.parametrize("moment", [6, 32, 46])
def test_several_environments_resume_bit_for_bit_in_another_grouping(moment):
    whole = advanced(loop_of((0, 1, 2), n_envs=2), moment)
    state = copy.deepcopy(whole.state())
    advanced(whole, 96)
    alone = loop_of((2,), n_envs=2)
    alone.load_state(stack([cut(state, 2)]))
    advanced(alone, 96)
    expected, found = cut(whole.state(), 2), cut(alone.state(), 0)
    assert expected.arrays.keys() == found.arrays.keys()
    for name, array in expected.arrays.items():
        np.testing.assert_array_equal(array, found.arrays[name], err_msg=name)


@pytest.mark.parametrize("changes", [{"budget": 97}, {"evaluate_every": 25}])
def test_steps_between_those_of_all_environments_are_refused(changes):
    with pytest.raises(ValueError, match="is not a multiple of n_envs, 2"):
        loop_of(n_envs=2, **changes)


def test_an_action_that_is_not_finite_marks_its_seed_alone():
    loop = loop_of()
    loop.agent.groups["actor"].parameters.flat[1] = np.nan
    loop.advance()
    assert loop.diverged.tolist() == [False, True]


def test_images_and_several_games_learn():
    (run,) = small_runs("dqn", [0])
    loop = loop_of(n_envs=2, task=run.task, **PLAIN)
    advanced(loop, loop.total)
    loop.evaluate()
    assert loop.agent.updates == 24 and not loop.diverged.any()
    assert loop.series.last(0, "return") is not None
