import math

import numpy as np
import pytest
import torch
from torch.distributions import Independent, Normal, TanhTransform, TransformedDistribution

from agents.probes import AGENTS, PROBES, SEEDS, Probe, play, values
from agents.small_agents import loss_batch, random_batch, sac, trained
from baselines.sac import SAC
from baselines.tanh_gaussian import tanh_gaussian
from suite.stacked.spaces import ActionSpec


def draws(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_densities_are_those_of_torch_distributions():
    mean, noise = draws(2, 2, 50, 3)
    log_std = noise.flip(2) - 0.5
    action, log_prob = tanh_gaussian(mean, log_std, noise)
    normal = Normal(mean.double(), log_std.double().exp())
    expected = TransformedDistribution(Independent(normal, 1), [TanhTransform(cache_size=1)])
    before = mean.double() + log_std.double().exp() * noise.double()
    transformed = TanhTransform(cache_size=1)
    exact = Independent(normal, 1).log_prob(before) - transformed.log_abs_det_jacobian(
        before, torch.tanh(before)
    ).sum(-1)
    torch.testing.assert_close(log_prob.double(), exact, rtol=1e-4, atol=1e-4)
    inside = (before.abs() < 3).all(-1)
    torch.testing.assert_close(
        log_prob[inside].double(),
        expected.log_prob(torch.tanh(before))[inside],
        rtol=1e-3,
        atol=1e-3,
    )
    assert torch.equal(action, torch.tanh(mean + log_std.exp() * noise))


def test_densities_stay_finite_where_tanh_is_one():
    mean = torch.full((1, 1, 1), 30.0, requires_grad=True)
    _, log_prob = tanh_gaussian(mean, torch.zeros(1, 1, 1), torch.zeros(1, 1, 1))
    # log N(0) - log(4 exp(-60)); its slope is 2.
    expected = -0.5 * math.log(2 * math.pi) - math.log(4) + 60
    assert log_prob.item() == pytest.approx(expected, rel=1e-5)
    assert torch.autograd.grad(log_prob.sum(), mean)[0].item() == pytest.approx(2.0)


def perceptron(leaves, row: int, x: torch.Tensor) -> torch.Tensor:
    p = {name: leaf[row] for name, leaf in leaves.items()}
    for layer in ("hidden1", "hidden2"):
        x = torch.relu(x @ p[f"{layer}.weight"] + p[f"{layer}.bias"])
    return x @ p["output.weight"] + p["output.bias"]


def policy(agent, row: int, observation, noise):
    """SB3's policy in plain PyTorch: actions in (-1, 1) and their log densities."""
    leaves = agent.groups["actor"].parameters.leaves
    mean, log_std = perceptron(leaves, row, observation).chunk(2, -1)
    std = log_std.clamp(-20, 2).exp()
    before = mean + std * noise
    density = Normal(mean, std).log_prob(before).sum(-1)
    return torch.tanh(before), density - torch.log(1 - torch.tanh(before) ** 2).sum(-1)


def q_values(leaves, row: int, observation, action):
    x = torch.cat((observation, action), -1)
    return [perceptron(leaves, 2 * row + copy, x)[:, 0] for copy in (0, 1)]


def test_the_losses_are_those_of_plain_pytorch():
    seeds = [1, 2, 3]
    agent = trained(sac(seeds, inputs=4, actions=2, high=2.0), seeds, 5)
    batch, noise = random_batch(agent, seeds, 9), 0.5 * draws(3, 16, 2)
    alpha = torch.tensor([[0.1], [0.2], [0.7]])
    actor, critic = (agent.groups[name].parameters.leaves for name in ("actor", "critic"))
    critic_loss = agent.critic_loss(critic, batch, noise, alpha)
    actor_loss = agent.actor_loss(actor, batch, noise, alpha)
    for row in range(3):
        following = batch.next_observation[row]
        action, log_prob = policy(agent, row, following, noise[row])
        target_leaves = agent.groups["critic"].target.leaves
        next_q = torch.minimum(*q_values(target_leaves, row, following, action))
        target = batch.reward[row] + 0.9 * (1 - batch.terminal[row]) * (
            next_q - alpha[row] * log_prob
        )
        pair = q_values(critic, row, batch.observation[row], batch.action[row] / 2.0)
        expected = 0.5 * sum(torch.nn.functional.mse_loss(q, target) for q in pair)
        torch.testing.assert_close(critic_loss[row], expected, rtol=1e-4, atol=1e-5)

        action, log_prob = policy(agent, row, batch.observation[row], noise[row])
        pair = q_values(critic, row, batch.observation[row], action)
        expected = (alpha[row] * log_prob - torch.minimum(*pair)).mean()
        torch.testing.assert_close(actor_loss[row], expected, rtol=1e-4, atol=1e-5)


def test_each_loss_moves_its_own_group_alone():
    agent = sac([1, 2])
    batch = loss_batch(agent, [1, 2], 0)
    for name, other in (("actor", "critic"), ("critic", "actor")):
        loss = agent.losses()[name](agent.groups[name].parameters.leaves, batch)
        own, others = (list(agent.groups[n].parameters.leaves.values()) for n in (name, other))
        gradients = torch.autograd.grad(loss.sum(), own + others, allow_unused=True)
        assert all(gradient.abs().max() > 0 for gradient in gradients[: len(own)])
        assert all(gradient is None for gradient in gradients[len(own) :])


@pytest.mark.parametrize(("target", "rises"), [(50.0, True), (-50.0, False)])
def test_the_temperature_rises_while_the_entropy_is_below_its_target(target, rises):
    agent = sac([1, 2])
    agent.target_entropy = target
    before = agent.temperature.value()
    for number in range(3):
        agent.update(random_batch(agent, [1, 2], number))
    assert ((agent.temperature.value() > before) == rises).all()


def test_the_temperatures_step_is_adams_on_sb3s_loss():
    agent = sac([1, 2], initial_temperature=0.5)
    log_prob = draws(2, 16)
    reference = torch.full((2, 1), 0.5).log().requires_grad_()
    adam = torch.optim.Adam([reference], lr=1e-3)
    for _ in range(4):
        agent.temperature.step(log_prob, -1.0)
        loss = -(reference * (log_prob - 1.0)).mean(dim=1)
        adam.zero_grad()
        loss.sum().backward()
        adam.step()
        log_prob = log_prob * 0.5
    torch.testing.assert_close(agent.temperature.value(), reference.detach().exp())


def test_the_entropy_settles_at_its_target():
    """Mean log density of the policy's actions: minus the target entropy, 1."""
    agent = AGENTS["sac"](initial_temperature=0.1)
    play(agent, PROBES["action"], 1500)
    observation = torch.eye(2).expand(2, 2, 2).repeat(1, 500, 1)
    leaves = agent.groups["actor"].parameters.leaves
    _, log_prob = agent.sample(leaves, observation, draws(2, 1000, 1))
    torch.testing.assert_close(log_prob.mean(1).detach(), torch.ones(2), atol=0.25, rtol=0.0)


def test_entropy_counts_as_reward():
    """No rewards, temperature 1: the value of going on is that of the entropy, log 2 a step for
    actions uniform on (-1, 1), from the next step on; and nothing at the end of an episode."""
    frozen = {"initial_temperature": 1.0}
    agent = AGENTS["sac"](**frozen)
    agent.temperature.step = lambda log_prob, target_entropy: None
    probe = Probe(lambda s, a: 0.0 * a, (0, 1), (0.0, 1.0), (0.0, 0.0))
    play(agent, probe, 700)
    expected = [[math.log(2) * 0.5 / (1 - 0.5), 0.0]] * len(SEEDS)
    np.testing.assert_allclose(values(agent), expected, atol=0.1)


def test_warm_up_actions_are_uniform_and_later_ones_the_policys():
    agent = sac([1, 2], high=2.0, warmup_steps=10)
    early = np.stack([agent.act(np.zeros((2, 3)), 9) for _ in range(4000)])
    np.testing.assert_allclose(early.std(0), 2 / 3**0.5, rtol=0.05)
    assert early.shape == (4000, 2, 1) and early.dtype == np.float32
    flat = agent.groups["actor"].parameters
    flat.flat.zero_()
    flat.leaves["output.bias"].detach()[:] = torch.tensor([0.3, math.log(0.1)])
    late = np.stack([agent.act(np.zeros((2, 3)), 10) for _ in range(4000)])
    before = np.arctanh(late / 2)
    np.testing.assert_allclose(before.mean(0), 0.3, atol=0.01)
    np.testing.assert_allclose(before.std(0), 0.1, rtol=0.05)
    greedy = agent.greedy(np.zeros((2, 4, 3)))
    np.testing.assert_allclose(greedy, 2 * np.tanh(0.3), rtol=1e-5)


def test_the_targets_follow_at_every_update():
    agent = sac([1, 2])
    critic = agent.groups["critic"]
    for number in range(3):
        old = critic.target.flat.clone()
        agent.update(random_batch(agent, [1, 2], number))
        expected = 0.95 * old + 0.05 * critic.parameters.flat
        torch.testing.assert_close(critic.target.flat, expected)
    assert agent.updates == critic.steps == agent.groups["actor"].steps == 3


def test_the_networks_have_the_papers_sizes():
    """HalfCheetah: two linear layers of 256 and heads of 2 x 6 (actor) or 1 (critics)."""
    agent = sac([1], inputs=17, actions=6, hidden_units=256)
    counts = {
        name: sum(part.stop - part.start for part in group.parameters.slices)
        for name, group in agent.groups.items()
    }
    body = 17 * 256 + 256 + 256 * 257
    assert counts == {"actor": body + 12 * 257, "critic": 2 * (body + 6 * 256 + 257)}


@pytest.mark.parametrize(
    "space", [ActionSpec("discrete", 3), ActionSpec("continuous", 1, 0.0, 1.0)]
)
def test_other_action_spaces_are_refused(space):
    with pytest.raises(ValueError, match="SAC needs continuous actions between -high and high"):
        SAC(sac([1]).settings, (3,), space, [1], lambda network: network)


def test_every_setting_is_required_and_described():
    for field in SAC.Settings.model_fields.values():
        assert field.is_required() and field.description
