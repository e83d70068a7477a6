from dataclasses import replace

import numpy as np
import pytest
import torch

from agents.small_agents import cloning, random_batch, td3
from suite.conformance.small_runs import small_runs
from suite.training.off_policy import OffPolicyLoop

SEEDS = [1, 2]


def test_the_teacher_is_td3_until_all_is_collected_and_rests_afterwards():
    agent, teacher = cloning(SEEDS), td3(SEEDS)
    first = agent.groups["clone"].parameters.flat.clone()
    for number in range(2):  # steps 5 and 6 of 7
        batch = random_batch(teacher, SEEDS, number)
        agent.update(batch)
        teacher.update(batch)
    assert torch.equal(agent.groups["clone"].parameters.flat, first)
    agent.update(random_batch(teacher, SEEDS, 2))
    assert not torch.equal(agent.groups["clone"].parameters.flat, first)
    for name, value in teacher.state().items():
        assert torch.equal(torch.as_tensor(agent.teacher.state()[name]), torch.as_tensor(value)), (
            name
        )
    observations = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(agent.act(observations, 50), teacher.act(observations, 50))


def test_the_clone_starts_elsewhere_than_the_teacher():
    agent = cloning(SEEDS)
    clone, teacher = agent.groups["clone"].parameters, agent.teacher.groups["actor"].parameters
    assert clone.flat.shape == teacher.flat.shape
    assert not torch.allclose(clone.flat, teacher.flat)


def test_a_step_of_sgd_goes_down_the_squared_distance_from_the_actions():
    agent = cloning(SEEDS, actions=2, collect_steps=1, learning_rate=0.3)
    batch = random_batch(agent, SEEDS, 0)
    leaves = agent.groups["clone"].parameters.leaves
    x = batch.observation
    for layer in ("hidden1", "hidden2"):
        x = torch.relu(x @ leaves[f"{layer}.weight"] + leaves[f"{layer}.bias"])
    actions = 2.0 * torch.tanh(x @ leaves["output.weight"] + leaves["output.bias"])
    expected = ((actions - batch.action) ** 2).mean(dim=(1, 2))
    torch.testing.assert_close(agent.loss(leaves, batch), expected)
    np.testing.assert_allclose(agent.greedy(batch.observation.numpy()), actions.detach(), rtol=1e-5)
    gradients = torch.autograd.grad(expected.sum(), list(leaves.values()))
    before = {name: leaf.detach().clone() for name, leaf in leaves.items()}
    agent.update(batch)
    for (name, leaf), gradient in zip(leaves.items(), gradients, strict=True):
        torch.testing.assert_close(leaf.detach(), before[name] - 0.3 * gradient)


@pytest.mark.parametrize("optimiser, rate", [("sgd", 0.1), ("adam", 3e-3)])
def test_actions_are_learned(optimiser, rate):
    agent = cloning(SEEDS, collect_steps=1, optimiser=optimiser, learning_rate=rate)
    batches = [random_batch(agent, SEEDS, number, size=64) for number in range(4)]
    batches = [replace(batch, action=batch.observation[..., :1].clamp(-1, 1)) for batch in batches]
    for _ in range(200):
        for batch in batches:
            agent.update(batch)
    error = [agent.greedy(b.observation.numpy()) - b.action.numpy() for b in batches]
    assert np.abs(error).mean() < 0.1


def test_nothing_is_played_once_all_is_collected():
    (run,) = small_runs("cloning", [0])
    loop = OffPolicyLoop(run, [0, 1], "cpu")
    while loop.step < 40:
        loop.advance()
    held, seen = loop.replay.state(), loop.environments.observation.copy()
    held = {
        name: torch.as_tensor(value).clone() for name, value in held.items() if name != "stream"
    }
    while loop.step < run.budget:
        loop.advance()
    np.testing.assert_array_equal(loop.environments.observation, seen)
    now = loop.replay.state()
    for name in ("observation", "action", "next_observation"):
        assert torch.equal(torch.as_tensor(now[name]), held[name])
    assert loop.agent.updates == 60
    assert loop.agent.groups["clone"].steps == 40
