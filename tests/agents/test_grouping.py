import numpy as np
import pytest
import torch

from agents.small_agents import AGENTS, loss_batch, observation_shape, saved, trained
from suite.stacked.streams import SeedStreams


@pytest.mark.parametrize("kind", AGENTS)
@pytest.mark.parametrize("group", [[4], [4, 9], [7, 4, 2], [1, 2, 3, 4, 5, 6]])
def test_a_seed_learns_the_same_bits_in_any_group(kind, group):
    row = group.index(4)
    together = saved(trained(AGENTS[kind](group), group, 7))
    alone = saved(trained(AGENTS[kind]([4]), [4], 7))
    assert together.keys() == alone.keys()
    for name, value in together.items():
        assert torch.equal(torch.as_tensor(value)[row], torch.as_tensor(alone[name])[0]), name


@pytest.mark.parametrize("kind", AGENTS)
@pytest.mark.parametrize("batch", [1, 3, 10])
def test_a_seed_acts_the_same_in_any_group(kind, batch):
    group = [1, 2, 3, 4, 5, 6]
    shape = observation_shape(AGENTS[kind]([1]))
    observations = SeedStreams(group, "test/act").normal(batch, *shape)

    def actions(seeds):
        agent = trained(AGENTS[kind](seeds), seeds, 2)
        rows = observations[[group.index(seed) for seed in seeds]]
        taken = [agent.greedy(rows)]
        if agent.loop == "off_policy":
            taken += [agent.act(rows[:, 0], step) for step in (0, 50)]
        if agent.loop == "on_policy":
            taken += [agent.act(rows), agent.value(rows)]
        return taken

    together = actions(group)
    for row, seed in enumerate(group):
        for expected, actual in zip(together, actions([seed]), strict=True):
            np.testing.assert_array_equal(expected[row], actual[0])


@pytest.mark.parametrize("kind", AGENTS)
def test_a_restored_agent_continues_bit_for_bit_in_another_grouping(kind):
    seeds, order = [3, 8, 5], [1, 2, 0]
    agent = trained(AGENTS[kind](seeds), seeds, 3)
    state = {name: torch.as_tensor(value)[order] for name, value in agent.state().items()}
    state = {name: value.numpy() for name, value in state.items()}
    regrouped = [seeds[row] for row in order]
    restored = AGENTS[kind](regrouped)
    restored.load_state(state)
    trained(agent, seeds, 4, first=3)
    trained(restored, regrouped, 4, first=3)
    for name, value in restored.state().items():
        expected = torch.as_tensor(agent.state()[name])[order]
        assert torch.equal(torch.as_tensor(value), expected), name


@pytest.mark.parametrize("kind", AGENTS)
def test_greedy_actions_and_losses_change_nothing(kind):
    agent = trained(AGENTS[kind]([1, 2]), [1, 2], 3)
    before = saved(agent)
    batch = loss_batch(agent, [1, 2], 99)
    agent.greedy(batch.observation.numpy())
    for name, loss in agent.losses().items():
        leaves = agent.groups[name].parameters.leaves
        first = loss(leaves, batch)
        assert first.shape == (2,)
        assert torch.equal(first, loss(leaves, batch))
    for name, value in agent.state().items():
        assert torch.equal(torch.as_tensor(value), torch.as_tensor(before[name])), name
