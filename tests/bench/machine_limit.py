"""How fast an agent could learn on a machine that did nothing but its products.

Operations of an environment step are counted from the networks: what the update's losses and their
gradients need, no more. The machine's rate is that of products of 256 x 256, the best for them that
the suite has, in as many processes as train.
"""

import math
from typing import Any

import numpy as np
from workers import Advance

from suite.stacked.layers import Convolution, Linear, Network
from suite.stacked.products import product

SIDE = 256


def operations(network: Network) -> tuple[int, int]:
    """Floating-point operations of the products of a row's forward pass of one copy, and of them
    those of the first layer."""
    found = []
    for layer, shape in zip(network.layers, network.output_shapes(), strict=True):
        if isinstance(layer, Linear):
            found.append(2 * layer.inputs * layer.outputs)
        if isinstance(layer, Convolution):
            patch = layer.in_channels * layer.kernel**2
            found.append(2 * patch * math.prod(shape))
    return sum(found), found[0]


def trained(network: Network) -> int:
    """Operations of a row's forward and backward pass: weights' gradients of every layer, and
    inputs' of all but the first."""
    forward, first = operations(network)
    return 3 * forward - first


def passed_through(network: Network) -> int:
    """Operations of a row's forward pass and of the gradient of its input alone."""
    return 2 * operations(network)[0]


def operations_of_an_update(agent: Any) -> float:
    """Operations a row of the batch of one seed of a TD3, SAC, DQN or PPO agent, on average."""
    settings = agent.settings
    if agent.kind == "dqn":
        targets = (2 if settings.double else 1) * operations(agent.network)[0]
        return float(trained(agent.network) + targets)
    actor, critic = agent.actor, agent.critic
    if agent.kind == "ppo":
        return float(trained(actor) + trained(critic))
    targets = operations(actor)[0] + 2 * operations(critic)[0]
    if agent.kind == "td3":
        policy = (trained(actor) + passed_through(critic)) / settings.policy_delay
    else:
        policy = trained(actor) + 2 * passed_through(critic)
    return float(targets + 2 * trained(critic) + policy)


def operations_of_a_step(agent: Any) -> float:
    """Operations of one seed's environment step with its share of updates."""
    settings = agent.settings
    if agent.kind == "ppo":
        acting = operations(agent.actor)[0] + operations(agent.critic)[0]
        return acting + settings.epochs * operations_of_an_update(agent)
    acting = operations(agent.network if agent.kind == "dqn" else agent.actor)[0]
    rounds = settings.gradient_steps if agent.kind == "sac" else 1
    rows = settings.batch_size * rounds / settings.update_every
    return acting + rows * operations_of_an_update(agent)


def multiply() -> Advance:
    """Products of three pairs of matrices, one a step."""
    from suite.training.process import configure

    configure()
    left, right = np.ones((2, 3, SIDE, SIDE), np.float32)

    def advance(steps: int) -> None:
        for _ in range(steps):
            product(left, right)

    return advance


def operations_a_second(seconds: float, steps: int, processes: int) -> float:
    """What so many processes side by side did in so many steps of `multiply` each."""
    return processes * steps * 3 * 2 * SIDE**3 / seconds
