"""Tasks with one state or two whose values are known, for agents that learn from a replay.

Each probe has what the one before lacks, so that the first to fail tells what is broken: a
constant value, a value that depends on the observation, one that comes a step later, one past the
end of an episode that was cut, and one that depends on the action. Discount 0.5.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from agents.small_agents import dqn, rad, sac, td3
from suite.stacked.replay import Batch
from suite.stacked.streams import SeedStreams

SEEDS = [1, 2]
DISCOUNT = 0.5
STATES = np.eye(2, dtype=np.float32)
# Of agents that see pixels: the lower half is bright, or the upper half.
PICTURES = np.full((2, 18, 18, 3), 30, np.uint8)
PICTURES[0, 9:] = PICTURES[1, :9] = 220


@dataclass(frozen=True)
class Probe:
    """Rewards for (state, action), the state that follows each, whether it ends there, and values.

    Actions are in [-2, 2]; a discrete agent's 0 and 1 count as -1 and 1.
    """

    reward: Callable[[np.ndarray, np.ndarray], np.ndarray]
    following: tuple[int, int]
    terminal: tuple[float, float]
    value: tuple[float, float]
    """Of the two states for the best action."""


PROBES = {
    "constant": Probe(lambda s, a: np.ones_like(a), (0, 1), (1.0, 1.0), (1.0, 1.0)),
    "observation": Probe(lambda s, a: 2.0 * s - 1.0, (0, 1), (1.0, 1.0), (-1.0, 1.0)),
    "delayed": Probe(lambda s, a: 1.0 * s, (1, 1), (0.0, 1.0), (0.5, 1.0)),
    "truncated": Probe(lambda s, a: np.ones_like(a), (0, 1), (0.0, 0.0), (2.0, 2.0)),
    "action": Probe(lambda s, a: 1 - (a - (2.0 * s - 1.0)) ** 2, (0, 1), (1.0, 1.0), (1.0, 1.0)),
}
FAST = {"discount": DISCOUNT, "batch_size": 32}
RATES = {"actor_learning_rate": 3e-3, "critic_learning_rate": 3e-3, "tau": 0.05}
PIXELS = {"image_size": 16, "convolutions": 2, "filters": 8, "policy_delay": 1}
PIXEL_RATES = {
    "actor_learning_rate": 3e-3,
    "critic_learning_rate": 3e-3,
    "critic_tau": 0.1,
    "encoder_tau": 0.1,
    "initial_temperature": 1e-3,
    "temperature_learning_rate": 0.0,
}
AGENTS = {
    "td3": lambda **changes: td3(SEEDS, inputs=2, **(FAST | RATES | changes)),
    # A cold policy: the entropy changes its values by less than the tolerance.
    "sac": lambda **changes: sac(
        SEEDS, inputs=2, **(FAST | {"learning_rate": 3e-3, "initial_temperature": 1e-3} | changes)
    ),
    "rad": lambda **changes: rad(
        SEEDS, PICTURES.shape[1:], **(FAST | PIXELS | PIXEL_RATES | changes)
    ),
    "dqn": lambda **changes: dqn(
        SEEDS, shape=(2,), actions=2, **(FAST | {"learning_rate": 3e-3} | changes)
    ),
}


def pictured(agent) -> np.ndarray:
    """What the agent sees of each of the two states, [2, ...]."""
    return PICTURES if agent.kind == "rad" else STATES


def play(agent, probe: Probe, updates: int) -> None:
    """Learn from uniformly random states and actions of the probe."""
    streams = SeedStreams(SEEDS, "test/probe")
    size = agent.settings.batch_size
    for _ in range(updates):
        state = streams.integers([2] * len(SEEDS), size)
        if agent.actions == ("discrete",):
            action = streams.integers([2] * len(SEEDS), size)
            meant = 2.0 * action - 1.0
        else:
            action = streams.uniform(size, 1, low=-2.0, high=2.0)
            meant = action[..., 0]
        arrays = (
            pictured(agent)[state],
            action,
            np.asarray(probe.reward(state, meant), np.float32),
            pictured(agent)[np.array(probe.following)[state]],
            np.array(probe.terminal, np.float32)[state],
        )
        agent.update(Batch(*(torch.tensor(array) for array in arrays)))


def greedy(agent) -> np.ndarray:
    """The greedy actions in both states, as the rewards count them, [S, 2]."""
    actions = agent.greedy(_both(agent))
    return 2.0 * actions - 1.0 if agent.actions == ("discrete",) else actions[..., 0]


def values(agent) -> np.ndarray:
    """The agent's value of its greedy action in both states, [S, 2]; the smaller critic's."""
    states = _both(agent)
    with torch.no_grad():
        if agent.actions == ("discrete",):
            q = agent.network.forward(agent.groups["q"].parameters.leaves, torch.tensor(states))
            return q.amax(dim=2).numpy()
        action = torch.tensor(agent.greedy(states))
        if agent.kind == "rad":
            online = {name: group.parameters.leaves for name, group in agent.groups.items()}
            encoded = agent.encode(online, agent.centred(states))
            return agent.q(online, encoded, action / agent.max_action).amin(1).numpy()
        if agent.kind == "sac":
            action = action / agent.max_action
        leaves = agent.groups["critic"].parameters.leaves
        return agent.q(leaves, torch.tensor(states), action).amin(1).numpy()


def _both(agent) -> np.ndarray:
    """What every seed sees of both states, [S, 2, ...]."""
    return np.stack([pictured(agent)] * len(SEEDS))
