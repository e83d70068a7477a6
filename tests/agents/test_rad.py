import numpy as np
import pytest
import torch
import torch.nn.functional as F

from agents.small_agents import rad, random_batch, trained
from baselines.augmentation import crop, translate
from suite.stacked.replay import Batch

SEEDS = [1, 2]


def test_crops_and_translations_are_those_of_slices():
    draw = np.random.default_rng(0)
    images = torch.tensor(draw.integers(256, size=(2, 5, 8, 8, 6)), dtype=torch.uint8)
    corners = torch.tensor(draw.integers(4, size=(2, 5, 2)))
    cut, placed = crop(images, corners, 5), translate(images, corners, 11)
    for seed in range(2):
        for item in range(5):
            y, x = corners[seed, item].tolist()
            expected = images[seed, item, y : y + 5, x : x + 5]
            assert torch.equal(cut[seed, item], expected)
            canvas = torch.zeros(11, 11, 6, dtype=torch.uint8)
            canvas[y : y + 8, x : x + 8] = images[seed, item]
            assert torch.equal(placed[seed, item], canvas)


def test_crops_are_drawn_apart_and_translations_together():
    for kind, same in (("crop", False), ("translate", True)):
        shape = (24, 24, 3) if kind == "crop" else (16, 16, 3)
        agent = rad(SEEDS, shape, augmentation=kind)
        batch = random_batch(agent, SEEDS, 0)
        twin = Batch(
            batch.observation, batch.action, batch.reward, batch.observation, batch.terminal
        )
        found = agent.augmented(twin, agent.streams)
        assert torch.equal(found.observation, found.next_observation) == same
        assert found.observation.shape == (2, 16, 20, 20, 3)
        centred = agent.centred(batch.observation.numpy())
        if kind == "crop":
            assert torch.equal(centred, batch.observation[:, :, 2:22, 2:22])
        else:
            assert torch.equal(centred[:, :, 2:18, 2:18], batch.observation)


def oracle(agent, row, group, images):
    """Convolutions, linear features and layer norm in plain PyTorch; parameters by `group`."""
    p = {name: leaf[row] for name, leaf in group("convolutions").items()}
    x = images.movedim(-1, 1).float() / 255 - agent.settings.pixel_offset
    for number, stride in enumerate((2, 1, 1, 1), 1):
        x = F.conv2d(x, p[f"conv{number}.weight"], p[f"conv{number}.bias"][0], stride).relu()
    return x.flatten(1)


def features(p, row, x):
    y = x @ p["features.weight"][row] + p["features.bias"][row]
    gain, offset = p["features_norm.gain"][row, 0], p["features_norm.offset"][row, 0]
    return F.layer_norm(y, y.shape[1:], gain, offset)


def perceptron(p, row, x):
    for layer in ("hidden1", "hidden2"):
        x = torch.relu(x @ p[f"{layer}.weight"][row] + p[f"{layer}.bias"][row])
    return x @ p["output.weight"][row] + p["output.bias"][row]


@pytest.mark.parametrize(
    "changes",
    [{}, {"pixel_offset": 0.5, "convolution_initialiser": "torch_default"}],
    ids=["as-published", "centred-pixels"],
)
def test_the_losses_and_their_gradients_are_those_of_plain_pytorch(changes):
    agent = trained(rad(SEEDS, actions=2, **changes), SEEDS, 4)
    batch = agent.augmented(random_batch(agent, SEEDS, 9), agent.streams)
    noise = 0.5 * torch.randn(2, 16, 2, generator=torch.Generator().manual_seed(0))
    alpha = torch.tensor([[0.1], [0.4]])
    online = {name: group.parameters.leaves for name, group in agent.groups.items()}
    target = {group.name: group.target.leaves for group in agent.critic_side}
    critic_loss = agent.critic_loss(online, batch, noise, alpha)
    actor_loss, _ = agent.actor_loss(online, batch, noise, alpha)

    def policy(row, images):
        encoded = oracle(agent, row, online.get, images)
        hidden = features(online["actor_features"], row, encoded)
        mean, log_std = perceptron(online["actor"], row, hidden).chunk(2, -1)
        log_std = -10 + 6 * (torch.tanh(log_std) + 1)
        before = mean + log_std.exp() * noise[row]
        density = torch.distributions.Normal(mean, log_std.exp()).log_prob(before)
        return torch.tanh(before), (density - torch.log(1 - torch.tanh(before) ** 2)).sum(-1)

    def q(group, row, images, action):
        hidden = features(group["critic_features"], row, oracle(agent, row, group.get, images))
        x = torch.cat((hidden, action), -1)
        return [perceptron(group["critic"], 2 * row + copy, x)[:, 0] for copy in (0, 1)]

    critic_losses, actor_losses = [], []
    for row in range(2):
        following = batch.next_observation[row]
        action, log_prob = policy(row, following)
        value = torch.minimum(*q(target, row, following, action)) - alpha[row] * log_prob
        goal = (batch.reward[row] + 0.9 * (1 - batch.terminal[row]) * value).detach()
        pair = q(online, row, batch.observation[row], batch.action[row] / 2)
        expected = sum(F.mse_loss(values, goal) for values in pair)
        torch.testing.assert_close(critic_loss[row], expected, rtol=1e-3, atol=1e-4)
        critic_losses.append(expected)
        action, log_prob = policy(row, batch.observation[row])
        pair = q(online, row, batch.observation[row], action)
        expected = (alpha[row] * log_prob - torch.minimum(*pair)).mean()
        torch.testing.assert_close(actor_loss[row], expected, rtol=1e-3, atol=1e-4)
        actor_losses.append(expected)
    for groups, ours, theirs in (
        (agent.critic_side, critic_loss, critic_losses),
        (agent.actor_side, actor_loss, actor_losses),
    ):
        leaves = [leaf for group in groups for leaf in online[group.name].values()]
        found = torch.autograd.grad(ours.sum(), leaves)
        for gradient, expected in zip(found, torch.autograd.grad(sum(theirs), leaves), strict=True):
            error = (gradient - expected).norm() / expected.norm()
            assert error < 1e-3


def test_actor_and_targets_move_when_due_and_convolutions_at_every_update():
    agent = rad(SEEDS)
    for number in range(1, 5):
        before = {name: group.parameters.flat.clone() for name, group in agent.groups.items()}
        targets = {group.name: group.target.flat.clone() for group in agent.critic_side}
        agent.update(random_batch(agent, SEEDS, number))
        for name, group in agent.groups.items():
            due = not name.startswith("actor") or number % 2 == 0
            assert torch.equal(group.parameters.flat, before[name]) != due
        for group in agent.critic_side:
            tau = (0.01 if group.name == "critic" else 0.05) * (number % 2 == 0)
            expected = targets[group.name].lerp(group.parameters.flat, tau)
            torch.testing.assert_close(group.target.flat, expected)


def test_the_policy_trunk_has_the_papers_size():
    """Cartpole: 1 103 874 parameters (papers' count of the released code)."""
    agent = rad([1], (24, 24, 9), features=50, hidden_units=1024)
    actor = agent.groups["actor"].parameters.slices
    assert sum(part.stop - part.start for part in actor) == 1_103_874


def test_initial_weights_are_orthogonal_and_kernels_only_have_a_centre():
    agent = rad(SEEDS, hidden_units=32)
    weight = agent.groups["actor"].parameters.leaves["hidden2.weight"][0]
    torch.testing.assert_close(weight @ weight.T, torch.eye(32), atol=1e-5, rtol=0.0)
    kernels = agent.groups["convolutions"].parameters.leaves["conv2.weight"][0]
    centre = kernels[:, :, 1, 1]
    torch.testing.assert_close(centre @ centre.T, 2 * torch.eye(4), atol=1e-5, rtol=0.0)
    assert kernels.count_nonzero() == centre.count_nonzero()


def test_images_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="at least as large for crop"):
        rad(SEEDS, (18, 18, 3))


def test_every_setting_is_described():
    for field in type(rad([1]).settings).model_fields.values():
        assert field.is_required() and field.description


@pytest.mark.long
@pytest.mark.parametrize(
    ("settings", "side"),
    [
        ({"image_size": 84, "filters": 32, "convolutions": 4}, 100),
        ({"image_size": 36, "filters": 16, "convolutions": 4}, 40),
        ({"image_size": 32, "filters": 32, "convolutions": 2, "augmentation": "translate"}, 30),
    ],
    ids=["84", "36", "32"],
)
def test_a_seed_learns_the_same_bits_in_groups_of_1_2_and_3_from_images_of_full_size(
    settings, side
):
    def flats(seeds):
        agent = rad(seeds, (side, side, 9), features=50, hidden_units=256, **settings)
        for number in range(3):
            agent.update(random_batch(agent, seeds, number, size=32))
        return [group.parameters.flat for group in agent.groups.values()]

    three = flats([1, 2, 3])
    for row, seeds in ((0, [1]), (1, [2, 3])):
        for together, apart in zip(three, flats(seeds), strict=True):
            assert torch.equal(together[row : row + len(seeds)], apart)
