"""Sequences of games: what a switch changes, and what it leaves."""

import copy

import numpy as np
import pytest
import torch

from suite.conformance.small_runs import small_runs
from suite.envs.make import make_environment
from suite.specs.models import TaskSpec
from suite.training.off_policy import OffPolicyLoop

TASK = TaskSpec(
    name="sequence",
    family="minatar",
    environment="sequence",
    arguments={"games": ["breakout", "asterix"], "steps_per_visit": 30},
    episode_limit=20,
)


def loop_of(seeds=(0, 1), budget=120, **settings):
    run = small_runs("dqn", [0], task=TASK, budget=budget, warmup_steps=10, **settings)[0]
    return OffPolicyLoop(run, seeds, "cpu")


def test_a_game_with_fewer_channels_is_padded_with_empty_ones():
    single = {
        game: make_environment(TASK.model_copy(update={"environment": game, "arguments": {}}))
        for game in ("breakout", "seaquest")
    }
    both = TASK.model_copy(
        update={"arguments": {"games": ["breakout", "seaquest"], "steps_per_visit": 30}}
    )
    sequence = make_environment(both)
    assert sequence.observation_shape == (10, 10, 10) and sequence.action.size == 6
    for visit, game in enumerate(("breakout", "seaquest", "breakout")):
        sequence.enter(visit)
        own = single[game].reset(5)
        seen = sequence.reset(5)
        for action in (0, 1, 3, 5, 2):
            assert (seen[..., : own.shape[2]] == own).all()
            assert not seen[..., own.shape[2] :].any()
            own, *rest = single[game].step(action)
            seen, *others = sequence.step(action)
            assert rest == others


def test_a_switch_starts_all_anew_but_the_parameters():
    loop = loop_of()
    while loop.step < 30:
        loop.advance()
    group = loop.agent.groups["q"]
    before = group.parameters.flat.clone()
    assert float(group.optimiser.state()["square"].abs().sum()) > 0
    loop.evaluate()
    game = loop.environments._episodes[0].environment._game
    loop.advance()
    assert loop.environments._episodes[0].environment._game is not game
    assert len(loop.replay) == 1
    assert torch.equal(group.parameters.flat, before)  # its warm-up has begun again
    assert torch.equal(group.target.flat, before)
    state = group.optimiser.state()
    assert float(state["square"].abs().sum()) == 0 and state["steps"].tolist() == [0, 0]
    while loop.step < 45:
        loop.advance()
    assert not torch.equal(group.parameters.flat, before)


def test_evaluations_at_a_switch_are_of_the_game_that_was_learned():
    loop = loop_of(evaluate_every=30)
    seen = []
    for _ in range(3):
        while loop.step % 30 or loop.step == 30 * len(seen):
            loop.advance()
        seen.append(loop.returns.evaluation._environments[0][0]._game._game.env_name)
    assert seen == ["breakout", "asterix", "breakout"]


def test_plug_ins_are_told_the_learn_calls_of_all_visits():
    loop = loop_of()
    while loop.step < loop.total:
        loop.advance()
    assert loop.agent.updates == 4 * 20


@pytest.mark.parametrize("stop", [29, 30, 31, 75, 90])
def test_a_resumed_sequence_goes_on_as_if_nothing_happened(stop):
    unbroken = loop_of()
    while unbroken.step < stop:
        unbroken.advance()
    saved = copy.deepcopy(unbroken.state())
    resumed = loop_of()
    resumed.load_state(saved)
    for loop in (unbroken, resumed):
        while loop.step < 120:
            loop.advance()
        loop.evaluate()
    one, other = (loop.agent.groups["q"].parameters.flat for loop in (unbroken, resumed))
    assert torch.equal(one, other)
    assert np.array_equal(unbroken.environments.observation, resumed.environments.observation)
    assert unbroken.series.of(0)["return"] == resumed.series.of(0)["return"]
