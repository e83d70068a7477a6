"""Data that analyses collect: from streams of their own, with the agent left as it was."""

import math
from dataclasses import fields

import numpy as np
import pytest
import torch
from agents.small_agents import dqn, ppo, rad, sac, saved, td3, trained

from baselines.ppo import ADVANTAGE_EPSILON
from suite.analysis.checkpoint_data import data_source
from suite.analysis.derivatives import gradient_of, samples
from suite.analysis.fresh_data import (
    MOST_ENVIRONMENTS,
    FreshReplay,
    drawing_for,
    environments_for,
    fresh_rollout,
)
from suite.analysis.subspaces import fractions
from suite.conformance.small_runs import TASKS
from suite.specs.models import TaskSpec
from suite.stacked.rollout import gae

PENDULUM = TaskSpec(name="pendulum", family="classic", environment="Pendulum-v1", episode_limit=25)
BREAKOUT = TASKS["breakout"]
AGENTS = {
    "ppo": (PENDULUM, lambda: trained(ppo((3,), hidden_units=8), (3,), 12)),
    "ppo-discrete": (BREAKOUT, lambda: ppo((3,), (10, 10, 4), 6, "discrete", hidden_units=8)),
    "sac": (PENDULUM, lambda: trained(sac((3,), hidden_units=8), (3,), 12)),
    "td3": (PENDULUM, lambda: trained(td3((3,), hidden_units=8), (3,), 12)),
    "dqn": (BREAKOUT, lambda: trained(dqn((3,), hidden_units=8), (3,), 6)),
}
ON_POLICY, OFF_POLICY = ("ppo", "ppo-discrete"), ("sac", "td3", "dqn")


def source(agent, task, purpose="test/data", legacy=False):
    return data_source(agent, task, purpose, spacing=40, precise=60, estimate=48, legacy=legacy)


def tensors(batch):
    found = {field.name: getattr(batch, field.name) for field in fields(batch)}
    return {name: value for name, value in found.items() if value is not None}


def everything(data):
    """All tensors of a checkpoint's data."""
    whole = {"precise": data.precise, "independent": data.independent, "estimate": data.estimate}
    whole |= {f"batches/{i}": one for i, one in enumerate(data.batches)}
    whole |= {f"others/{i}": one for i, one in enumerate(data.others)}
    return {f"{k}/{name}": x for k, one in whole.items() for name, x in tensors(one).items()}


def assert_unchanged(before, after):
    assert after.keys() == before.keys()
    for name, value in before.items():
        np.testing.assert_array_equal(np.asarray(after[name]), np.asarray(value), err_msg=name)


@pytest.mark.parametrize("name", AGENTS)
def test_collecting_leaves_state_streams_and_statistics_of_the_agent(name):
    task, build = AGENTS[name]
    agent = build()
    before, streams, own = saved(agent), dict(agent.streams), agent.settings
    found = source(agent, task, legacy=True)
    for step in (0, 40):
        found.at(agent, step)
    assert_unchanged(before, saved(agent))
    assert all(agent.streams[key] is one for key, one in streams.items())
    assert agent.settings is own
    # What it does next is what it would have done.
    other = build()
    shape = (1, 1, 3) if task is PENDULUM else (1, 1, 10, 10, 4)
    observation = np.ones(shape, np.float32)
    if agent.loop == "on_policy":
        np.testing.assert_array_equal(agent.act(observation), other.act(observation))
    else:
        np.testing.assert_array_equal(agent.act(observation[0], 9), other.act(observation[0], 9))


def test_an_agent_has_its_own_streams_back_when_collecting_fails():
    agent = AGENTS["sac"][1]()
    own = agent.streams
    with pytest.raises(ZeroDivisionError), drawing_for(agent, "test"):
        assert agent.streams is not own and agent.streams.keys() == own.keys()
        raise ZeroDivisionError
    assert agent.streams is own


@pytest.mark.parametrize("name", AGENTS)
def test_equal_seeds_and_purposes_give_equal_bits_and_others_other_data(name):
    task, build = AGENTS[name]
    found = []
    for purpose in ("test/one", "test/one", "test/other"):
        agent = build()
        one = source(agent, task, purpose)
        found.append([everything(one.at(agent, step)) for step in (0, 40)])
    for one, again, other in zip(*found, strict=True):
        assert one.keys() == again.keys() == other.keys()
        for key in one:
            assert torch.equal(one[key], again[key]), key
        for key in ("precise/observation", "independent/observation", "others/0/observation"):
            assert not torch.equal(one[key], other[key]), key


@pytest.mark.parametrize("name", AGENTS)
def test_no_two_parts_of_a_checkpoint_s_data_are_the_same_samples(name):
    task, build = AGENTS[name]
    agent = build()
    one = source(agent, task)
    first, second = (one.at(agent, step) for step in (40, 80))
    parts = [first.precise, first.independent, first.estimate, second.precise, second.independent]
    # Few observations of a small game are different: actions, rewards and places together are.
    seen = [
        tuple(
            float((x.double().flatten() * torch.arange(x.numel()).cos()).sum())
            for x in tensors(part).values()
        )
        for part in (*parts, first.others[0], first.batches[0])
    ]
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize("name", AGENTS)
def test_mini_batches_have_the_agent_s_size_and_are_the_estimate_together(name):
    task, build = AGENTS[name]
    agent = build()
    data = source(agent, task).at(agent, 40)
    size = agent.settings.batch_size
    count = 48 // size if agent.loop == "off_policy" else 64 // size
    assert len(data.batches) == len(data.others) == count
    assert all(samples(one) == size for one in (*data.batches, *data.others))
    assert samples(data.estimate) == count * size
    together = torch.cat([one.observation for one in data.batches], dim=1).flatten(2)
    whole = data.estimate.observation.flatten(2)
    assert torch.equal(torch.sort(together, dim=1).values, torch.sort(whole, dim=1).values)
    assert samples(data.precise) == samples(data.independent) >= 60


def test_off_policy_batches_carry_noise_of_their_own():
    agent = AGENTS["sac"][1]()
    data = source(agent, PENDULUM).at(agent, 40)
    noise = [data.precise.noise, data.independent.noise, *(one.noise for one in data.batches)]
    assert all(one.shape[2] == 1 and one.std() > 0.5 for one in noise)
    assert len({float(one.sum()) for one in noise}) == len(noise)


def test_advantages_are_normalised_over_each_batch():
    agent = AGENTS["ppo"][1]()
    data = source(agent, PENDULUM).at(agent, 40)
    for one in (data.precise, data.independent, data.estimate, *data.batches, *data.others):
        assert float(one.advantage.mean()) == pytest.approx(0, abs=1e-5)
        assert float(one.advantage.std()) == pytest.approx(1, abs=1e-5)


def test_legacy_mini_batches_are_the_same_samples_with_other_targets():
    agent = AGENTS["ppo"][1]()
    data = source(agent, PENDULUM, legacy=True).at(agent, 40)
    assert len(data.legacy_batches) == len(data.batches)
    pairs = [*zip(data.legacy_batches, data.batches, strict=True)]
    for legacy, own in (*pairs, (data.legacy_estimate, data.estimate)):
        assert torch.equal(legacy.observation, own.observation)
        assert torch.equal(legacy.action, own.action)
        assert not torch.allclose(legacy.value_target, own.value_target)
    assert source(agent, PENDULUM).at(agent, 40).legacy_batches == []


def test_a_fresh_rollout_has_ratio_1_at_the_collecting_parameters_and_the_plain_gradient():
    agent = trained(ppo((3,), hidden_units=8, entropy_coefficient=0.0), (3,), 12)
    batch = fresh_rollout(agent, PENDULUM, "test/ratio", 100, 4).normalised(ADVANTAGE_EPSILON)
    group = agent.groups["actor"]
    log_prob, _ = agent.log_prob(group.parameters.leaves, batch.observation, batch.action)
    torch.testing.assert_close((log_prob - batch.log_prob).exp(), torch.ones(1, 100))

    def policy_gradient(parameters, batch):
        log_prob, _ = agent.log_prob(parameters, batch.observation, batch.action)
        return -(batch.advantage * log_prob).mean(dim=1)

    found = gradient_of(group, agent.losses()["actor"], batch, torch.float64)
    expected = gradient_of(group, policy_gradient, batch, torch.float64)
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)


def test_a_shift_of_the_advantages_leaves_the_actor_s_gradient():
    agent = AGENTS["ppo"][1]()
    batch = fresh_rollout(agent, PENDULUM, "test/shift", 100, 4)
    loss, group = agent.losses()["actor"], agent.groups["actor"]
    found = []
    for shift in (0.0, 5.0):
        values = {**tensors(batch), "advantage": batch.advantage.double() + shift}
        shifted = type(batch)(**values).normalised(ADVANTAGE_EPSILON)
        found.append(gradient_of(group, loss, shifted, torch.float64))
    assert found[0].abs().max() > 1e-3
    torch.testing.assert_close(*found, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("constant", [0.0, 1.0, -2.5])
def test_equal_advantages_give_no_actor_gradient_and_an_unknown_fraction(constant):
    agent = trained(ppo((3,), hidden_units=8, entropy_coefficient=0.0), (3,), 12)
    batch = fresh_rollout(agent, PENDULUM, "test/constant", 128, 4)
    values = {**tensors(batch), "advantage": torch.full_like(batch.advantage, constant)}
    batch = type(batch)(**values).normalised(ADVANTAGE_EPSILON)
    gradient = gradient_of(agent.groups["actor"], agent.losses()["actor"], batch)
    found = fractions(np.eye(gradient.shape[1])[:, :3], gradient[0].numpy())
    assert np.isnan(found).all()


def test_a_fresh_rollout_is_what_the_agent_would_learn_from():
    agent = trained(ppo((3, 5), hidden_units=8), (3, 5), 12)
    n_envs, steps = 2, 60
    batch = fresh_rollout(agent, PENDULUM, "test/rollout", steps, n_envs)
    assert batch.observation.shape == (2, steps, 3) and batch.action.shape == (2, steps, 1)
    # Observations are normalised by statistics that stay: Pendulum's are of length 1 before.
    mean = agent.normaliser.observations.mean[:, None]
    std = np.sqrt(agent.normaliser.observations.variance[:, None] + agent.normaliser.EPSILON)
    raw = batch.observation.numpy() * std + mean
    inside = (batch.observation.abs() < agent.normaliser.BOUND).all(dim=2).numpy()
    assert inside.mean() > 0.5
    lengths = np.hypot(raw[..., 0], raw[..., 1])[inside]
    np.testing.assert_allclose(lengths, 1, atol=1e-4)
    value = agent.value(batch.observation.numpy())
    np.testing.assert_allclose(
        batch.value_target.numpy(), batch.advantage.numpy() + value, rtol=1e-4, atol=1e-5
    )
    alone = fresh_rollout(trained(ppo((5,), hidden_units=8), (5,), 12), PENDULUM, "test/rollout",
                          steps, n_envs)  # fmt: skip
    for name, one in tensors(alone).items():
        assert torch.equal(one[0], tensors(batch)[name][1]), name


def test_values_are_bootstrapped_where_an_episode_is_cut_and_where_the_rollout_ends(monkeypatch):
    agent = trained(ppo((3,), hidden_units=8, normalise_rewards=False), (3,), 12)
    endless = PENDULUM.model_copy(update={"episode_limit": 1000})
    given = []

    def noted(*arguments):
        given.append(arguments)
        return gae(*arguments)

    monkeypatch.setattr("baselines.ppo.gae", noted)
    cut = fresh_rollout(agent, PENDULUM, "test/cut", 60, 1)
    whole = fresh_rollout(agent, endless, "test/cut", 60, 1)
    assert torch.equal(cut.observation[:, :25], whole.observation[:, :25])
    (rewards, _, last, ended, *_), (plain, values, plain_last, never, *_) = given
    assert np.flatnonzero(ended[0, :, 0]).tolist() == [24, 49] and not never.any()
    # The last reward of an episode that was cut has the value of what would have come after.
    np.testing.assert_array_equal(rewards[0, :24], plain[0, :24])
    assert rewards[0, 24, 0] == pytest.approx(plain[0, 24, 0] + 0.9 * values[0, 25, 0], rel=1e-5)
    assert last.all() and plain_last.all()


def test_environments_share_the_steps_so_that_each_plays_whole_episodes():
    assert environments_for(PENDULUM, 100) == 4
    assert environments_for(PENDULUM, 10) == 1
    assert environments_for(PENDULUM, 10**6) == MOST_ENVIRONMENTS
    endless = PENDULUM.model_copy(update={"episode_limit": None})
    assert environments_for(endless, 1000) == 1


def test_a_rollout_has_no_fewer_steps_than_asked_for():
    agent = AGENTS["ppo"][1]()
    assert samples(fresh_rollout(agent, PENDULUM, "test/steps", 50, 4)) == 52


@pytest.mark.parametrize("name", OFF_POLICY)
def test_before_any_step_a_replay_has_first_actions(name):
    task, build = AGENTS[name]
    agent = build()
    drawn = []

    def noted(observations, step, act=agent.act):
        drawn.append(step)
        return act(observations, step)

    agent.act = noted
    replay = FreshReplay(agent, task, "test/first", 200)
    replay.extend(agent, 0)
    assert drawn == [0] * 200
    batch = replay.sample(500, "test/first")
    if name == "dqn":
        assert {*batch.action.unique().tolist()} == {0, 1, 2, 3, 4, 5}
        assert set(batch.observation.unique().tolist()) == {0.0, 1.0}
        assert batch.observation.dtype == torch.float32
    else:
        # Uniform on (-2, 2): a standard deviation of 4 / sqrt(12).
        assert float(batch.action.std()) == pytest.approx(4 / math.sqrt(12), abs=0.15)
        assert float(batch.action.abs().max()) < 2


def test_steps_between_checkpoints_are_spread_evenly_over_the_agent_s_time():
    agent = AGENTS["sac"][1]()
    seen = []
    act = agent.act
    agent.act = lambda observations, step: (seen.append(step), act(observations, step))[1]
    replay = FreshReplay(agent, PENDULUM, "test/spread", 10)
    for step in (0, 100, 300):
        replay.extend(agent, step)
    assert seen == [0] * 10 + [*range(0, 100, 10)] + [*range(100, 300, 20)]


def test_first_actions_are_gone_after_the_first_steps_and_a_full_replay_forgets():
    agent = AGENTS["td3"][1]()  # it holds 100 transitions
    replay = FreshReplay(agent, PENDULUM, "test/forget", 10)
    held = []
    for step in (0, 40, 80, 120, 160, 200):
        replay.extend(agent, step)
        held.append(len(replay.sample(2000, "test/held").observation[0].unique(dim=0)))
    # 10 of 40 steps are kept: 25 stand for the 100 that the agent's replay holds.
    assert held == [10, 10, 20, 25, 25, 25]


def test_draws_of_another_purpose_differ_and_equal_ones_repeat():
    agent = AGENTS["td3"][1]()
    replay = FreshReplay(agent, PENDULUM, "test/draws", 50)
    replay.extend(agent, 40)
    one, again, other = (replay.sample(64, purpose) for purpose in ("a", "a", "b"))
    for name, value in tensors(one).items():
        assert torch.equal(value, tensors(again)[name]), name
    assert not torch.equal(one.observation, other.observation)
    assert not torch.equal(one.noise, other.noise)


def test_agents_that_see_pixels_or_do_not_act_have_no_data():
    with pytest.raises(ValueError, match="agents that learn from pixels have no such replay"):
        source(rad((0,), (12, 12, 6), image_size=10, convolutions=2), TASKS["pendulum-pixels"])

    class Supervised:
        loop = "supervised"

    with pytest.raises(ValueError, match="an agent of loop 'supervised' does not act: it has no"):
        source(Supervised(), PENDULUM)
