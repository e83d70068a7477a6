import numpy as np
import pytest
import torch

from agents.small_agents import random_batch, td3
from baselines.td3 import TD3
from suite.stacked.replay import Batch
from suite.stacked.spaces import ActionSpec


def linear_critic(parameters, slopes, values) -> None:
    """Make critic c return slopes[c] * action + values[c], for actions above -100."""
    parameters.flat.zero_()
    leaves = {name: leaf.detach() for name, leaf in parameters.leaves.items()}
    for copy, (slope, value) in enumerate(zip(slopes, values, strict=True)):
        leaves["hidden1.weight"][copy::2, -1, 0] = 1.0
        leaves["hidden1.bias"][copy::2, 0, 0] = 100.0
        leaves["hidden2.weight"][copy::2, 0, 0] = 1.0
        leaves["output.weight"][copy::2, 0, 0] = slope
        leaves["output.bias"][copy::2, 0, 0] = value - 100.0 * slope


def constant_actor(parameters, action_before_tanh: float) -> None:
    parameters.flat.zero_()
    parameters.leaves["output.bias"].detach()[:] = action_before_tanh


def batch(action: float, terminal: float) -> Batch:
    """One step for each of two seeds; rewards 0.5 and 1.5."""
    observation = torch.ones(2, 1, 3)
    return Batch(
        observation,
        torch.full((2, 1, 1), action),
        torch.tensor([[0.5], [1.5]]),
        observation,
        torch.full((2, 1), terminal),
    )


def probe(target_slopes=(0.0, 0.0), target_values=(3.0, 2.0)):
    """Online critics: a - 1 and -2 a + 1; target actor: 2 tanh(0.5)."""
    agent = td3([1, 2], high=2.0)
    linear_critic(agent.groups["critic"].parameters, (1.0, -2.0), (-1.0, 1.0))
    linear_critic(agent.groups["critic"].target, target_slopes, target_values)
    constant_actor(agent.groups["actor"].target, 0.5)
    return agent


@pytest.mark.parametrize("terminal", [0.0, 1.0])
def test_the_critic_loss_sums_both_squared_errors_to_the_smaller_target(terminal):
    agent = probe()
    noise = torch.zeros(2, 1, 1)
    leaves = agent.groups["critic"].parameters.leaves
    loss = agent.critic_loss(leaves, batch(0.7, terminal), noise)
    targets = [reward + 0.9 * (1 - terminal) * 2.0 for reward in (0.5, 1.5)]
    expected = [(0.7 - 1 - t) ** 2 + (-2 * 0.7 + 1 - t) ** 2 for t in targets]
    assert loss.tolist() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("noise", "action"),
    [
        (0.0, 2 * np.tanh(0.5)),
        (1.0, 2 * np.tanh(0.5) + 0.2 * 2),
        (-1.0, 2 * np.tanh(0.5) - 0.2 * 2),
        (-100.0, 2 * np.tanh(0.5) - 0.5 * 2),
        (100.0, 2 * np.tanh(0.5) + 0.5 * 2),
    ],
)
def test_the_targets_action_is_smoothed_within_the_clip(noise, action):
    agent = probe(target_slopes=(1.0, 1.0), target_values=(0.0, 9.0))
    leaves = agent.groups["critic"].parameters.leaves
    loss = agent.critic_loss(leaves, batch(0.7, 0.0), torch.full((2, 1, 1), noise))
    targets = [reward + 0.9 * min(action, 2.0) for reward in (0.5, 1.5)]
    expected = [(0.7 - 1 - t) ** 2 + (-2 * 0.7 + 1 - t) ** 2 for t in targets]
    assert loss.tolist() == pytest.approx(expected, rel=1e-4)


def test_the_targets_action_stays_in_the_space():
    agent = probe(target_slopes=(1.0, 1.0), target_values=(0.0, 9.0))
    constant_actor(agent.groups["actor"].target, 5.0)
    leaves = agent.groups["critic"].parameters.leaves
    loss = agent.critic_loss(leaves, batch(0.7, 0.0), torch.full((2, 1, 1), 100.0))
    targets = [reward + 0.9 * 2.0 for reward in (0.5, 1.5)]
    expected = [(0.7 - 1 - t) ** 2 + (-2 * 0.7 + 1 - t) ** 2 for t in targets]
    assert loss.tolist() == pytest.approx(expected, rel=1e-4)


def test_the_actor_loss_is_minus_the_first_critics_value():
    agent = probe()
    constant_actor(agent.groups["actor"].parameters, 0.3)
    leaves = agent.groups["actor"].parameters.leaves
    loss = agent.actor_loss(leaves, batch(0.7, 0.0))
    assert loss.tolist() == pytest.approx([-(2 * np.tanh(0.3) - 1)] * 2, rel=1e-4)
    (gradient,) = torch.autograd.grad(loss.sum(), leaves["output.bias"])
    slope = -2 * (1 - np.tanh(0.3) ** 2)
    assert gradient.flatten().tolist() == pytest.approx([slope] * 2, rel=1e-4)


def test_the_actor_and_all_targets_move_every_second_update():
    agent = td3([1, 2], policy_delay=2)
    actor, critic = agent.groups["actor"], agent.groups["critic"]
    followers = (actor.parameters, actor.target, critic.target)
    for number in range(1, 5):
        before = [p.flat.clone() for p in (*followers, critic.parameters)]
        agent.update(random_batch(agent, [1, 2], number))
        moved = [
            not torch.equal(p.flat, old)
            for p, old in zip((*followers, critic.parameters), before, strict=True)
        ]
        assert moved == [number % 2 == 0] * 3 + [True]
        if number % 2 == 0:
            for group, old in ((critic, before[2]), (actor, before[1])):
                expected = 0.95 * old + 0.05 * group.parameters.flat
                torch.testing.assert_close(group.target.flat, expected)
    assert (agent.updates, critic.steps, actor.steps) == (4, 4, 2)


def test_warm_up_actions_are_uniform_over_the_space():
    agent = td3([1, 2], high=2.0, warmup_steps=10**9)
    actions = np.stack([agent.act(np.zeros((2, 3)), 0) for _ in range(4000)])
    assert actions.shape == (4000, 2, 1) and actions.dtype == np.float32
    assert np.abs(actions).max() <= 2
    np.testing.assert_allclose(actions.std(0), 2 / 3**0.5, rtol=0.05)
    np.testing.assert_allclose(actions.mean(0), 0, atol=0.1)
    assert not np.array_equal(actions[:, 0], actions[:, 1])


def test_later_actions_are_the_policys_with_clipped_noise():
    agent = td3([1, 2], high=2.0, warmup_steps=0, exploration_noise=0.1)
    constant_actor(agent.groups["actor"].parameters, 0.3)
    actions = np.stack([agent.act(np.zeros((2, 3)), 7) for _ in range(4000)])
    np.testing.assert_allclose(actions.mean(0), 2 * np.tanh(0.3), atol=0.02)
    np.testing.assert_allclose(actions.std(0), 0.2, rtol=0.06)
    constant_actor(agent.groups["actor"].parameters, 9.0)
    actions = np.stack([agent.act(np.zeros((2, 3)), 7) for _ in range(100)])
    assert actions.max() == 2.0 > actions.min()


def test_the_networks_have_the_papers_sizes():
    agent = td3([1], inputs=17, actions=6, hidden_units=256)
    counts = {
        name: sum(part.stop - part.start for part in group.parameters.slices)
        for name, group in agent.groups.items()
    }
    assert counts == {"actor": 71_942, "critic": 2 * (23 * 256 + 256 + 256 * 257 + 257)}


def test_twins_start_differently_and_targets_start_equal():
    agent = td3([1])
    critic = agent.groups["critic"]
    first, second = (critic.parameters.of_copy(copy)["output.weight"] for copy in (0, 1))
    assert not torch.equal(first, second)
    assert torch.equal(critic.target.flat, critic.parameters.flat)


@pytest.mark.parametrize(
    "space",
    [ActionSpec("discrete", 3), ActionSpec("continuous", 1, 0.0, 1.0)],
)
def test_other_action_spaces_are_refused(space):
    with pytest.raises(ValueError, match="TD3 needs continuous actions between -high and high"):
        TD3(td3([1]).settings, (3,), space, [1], lambda network: network)


def test_every_setting_is_required_and_described():
    for field in TD3.Settings.model_fields.values():
        assert field.is_required() and field.description
