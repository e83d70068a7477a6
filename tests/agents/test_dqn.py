import dataclasses

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from agents.small_agents import RMSPROP, dqn, random_batch
from suite.stacked.replay import Batch

ONLINE, TARGET = (1.0, 5.0, 2.0), (10.0, 20.0, 40.0)


def constant(parameters, values) -> None:
    """Make a network return `values` for every input."""
    parameters.flat.zero_()
    parameters.leaves["output.bias"].detach()[:] = torch.tensor(values)


def constant_agent(**changes):
    agent = dqn([1, 2], shape=(2,), actions=3, **changes)
    constant(agent.groups["q"].parameters, ONLINE)
    constant(agent.groups["q"].target, TARGET)
    return agent


def batch(terminal: float) -> Batch:
    """For each seed one step with action 2 and reward 0.5; seed 2's reward is 1.5."""
    observation = torch.ones(2, 1, 2)
    reward = torch.tensor([[0.5], [1.5]])
    return Batch(
        observation,
        torch.full((2, 1), 2),
        reward,
        observation,
        torch.full((2, 1), terminal),
    )


@pytest.mark.parametrize(
    ("double", "terminal", "targets"),
    [
        (True, 0.0, (0.5 + 0.9 * 20, 1.5 + 0.9 * 20)),
        (False, 0.0, (0.5 + 0.9 * 40, 1.5 + 0.9 * 40)),
        (True, 1.0, (0.5, 1.5)),
        (False, 1.0, (0.5, 1.5)),
    ],
)
def test_the_loss_is_the_squared_error_to_the_td_target(double, terminal, targets):
    agent = constant_agent(double=double)
    loss = agent.loss(agent.groups["q"].parameters.leaves, batch(terminal))
    assert loss.tolist() == pytest.approx([(2 - target) ** 2 for target in targets])


def test_the_huber_loss_turns_linear_at_one():
    agent = constant_agent(loss="huber")
    leaves = agent.groups["q"].parameters.leaves
    loss = agent.loss(leaves, batch(1.0))
    assert loss.tolist() == pytest.approx([1.5 - 0.5, 0.5 * 0.5**2])


def test_the_loss_is_the_mean_over_the_batch():
    agent = dqn([1, 2])
    leaves = agent.groups["q"].parameters.leaves
    whole = random_batch(agent, [1, 2], 0)

    def rows(part: slice) -> Batch:
        fields = {f.name: getattr(whole, f.name) for f in dataclasses.fields(whole)}
        return Batch(**{name: x[:, part] for name, x in fields.items() if x is not None})

    halves = [agent.loss(leaves, rows(part)) for part in (slice(0, 8), slice(8, 16))]
    torch.testing.assert_close(agent.loss(leaves, whole), (halves[0] + halves[1]) / 2)


@pytest.mark.parametrize("double", [True, False])
def test_no_gradient_flows_through_the_target(double):
    agent = constant_agent(double=double)
    group = agent.groups["q"]
    gradient = group.gradient(agent.loss(group.parameters.leaves, batch(0.0)))
    (bias,) = (part for part in group.parameters.slices if part.name == "output.bias")
    target = 0.5 + 0.9 * (20 if double else 40)
    expected = [0.0, 0.0, 2 * (2 - target)]
    assert gradient[0, bias.start : bias.stop].tolist() == pytest.approx(expected)


def test_the_target_network_is_copied_when_due_and_then_stays():
    agent = dqn([1, 2], target_update_interval=3)
    group = agent.groups["q"]
    old = group.target.flat.clone()
    for number in range(1, 8):
        agent.update(random_batch(agent, [1, 2], number))
        if number % 3 == 0:
            assert torch.equal(group.target.flat, group.parameters.flat)
            old = group.target.flat.clone()
        else:
            assert torch.equal(group.target.flat, old)
            assert not torch.equal(group.target.flat, group.parameters.flat)
    assert agent.updates == group.steps == 7


def test_epsilon_is_one_in_the_warm_up_then_linear():
    agent = dqn([1], warmup_steps=5, epsilon_start=0.9, epsilon_end=0.1, epsilon_decay_steps=8)
    values = [agent.epsilon(step) for step in (0, 4, 5, 9, 13, 1000)]
    assert values == pytest.approx([1, 1, 0.9, 0.5, 0.1, 0.1])


def test_actions_are_greedy_but_for_a_share_of_epsilon():
    agent = dqn([1, 2], epsilon_end=0.3, warmup_steps=0)
    constant(agent.groups["q"].parameters, (0.0, 0.0, 0.0, 9.0, 0.0, 0.0))
    observations = np.zeros((2, 10, 10, 4), bool)
    actions = np.stack([agent.act(observations, 10**6) for _ in range(3000)])
    shares = np.stack([np.bincount(column, minlength=6) / 3000 for column in actions.T])
    expected = np.full(6, 0.05)
    expected[3] = 0.75
    np.testing.assert_allclose(shares, [expected, expected], atol=0.03)
    assert (actions[:, 0] != actions[:, 1]).any()
    assert (agent.greedy(np.zeros((2, 4, 10, 10, 4), bool)) == 3).all()


def test_warm_up_actions_are_uniform():
    agent = dqn([1], warmup_steps=10**9)
    actions = np.concatenate([agent.act(np.zeros((1, 10, 10, 4)), 0) for _ in range(6000)])
    np.testing.assert_allclose(np.bincount(actions, minlength=6) / 6000, 1 / 6, atol=0.02)


def test_the_network_is_minatars():
    agent = dqn([1], hidden_units=128)
    sizes = {part.name: part.stop - part.start for part in agent.groups["q"].parameters.slices}
    assert sum(sizes.values()) == 132_566
    assert sizes["hidden1.weight"] + sizes["hidden1.bias"] == 131_200


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (RMSPROP | {"beta1": 0.9}, "one decay, alpha"),
        ({"discount": 1.5}, "less than or equal to 1"),
        ({"momentum": 0.5}, "Extra inputs are not permitted"),
        ({"double": 1}, "valid boolean"),
    ],
)
def test_bad_settings_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        dqn([1], **changes)


def test_every_setting_is_required_and_described():
    for field in type(dqn([1]).settings).model_fields.values():
        assert field.is_required() and field.description


def test_continuous_actions_are_refused():
    from baselines.dqn import DQN, ActionSpec

    settings = dqn([1]).settings
    with pytest.raises(ValueError, match="DQN needs discrete actions"):
        DQN(settings, (3,), ActionSpec("continuous", 1, -1.0, 1.0), [1], lambda n: n)
