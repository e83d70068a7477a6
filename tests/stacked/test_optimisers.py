import copy

import pytest
import torch

from suite.stacked.layers import Linear, Network
from suite.stacked.optimisers import SGD, Adam, RMSprop
from suite.stacked.parameters import FlatParameters

NETWORK = Network("f", "q", (Linear("hidden1", 7, 9),), (7,))
OPTIMISERS = {
    "adam": (
        lambda p: Adam(p, 1e-2, (0.8, 0.99), 1e-6),
        lambda p: torch.optim.Adam(p, 1e-2, (0.8, 0.99), 1e-6),
    ),
    "sgd": (lambda p: SGD(p, 1e-2), lambda p: torch.optim.SGD(p, 1e-2)),
    "rmsprop": (
        lambda p: RMSprop(p, 1e-2, 0.9, 1e-6),
        lambda p: torch.optim.RMSprop(p, 1e-2, 0.9, 1e-6),
    ),
    "rmsprop-centred": (
        lambda p: RMSprop(p, 1e-2, 0.95, 0.01, centred=True),
        lambda p: torch.optim.RMSprop(p, 1e-2, 0.95, 0.01, centered=True),
    ),
    "rmsprop-momentum": (
        lambda p: RMSprop(p, 1e-2, 0.95, 0.01, centred=True, momentum=0.5),
        lambda p: torch.optim.RMSprop(p, 1e-2, 0.95, 0.01, momentum=0.5, centered=True),
    ),
}


def parameters(seeds) -> FlatParameters:
    return FlatParameters.initialise(NETWORK, seeds, "f")


def gradient(step: int, seeds) -> torch.Tensor:
    rows = [torch.Generator().manual_seed(100 * seed + step) for seed in seeds]
    width = NETWORK.row_length()
    return torch.stack([torch.randn(width, generator=generator) for generator in rows])


@pytest.mark.parametrize("name", OPTIMISERS)
def test_steps_are_those_of_pytorch(name):
    ours, theirs = OPTIMISERS[name]
    seeds = [0, 1, 2]
    stacked = parameters(seeds)
    optimiser = ours(stacked.flat)
    reference = stacked.flat.clone().requires_grad_()
    torch_optimiser = theirs([reference])
    for step in range(20):
        if step == 10:
            optimiser.learning_rate = torch_optimiser.param_groups[0]["lr"] = 3e-3
        optimiser.step(gradient(step, seeds))
        reference.grad = gradient(step, seeds)
        torch_optimiser.step()
        torch.testing.assert_close(stacked.flat, reference.detach(), rtol=2e-6, atol=2e-7)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_bits_do_not_depend_on_the_group(name):
    def trained(seeds):
        stacked = parameters(seeds)
        optimiser = OPTIMISERS[name][0](stacked.flat)
        for step in range(10):
            optimiser.step(gradient(step, seeds))
        return stacked.flat

    whole = trained(list(range(6)))
    for seeds in ([0], [5], [1, 4], [0, 2, 3]):
        assert torch.equal(whole[seeds], trained(seeds))


@pytest.mark.parametrize("name", OPTIMISERS)
def test_a_restored_optimiser_continues_bit_for_bit(name):
    seeds = [4, 5]
    first = parameters(seeds)
    optimiser = OPTIMISERS[name][0](first.flat)
    for step in range(5):
        optimiser.step(gradient(step, seeds))
    optimiser.learning_rate = 5e-3
    second = first.clone()
    restored = OPTIMISERS[name][0](second.flat)
    restored.load_state(copy.deepcopy(optimiser.state()))
    for step in range(5, 10):
        optimiser.step(gradient(step, seeds))
        restored.step(gradient(step, seeds))
    assert torch.equal(first.flat, second.flat)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_every_value_of_the_state_has_a_seed_axis(name):
    optimiser = OPTIMISERS[name][0](parameters([4, 5, 6]).flat)
    optimiser.step(gradient(0, [4, 5, 6]))
    assert {len(value) for value in optimiser.state().values()} == {3}
