"""Hidden units of networks that were set by hand."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from suite.analysis.network_on_batch import NetworkOnBatchSettings
from suite.analysis.plasticity import Plasticity
from suite.stacked.layers import Activation, Linear, Network

INPUTS = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]], dtype=np.float32)


@dataclass
class Run:
    """One checkpoint of a network of three inputs and hidden units with these weights."""

    weight: list[list[float]]
    bias: list[float]
    kind: str = "relu"

    def observations(self, size):
        return INPUTS[:size]

    def agents(self, every):
        units = len(self.bias)
        layers = (Linear("hidden1", 3, units), Activation(self.kind), Linear("output", units, 1))
        network = Network("q", "q", layers, (3,))
        leaves = {
            "hidden1.weight": torch.tensor(self.weight)[None],
            "hidden1.bias": torch.tensor(self.bias)[None, None],
            "output.weight": torch.zeros(1, units, 1),
            "output.bias": torch.zeros(1, 1, 1),
        }
        parameters = SimpleNamespace(network=network, leaves=leaves)
        yield 7, SimpleNamespace(policy="q", groups={"q": SimpleNamespace(parameters=parameters)})


def told(run):
    series = Plasticity(NetworkOnBatchSettings(observations=4)).analyse(run).series
    assert all(list(steps) == [7] for steps, _ in series.values())
    return {name: values[0] for name, (_, values) in series.items()}


def test_units_are_dead_linear_or_dormant_by_their_activations():
    # Active: for some inputs; for none; for all; hardly.
    weight = [[1, -1, 1, 0.04], [1, -1, 1, 0], [0, -1, 1, 0]]
    found = told(Run(weight, [0.0, -0.1, 0.5, 0.0]))
    assert found["dead_fraction/hidden1"] == 0.25
    assert found["linearised_fraction/hidden1"] == 0.5
    # Mean activations 1, 0, 2 and .02: .025 of their mean is .019.
    assert found["dormant_fraction/hidden1"] == 0.25
    weight[0][3] = 0.02
    assert told(Run(weight, [0.0, -0.1, 0.5, 0.0]))["dormant_fraction/hidden1"] == 0.5
    assert found["dead_fraction/all"] == 0.25


def test_ranks_are_those_of_the_features():
    equal = told(Run([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0.0] * 3))
    values = np.linalg.svd(INPUTS, compute_uv=False)
    shares = values / values.sum()
    assert equal["feature_rank"] == 3
    assert equal["effective_rank"] == pytest.approx(np.exp(-(shares * np.log(shares)).sum()))
    same = told(Run([[1, 1, 1]] * 3, [0.0] * 3))
    assert same["feature_rank"] == 1 and same["effective_rank"] == pytest.approx(1)
    # A hundredth of the largest singular value does not count.
    assert told(Run([[1, 0, 0], [0, 0.004, 0], [0, 0, 1]], [0.0] * 3))["feature_rank"] == 2
    nothing = told(Run([[-1.0]] * 3, [0.0]))
    assert nothing["feature_rank"] == nothing["effective_rank"] == 0


def test_units_of_tanh_are_neither_dead_nor_linear():
    found = told(Run([[1, 0], [1, 0], [1, 0]], [0.0, 0.0], "tanh"))
    assert "dead_fraction/hidden1" not in found and found["dormant_fraction/hidden1"] == 0.5


def test_of_units_that_are_not_finite_nothing_is_known():
    found = told(Run([[float("nan"), 1]] * 3, [0.0, 0.0]))
    assert all(np.isnan(value) for value in found.values())
