"""Learning, shown in seconds on tasks with a known answer."""

import numpy as np
import torch

from agents.small_agents import dqn, td3
from suite.stacked.replay import Batch
from suite.stacked.streams import SeedStreams

SEEDS = [1, 2, 3]


def steps(observation, action, reward, terminal=None, following=None) -> Batch:
    """Transitions that end at once unless said otherwise."""
    ones = np.ones_like(reward) if terminal is None else terminal
    after = observation if following is None else following
    arrays = (observation, action, reward.astype(np.float32), after, ones.astype(np.float32))
    return Batch(*(torch.tensor(array) for array in arrays))


def test_dqn_learns_which_action_a_picture_asks_for():
    agent = dqn(SEEDS, shape=(10, 10, 4), actions=3)
    streams = SeedStreams(SEEDS, "test/bandit")
    pictures = (streams.uniform(3, 10, 10, 4) < 0.2).astype(np.float32)
    rows = np.arange(3)[:, None]
    for _ in range(150):
        wanted = streams.integers([3] * 3, 16)
        action = streams.integers([3] * 3, 16)
        agent.update(steps(pictures[rows, wanted], action, action == wanted))
    assert (agent.greedy(pictures) == [0, 1, 2]).all()


def test_dqn_carries_value_back_along_a_chain():
    # States 0, 1, 2; action 1 moves on, action 0 stays; moving on from 2 ends with reward 1.
    agent = dqn(SEEDS, shape=(3,), actions=2, learning_rate=3e-3, target_update_interval=20)
    streams = SeedStreams(SEEDS, "test/chain")
    states = np.eye(3, dtype=np.float32)
    for _ in range(600):
        state, action = streams.integers([3] * 3, 16), streams.integers([2] * 3, 16)
        ends = (state == 2) & (action == 1)
        following = states[np.minimum(state + action, 2)]
        agent.update(steps(states[state], action, ends, ends, following))
    q = agent.network.forward(
        agent.groups["q"].parameters.leaves, torch.tensor(states).expand(3, -1, -1)
    )
    expected = torch.tensor([[0.729, 0.81], [0.81, 0.9], [0.9, 1.0]])
    torch.testing.assert_close(q.detach(), expected.expand(3, -1, -1), atol=0.06, rtol=0.0)


def test_td3_finds_the_action_of_highest_reward():
    # The reward of action a in state s is -(a - s)^2, with s in [-1.5, 1.5] and a in [-2, 2].
    agent = td3(SEEDS, inputs=1, high=2.0, actor_learning_rate=3e-3, critic_learning_rate=3e-3)
    streams = SeedStreams(SEEDS, "test/quadratic")
    for _ in range(500):
        state = streams.uniform(32, 1, low=-1.5, high=1.5)
        action = streams.uniform(32, 1, low=-2.0, high=2.0)
        agent.update(steps(state, action, -((action - state)[..., 0] ** 2)))
    states = np.broadcast_to(np.linspace(-1.2, 1.2, 7, dtype=np.float32)[:, None], (3, 7, 1))
    np.testing.assert_allclose(agent.greedy(states), states, atol=0.25)
