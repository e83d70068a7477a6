"""PPO's losses and advantages against plain arithmetic, and learning on probe tasks."""

import math

import numpy as np
import pytest
import torch

from agents.small_agents import act_and_observe, loss_batch, ppo, random_batch, trained
from baselines.ppo import ADVANTAGE_EPSILON, PPO
from suite.stacked.parameters import clip_jointly
from suite.stacked.rollout import Rollout, RolloutBatch, gae
from suite.stacked.spaces import ActionSpec
from suite.stacked.streams import SeedStreams

SEEDS = [1, 2, 3]
PLAIN = {"normalise_observations": False, "normalise_rewards": False}


# Losses and advantages.


def plain_gae(reward, value, last_value, ended, gamma, lam):
    """Sum of discounted temporal differences up to the end of the episode, term by term."""
    steps = len(reward)
    values = [*value, last_value]
    error = [reward[t] + gamma * values[t + 1] * (1 - ended[t]) - values[t] for t in range(steps)]
    advantage = []
    for t in range(steps):
        total, weight = 0.0, 1.0
        for k in range(t, steps):
            total += weight * error[k]
            weight *= gamma * lam
            if ended[k]:
                break
        advantage.append(total)
    return advantage


def test_advantages_are_the_discounted_sums_within_episodes():
    generator = np.random.default_rng(0)
    reward, value = generator.standard_normal((2, 2, 30, 3)).astype(np.float32)
    last = generator.standard_normal((2, 3)).astype(np.float32)
    ended = (generator.random((2, 30, 3)) < 0.15).astype(np.float32)
    found = gae(reward, value, last, ended, 0.95, 0.7)
    for s in range(2):
        for e in range(3):
            one = (reward[s, :, e], value[s, :, e], last[s, e], ended[s, :, e], 0.95, 0.7)
            np.testing.assert_allclose(found[s, :, e], plain_gae(*one), atol=1e-5)


def plain_losses(agent, seed, batch):
    """Both losses of one seed in float64, sample by sample (Schulman et al. 2017, Eq. 7)."""
    s = agent.settings

    def outputs(name):
        x = batch.observation[seed].double().numpy()
        leaves = agent.groups[name].parameters.leaves
        part = {key: leaf[seed].detach().double().numpy() for key, leaf in leaves.items()}
        for layer in ("hidden1", "hidden2"):
            x = np.tanh(x @ part[f"{layer}.weight"] + part[f"{layer}.bias"])
        return x @ part["output.weight"] + part["output.bias"], part

    (mean, part), (value, _) = outputs("actor"), outputs("critic")
    action = batch.action[seed].numpy()
    if agent.continuous:
        std = np.exp(part["log_std.constant"])
        density = np.exp(-(((action - mean) / std) ** 2) / 2) / (std * math.sqrt(2 * math.pi))
        log_prob = np.log(density).sum(axis=1)
        entropy = np.log(std * math.sqrt(2 * math.pi * math.e)).sum()
    else:
        prob = np.exp(mean) / np.exp(mean).sum(axis=1, keepdims=True)
        log_prob = np.log(prob[np.arange(len(action)), action])
        entropy = -(prob * np.log(prob)).sum(axis=1).mean()
    advantage = batch.advantage[seed].double().numpy()
    advantage = (advantage - advantage.mean()) / (advantage.std(ddof=1) + 1e-8)
    terms = []
    for a, r in zip(advantage, np.exp(log_prob - batch.log_prob[seed].numpy()), strict=True):
        inside = min(max(r, 1 - s.clip_range), 1 + s.clip_range)
        terms.append(min(r * a, inside * a))
    actor = -np.mean(terms) - s.entropy_coefficient * entropy
    error = value[:, 0] - batch.value_target[seed].double().numpy()
    return {"actor": actor, "critic": s.value_coefficient * np.mean(error**2)}


@pytest.mark.parametrize(
    "build",
    [
        lambda: ppo(SEEDS, (5,), 3, entropy_coefficient=0.1),
        lambda: ppo(SEEDS, (5,), 4, "discrete", entropy_coefficient=0.1),
    ],
    ids=["continuous", "discrete"],
)
def test_losses_are_those_of_plain_arithmetic(build):
    agent = trained(build(), SEEDS, 4)
    batch = loss_batch(agent, SEEDS, 9, size=32)
    ratios = (agent.log_prob(agent.groups["actor"].parameters.leaves, *_pair(batch))[0]).exp()
    assert ratios.std() > 0
    for name, loss in agent.losses().items():
        found = loss(agent.groups[name].parameters.leaves, batch).tolist()
        expected = [plain_losses(agent, seed, batch)[name] for seed in range(3)]
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)


def _pair(batch):
    return batch.observation, batch.action


def test_both_sides_of_the_clip_matter():
    """Ratios of e and 1/e with either sign of the advantage: only what helps is clipped."""
    agent = ppo([1], (2,), 1, entropy_coefficient=0.0)
    observation, action = torch.zeros(1, 4, 2), torch.zeros(1, 4, 1)
    leaves = agent.groups["actor"].parameters.leaves
    now, _ = agent.log_prob(leaves, observation, action)
    shift = torch.tensor([[1.0, -1.0, 1.0, -1.0]])
    advantage = torch.tensor([[1.0, 1.0, -1.0, -1.0]])
    batch = RolloutBatch(observation, action, now.detach() - shift, advantage, now.detach())
    batch = batch.normalised(ADVANTAGE_EPSILON)
    scale = 1 / math.sqrt(4 / 3)
    expected = -scale * (1.2 + math.exp(-1) - math.e - 0.8) / 4
    assert agent.actor_loss(leaves, batch).item() == pytest.approx(expected, rel=1e-5)


def test_an_update_steps_along_the_jointly_clipped_gradient():
    """Adam's first step is lr * g / (|g| + eps): a large eps shows the gradient's size."""
    agent = ppo(SEEDS, (5,), 2, adam_epsilon=1.0, max_gradient_norm=0.01, learning_rate=1.0)
    batch = random_batch(agent, SEEDS, 1)
    normalised = batch.normalised(ADVANTAGE_EPSILON)
    before = {name: group.parameters.flat.clone() for name, group in agent.groups.items()}
    gradients = {
        name: group.gradient(agent.losses()[name](group.parameters.leaves, normalised)).clone()
        for name, group in agent.groups.items()
    }
    agent.update(batch)
    joint = torch.cat(list(gradients.values()), dim=1).norm(dim=1, keepdim=True)
    assert (joint > 0.01).all()
    for name, group in agent.groups.items():
        clipped = gradients[name] * 0.01 / joint
        step = clipped / (clipped.abs() + 1.0)
        torch.testing.assert_close(before[name] - group.parameters.flat, step, atol=2e-7, rtol=1e-3)


def test_a_small_gradient_is_not_clipped_and_seeds_do_not_share_a_norm():
    gradients = (torch.tensor([[3.0, 0.0], [0.3, 0.0]]), torch.tensor([[4.0], [0.4]]))
    clip_jointly(gradients, 1.0)
    torch.testing.assert_close(gradients[0], torch.tensor([[0.6, 0.0], [0.3, 0.0]]))
    torch.testing.assert_close(gradients[1], torch.tensor([[0.8], [0.4]]))


# Acting.


def test_actions_are_drawn_from_the_policy_and_bounded_only_outside():
    agent = ppo([1, 2], (3,), 2, initial_log_std=1.0, n_envs=500, n_steps=16)
    actions = agent.act(np.zeros((2, 500, 3), np.float32))
    assert np.abs(actions).max() > 2.0 and np.abs(agent.to_environment(actions)).max() == 2.0
    np.testing.assert_allclose(actions.mean(axis=1), 0.0, atol=0.4)
    np.testing.assert_allclose(actions.std(axis=1), math.e, rtol=0.12)


def test_discrete_actions_have_the_policys_frequencies():
    agent = ppo([1, 2], (3,), 3, "discrete", n_envs=4000, n_steps=16)
    probabilities = np.array([0.2, 0.5, 0.3])
    leaves = agent.groups["actor"].parameters.leaves
    leaves["output.weight"].detach().zero_()
    leaves["output.bias"].detach()[:] = torch.tensor(np.log(probabilities))
    actions = agent.act(np.zeros((2, 4000, 3), np.float32))
    for seed in range(2):
        frequencies = np.bincount(actions[seed], minlength=3) / 4000
        np.testing.assert_allclose(frequencies, probabilities, atol=0.03)


def test_the_policy_starts_near_zero_with_the_std_that_is_set():
    agent = ppo([1], (3,), 2, initial_log_std=-2.0)
    leaves = agent.groups["actor"].parameters.leaves
    assert leaves["log_std.constant"].tolist() == [[[-2.0, -2.0]]]
    for name, gain in (("hidden1", 2.0), ("output", 1e-4)):
        weight = leaves[f"{name}.weight"][0].double()
        small = weight.T @ weight if weight.shape[0] >= weight.shape[1] else weight @ weight.T
        expected = gain * torch.eye(len(small), dtype=torch.float64)
        torch.testing.assert_close(small, expected, atol=1e-6 * gain, rtol=0.0)


def test_labels_are_refused():
    with pytest.raises(ValueError, match=r"continuous or discrete actions, got .*labels"):
        PPO(ppo([1]).settings, (3,), ActionSpec("labels", 3), [1], lambda n: n)


def test_a_batch_that_does_not_divide_the_rollout_is_refused():
    with pytest.raises(ValueError, match=r"batch_size 24 does not divide a rollout's 64 steps"):
        ppo([1], batch_size=24)


def test_a_linear_schedule_lowers_learning_rate_and_clip_range_and_is_kept():
    agent = ppo([1], schedule="linear", **PLAIN)
    rollout = filled(agent, lambda agent, step: constant_reward(agent))
    next(agent.batches(rollout, np.zeros((1, 1, 3), np.float32), 0.75))
    assert agent.clip_range == pytest.approx(0.05)
    assert agent.groups["critic"].optimiser.learning_rate == pytest.approx(0.25e-3)
    again = ppo([1], schedule="linear", **PLAIN)
    again.load_state(agent.state())
    assert again.clip_range == agent.clip_range


# Learning on probe tasks: each is wrong in its own way if a term is.


def filled(agent, step) -> Rollout:
    """A full rollout; `step(agent, t)` gives observation, action, reward, ended."""
    s, size = agent.settings, agent.action.size
    discrete = not agent.continuous
    shape, kind = ((), "int64") if discrete else ((size,), "float32")
    rollout = Rollout(len(agent.seeds), s.n_steps, s.n_envs, agent.actor.input_shape, shape, kind)
    while not rollout.full:
        rollout.append(*step(agent, rollout.length))
    return rollout


def constant_reward(agent):
    count = (len(agent.seeds), agent.settings.n_envs)
    observation = np.zeros((*count, *agent.actor.input_shape), np.float32)
    return observation, agent.act(observation), np.ones(count, np.float32), np.ones(count)


def learn(agent, step, phases: int) -> None:
    for _ in range(phases):
        rollout = filled(agent, step)
        last = rollout.observation[:, -1]
        for batch in agent.batches(rollout, last, 0.0):
            agent.update(batch)


def probe(**changes):
    settings = {"learning_rate": 3e-3, "epochs": 4, "n_steps": 128, "batch_size": 32} | PLAIN
    kinds = {"kind": "discrete", "size": 2, "shape": (1,)}
    return ppo(SEEDS, **(kinds | settings | {"max_gradient_norm": 10.0} | changes))


def values(agent, *points):
    rows = np.tile(np.array(points, np.float32)[None, :, None], (3, 1, 1))
    return agent.value(rows)


def test_the_value_of_a_constant_reward_is_that_reward():
    agent = probe()
    learn(agent, lambda agent, t: constant_reward(agent), 15)
    np.testing.assert_allclose(values(agent, 0.0), 1.0, atol=0.1)


def test_the_value_depends_on_the_observation():
    agent = probe()

    def step(agent, t):
        sign = 1.0 if t % 2 else -1.0
        observation = np.full((3, 1, 1), sign, np.float32)
        reward = np.full((3, 1), sign, np.float32)
        return observation, agent.act(observation), reward, np.ones((3, 1))

    learn(agent, step, 15)
    np.testing.assert_allclose(values(agent, -1.0, 1.0), [[-1.0, 1.0]] * 3, atol=0.1)


def test_a_reward_that_comes_a_step_later_is_discounted():
    agent = probe(discount=0.5)

    def step(agent, t):
        second = t % 2
        observation = np.full((3, 1, 1), float(second), np.float32)
        reward = np.full((3, 1), float(second), np.float32)
        return observation, agent.act(observation), reward, np.full((3, 1), float(second))

    learn(agent, step, 15)
    np.testing.assert_allclose(values(agent, 0.0, 1.0), [[0.5, 1.0]] * 3, atol=0.1)


def test_a_cut_episodes_future_counts_and_an_ended_ones_does_not():
    """One step of reward 1, then cut: the value solves v = 1 + 0.5 v; ended: v = 1."""
    cut, ended = probe(discount=0.5), probe(discount=0.5)

    def cut_step(agent, t):
        observation, action, reward, over = constant_reward(agent)
        return observation, action, agent.bootstrapped(reward, observation, over > 0), over

    learn(cut, cut_step, 25)
    learn(ended, lambda agent, t: constant_reward(agent), 25)
    np.testing.assert_allclose(values(cut, 0.0), 2.0, atol=0.15)
    np.testing.assert_allclose(values(ended, 0.0), 1.0, atol=0.1)


def test_bootstrapping_adds_the_discounted_value_where_an_episode_was_cut_only():
    agent = probe(n_envs=2)
    following = np.ones((3, 2, 1), np.float32)
    reward = np.full((3, 2), 0.5, np.float32)
    cut = np.array([[True, False]] * 3)
    found = agent.bootstrapped(reward, following, cut)
    np.testing.assert_allclose(found[:, 0], 0.5 + 0.9 * agent.value(following)[:, 0], rtol=1e-6)
    assert (found[:, 1] == 0.5).all() and found.dtype == np.float32


def signs(agent):
    """Observations -1 or 1 at random, [S, n_envs, 1]."""
    streams = agent.streams.setdefault("test", SeedStreams(agent.seeds, "test/signs"))
    return np.where(streams.uniform(agent.settings.n_envs, 1) < 0.5, -1, 1).astype(np.float32)


def test_a_discrete_policy_finds_the_rewarded_action():
    agent = probe(n_envs=4, n_steps=32)

    def step(agent, t):
        observation = signs(agent)
        action = agent.act(observation)
        reward = (action == (observation[..., 0] > 0)).astype(np.float32)
        return observation, action, reward, np.ones_like(reward)

    learn(agent, step, 12)
    greedy = agent.greedy(np.tile(np.array([[[-1.0], [1.0]]], np.float32), (3, 1, 1)))
    assert greedy.tolist() == [[0, 1]] * 3


def test_a_continuous_policy_finds_the_best_action():
    agent = probe(kind="continuous", size=1, n_envs=4, n_steps=32, entropy_coefficient=0.0)

    def step(agent, t):
        observation = signs(agent)
        action = agent.act(observation)
        reward = -((action - 0.5 * observation)[..., 0] ** 2)
        return observation, action, reward, np.ones_like(reward)

    learn(agent, step, 30)
    greedy = agent.greedy(np.tile(np.array([[[-1.0], [1.0]]], np.float32), (3, 1, 1)))
    np.testing.assert_allclose(greedy[..., 0], [[-0.5, 0.5]] * 3, atol=0.15)


def test_the_entropy_bonus_widens_a_policy_without_reward():
    def log_std(coefficient):
        agent = probe(kind="continuous", size=1, entropy_coefficient=coefficient)

        def step(agent, t):
            observation, action, reward, ended = constant_reward(agent)
            return observation, action, 0 * reward, ended

        learn(agent, step, 4)
        return agent.groups["actor"].parameters.leaves["log_std.constant"].detach().flatten()

    assert (log_std(0.1) > -0.4).all()


def test_acting_moves_statistics_and_learning_does_not():
    agent = trained(ppo(SEEDS), SEEDS, 2)
    mean = agent.normaliser.observations.mean.copy()
    agent.update(random_batch(agent, SEEDS, 50))
    np.testing.assert_array_equal(agent.normaliser.observations.mean, mean)
    act_and_observe(agent, SEEDS, 51)
    assert (agent.normaliser.observations.mean != mean).any()
