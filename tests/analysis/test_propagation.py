"""Jacobians, tangent kernels and pre-activations of small networks, against plain arithmetic."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from suite.analysis.propagation import Propagation, PropagationSettings
from suite.stacked.layers import Activation, Linear, Network, Norm
from suite.stacked.parameters import FlatParameters

INPUTS = np.random.default_rng(0).standard_normal((40, 3), np.float32)


def network(normed=True):
    norm = [Norm("hidden1_norm", "layer", (8,), affine="none", eps=0.0)] * normed
    layers = (
        Linear("hidden1", 3, 8, bias=False),
        *norm,
        Activation("relu"),
        Linear("output", 8, 4, bias=False),
    )
    return FlatParameters.initialise(Network("q", "q", layers, (3,)), [0], "q")


def told(parameters, inputs=INPUTS):
    """The values of one checkpoint."""
    agent = SimpleNamespace(policy="q", groups={"q": SimpleNamespace(parameters=parameters)})
    run = SimpleNamespace(
        observations=lambda size: inputs[:size], agents=lambda every: [(7, agent)]
    )
    series = Propagation(PropagationSettings(observations=40, kernel_inputs=20)).analyse(run).series
    assert all(list(steps) == [7] for steps, _ in series.values())
    return {name: values[0] for name, (_, values) in series.items()}


def test_the_jacobian_is_that_of_all_outputs_averaged_over_observations():
    parameters = network(normed=False)
    first, last = (leaf.detach()[0].double() for leaf in parameters.leaves.values())
    active = (torch.tensor(INPUTS).double() @ first > 0).double()
    slopes = torch.einsum("ih,bh,ho->bio", first, active, last)
    expected = slopes.flatten(1).norm(dim=1).mean()
    assert told(parameters)["jacobian_norm"] == pytest.approx(float(expected))


def test_larger_weights_raise_the_jacobian_unless_a_norm_follows():
    for normed, factor in ((False, 10.0), (True, 1.0)):
        parameters = network(normed)
        before = told(parameters)["jacobian_norm"]
        parameters.leaves["hidden1.weight"].detach().mul_(10)
        assert told(parameters)["jacobian_norm"] == pytest.approx(factor * before)


def test_the_kernel_has_the_rank_of_the_gradients_of_the_largest_output():
    parameters = network()
    flat = parameters.flat.detach().double().requires_grad_()
    rows = []
    for x in torch.tensor(INPUTS[:20]).double():
        outputs = parameters.network.forward(parameters.with_flat(flat), x[None, None])
        rows.append(torch.autograd.grad(outputs.max(), flat)[0][0])
    values = torch.linalg.svdvals(torch.stack(rows)) ** 2
    expected = int((values > 0.01 * values[0]).sum())
    assert 1 < expected < 20
    assert told(parameters)["kernel_rank"] == expected
    assert told(parameters, np.repeat(INPUTS[:1], 40, 0))["kernel_rank"] == 1


def test_preactivations_are_told_before_and_behind_the_norm():
    parameters = network()
    parameters.leaves["hidden1.weight"].detach().mul_(5)
    found = told(parameters)
    raw = torch.tensor(INPUTS).double() @ parameters.leaves["hidden1.weight"].detach()[0].double()
    normed = torch.nn.functional.layer_norm(raw, (8,), eps=0.0)
    for units, mark in ((raw, "_raw"), (normed, "")):
        mean, std = units.mean(0).abs().mean(), units.std(0).mean()
        assert found[f"preactivation_mean{mark}/hidden1"] == pytest.approx(float(mean))
        assert found[f"preactivation_std{mark}/hidden1"] == pytest.approx(float(std))
        negative = (units < 0).double().mean()
        assert found[f"negative_fraction{mark}/hidden1"] == pytest.approx(float(negative))
    assert found["preactivation_std_raw/hidden1"] > 2 * found["preactivation_std/hidden1"]
    plain = told(network(normed=False))
    assert "preactivation_std_raw/hidden1" not in plain and "preactivation_std/hidden1" in plain


def test_of_what_is_not_finite_nothing_is_known():
    parameters = network()
    parameters.flat[0, 0] = torch.nan
    assert np.isnan(list(told(parameters).values())).all()
