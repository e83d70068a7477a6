import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.stacked.layers import Activation, Convolution, Flatten, Linear, Network, Norm
from suite.stacked.optimisers import Adam
from suite.stacked.parameters import (
    FlatParameters,
    ParameterGroup,
    copy_parameters,
    polyak_update,
)

TWINS = Network(
    "q",
    "critic",
    (Linear("hidden1", 3, 5), Activation("relu"), Linear("output", 5, 1)),
    (3,),
    copies=2,
)


def with_norms(network: Network) -> Network:
    layers = []
    for layer in network.layers:
        if isinstance(layer, Linear) and layer.name.startswith("hidden"):
            layers += [dataclasses.replace(layer, bias=False)]
            layers += [Norm(f"{layer.name}_norm", "layer", (layer.outputs,))]
        else:
            layers.append(layer)
    return dataclasses.replace(network, layers=tuple(layers))


def test_leaves_and_parts_share_the_flat_storage():
    parameters = FlatParameters.initialise(TWINS, [0, 1, 2], "critic")
    part = next(part for part in parameters.slices if part.name == "q2.hidden1.weight")
    parameters.flat[1, part.start : part.stop] = 7.0
    assert (parameters.leaves["hidden1.weight"][1 * 2 + 1] == 7).all()
    assert (parameters.part(part)[1] == 7).all()
    parameters.part(part)[0] = -1.0
    assert (parameters.leaves["hidden1.weight"][1] == -1).all()
    with torch.no_grad():
        parameters.leaves["output.bias"][4] = 3.0
    first_of_last = next(part for part in parameters.slices if part.name == "q1.output.bias")
    assert (parameters.flat[2, first_of_last.start : first_of_last.stop] == 3).all()


def test_slices_tile_a_row_but_for_the_padding():
    parameters = FlatParameters.initialise(TWINS, [0], "critic")
    covered = np.zeros(parameters.flat.shape[1], int)
    for part in parameters.slices:
        covered[part.start : part.stop] += 1
        assert part.stop - part.start == np.prod(part.shape)
    assert covered.max() == 1
    assert covered.sum() == 2 * (3 * 5 + 5 + 5 + 1)
    assert (parameters.flat[:, covered == 0] == 0).all()
    assert parameters.flat.is_contiguous()
    assert parameters.flat.shape[1] % 32 == 0


def test_every_network_starts_on_a_64_byte_boundary():
    parameters = FlatParameters.initialise(TWINS, [0, 1, 2], "critic")
    for row in parameters.leaves["hidden1.weight"]:
        assert row.data_ptr() % 64 == 0


def test_with_flat_gives_another_vector_the_same_names():
    parameters = FlatParameters.initialise(TWINS, [0, 1], "critic")
    other = torch.arange(parameters.flat.numel(), dtype=torch.float32).view_as(parameters.flat)
    views = parameters.with_flat(other)
    assert list(views) == list(parameters.leaves)
    part = next(part for part in parameters.slices if part.name == "q2.output.weight")
    expected = other[1, part.start : part.stop].view(part.shape)
    assert torch.equal(views["output.weight"][3], expected)


def test_of_copy_takes_one_of_the_twins():
    parameters = FlatParameters.initialise(TWINS, [0, 1], "critic")
    second = parameters.of_copy(1)["hidden1.weight"]
    assert torch.equal(second, parameters.leaves["hidden1.weight"].detach()[[1, 3]])
    assert not second.requires_grad


@given(st.lists(st.integers(0, 99), min_size=1, max_size=3, unique=True))
@settings(max_examples=20)
def test_initial_values_depend_on_the_seed_alone(seeds):
    together = FlatParameters.initialise(TWINS, seeds, "critic").flat
    for row, seed in enumerate(seeds):
        assert torch.equal(
            together[row], FlatParameters.initialise(TWINS, [seed], "critic").flat[0]
        )


def test_norms_and_lost_biases_leave_the_other_tensors_as_they_are():
    base = FlatParameters.initialise(TWINS, [3], "critic").leaves
    normed = FlatParameters.initialise(with_norms(TWINS), [3], "critic").leaves
    assert "hidden1.bias" not in normed
    for name in ("hidden1.weight", "output.weight", "output.bias"):
        assert torch.equal(base[name], normed[name])
    assert (normed["hidden1_norm.gain"] == 1).all()
    assert (normed["hidden1_norm.offset"] == 0).all()


def test_copies_groups_and_tensors_start_differently():
    weights = FlatParameters.initialise(TWINS, [3], "critic").leaves["hidden1.weight"]
    other = FlatParameters.initialise(TWINS, [3], "another").leaves["hidden1.weight"]
    assert not torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], other[0])


def test_torch_default_initialisation_has_pytorchs_bounds():
    network = Network(
        "q",
        "q",
        (Convolution("conv1", 4, 16, 3), Flatten(), Linear("hidden1", 1024, 128)),
        (4, 10, 10),
    )
    leaves = FlatParameters.initialise(network, range(20), "q").leaves
    torch.manual_seed(0)
    for name, module in (
        ("conv1", torch.nn.Conv2d(4, 16, 3)),
        ("hidden1", torch.nn.Linear(1024, 128)),
    ):
        for kind in ("weight", "bias"):
            ours, theirs = leaves[f"{name}.{kind}"].detach(), getattr(module, kind).detach()
            bound = {"conv1": 1 / 6, "hidden1": 1 / 32}[name]
            assert max(ours.abs().max(), theirs.abs().max()) < 1.0001 * bound
            assert ours.abs().max() > 0.98 * bound
            torch.testing.assert_close(ours.std(), torch.tensor(bound / 3**0.5), rtol=0.1, atol=0.0)


def test_he_initialisation_has_its_variance_and_no_bias():
    network = Network("f", "q", (Linear("hidden1", 200, 300, True, "he_normal"),), (200,))
    leaves = FlatParameters.initialise(network, [0], "f").leaves
    assert leaves["hidden1.weight"].std().item() == pytest.approx(0.1, rel=0.02)
    assert (leaves["hidden1.bias"] == 0).all()


def group(seeds=(0, 1)) -> ParameterGroup:
    parameters = FlatParameters.initialise(TWINS, list(seeds), "critic")
    return ParameterGroup("critic", parameters, Adam(parameters.flat, 1e-2), with_target=True)


def loss_of(critic: ParameterGroup) -> torch.Tensor:
    x = torch.linspace(-1, 1, 48).view(1, 16, 3).expand(len(critic.parameters.flat) * 2, -1, -1)
    return TWINS.forward(critic.parameters.leaves, x).square().mean((1, 2)).view(-1, 2).sum(1)


def test_a_step_lowers_the_loss_and_then_calls_the_functions():
    critic, seen = group(), []
    critic.after_step.append(lambda g: seen.append((g.steps, loss_of(g).detach())))
    before = loss_of(critic)
    critic.step(before)
    ((steps, after),) = seen
    assert steps == critic.steps == 1
    assert (after < before).all()


def test_the_flat_gradient_is_that_of_the_leaves_with_zero_padding():
    critic = group()
    gradient = critic.gradient(loss_of(critic)).clone()
    loss_of(critic).sum().backward()
    for part in critic.parameters.slices:
        leaf = critic.parameters.leaves[part.name.split(".", 1)[1]].grad
        copy = int(part.name[1]) - 1
        torch.testing.assert_close(
            gradient[:, part.start : part.stop], leaf[copy::2].flatten(1), rtol=0, atol=0
        )
        gradient[:, part.start : part.stop] = 0
    assert (gradient == 0).all()


def test_a_group_continues_after_loading_its_state():
    critic = group()
    for _ in range(3):
        critic.step(loss_of(critic))
    state = {name: torch.as_tensor(v).clone().numpy() for name, v in critic.state().items()}
    restored = group((0, 1))
    restored.load_state(state)
    for one in (critic, restored):
        one.step(loss_of(one))
    assert torch.equal(critic.parameters.flat, restored.parameters.flat)
    assert torch.equal(critic.target.flat, restored.target.flat)
    assert restored.steps == 4


def test_targets_move_by_tau_and_copies_are_copies():
    critic = group()
    critic.step(loss_of(critic))
    old, new = critic.target.flat.clone(), critic.parameters.flat.clone()
    polyak_update(critic.target, critic.parameters, 0.25)
    torch.testing.assert_close(critic.target.flat, 0.75 * old + 0.25 * new)
    copy_parameters(critic.target, critic.parameters)
    assert torch.equal(critic.target.flat, new)
    assert torch.equal(critic.target.leaves["output.bias"], critic.parameters.leaves["output.bias"])
    critic.step(loss_of(critic))
    assert torch.equal(critic.target.flat, new)
