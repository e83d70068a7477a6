"""A perceptron has the values and gradients of its layers one after the other, to the bit."""

from itertools import pairwise

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from suite.stacked.activations import activation
from suite.stacked.perceptron import perceptron
from suite.stacked.products import affine

KINDS = ("tanh", "relu", None)
SIZES = (17, 64, 32, 6)


def operands(seeds, sizes=SIZES, batch=16, dtype=torch.float32, biases=True):
    """Inputs, and weight and bias of each layer in turn, of a stack of networks."""

    def draw(number: int, *shape: int) -> torch.Tensor:
        generators = (torch.Generator().manual_seed(100 * seed + number) for seed in seeds)
        rows = [torch.randn(shape, generator=g, dtype=dtype) for g in generators]
        return torch.stack(rows).requires_grad_()

    tensors = [draw(0, batch, sizes[0])]
    for i, (inputs, outputs) in enumerate(pairwise(sizes)):
        tensors += [draw(2 * i + 1, inputs, outputs)]
        tensors += [draw(2 * i + 2, 1, outputs) if biases else None]
    return tensors


def layers(tensors):
    return list(zip(tensors[0::2], tensors[1::2], KINDS, strict=True))


def at_once(x, *tensors):
    return perceptron(x, layers(tensors))


def one_by_one(x, *tensors):
    for weight, bias, kind in layers(tensors):
        x = affine(x, weight, bias)
        x = x if kind is None else activation(kind, x)
    return x


def value_and_gradients(function, tensors):
    y = function(*tensors)
    wanted = [tensor for tensor in tensors if tensor is not None and tensor.requires_grad]
    return [y.detach(), *torch.autograd.grad(y.square().sum(), wanted)]


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("learned_inputs", [True, False])
def test_values_and_gradients_are_those_of_the_layers(biases, learned_inputs):
    tensors = operands([1, 2, 3], biases=biases)
    tensors[0].requires_grad_(learned_inputs)
    ours = value_and_gradients(at_once, tensors)
    theirs = value_and_gradients(one_by_one, tensors)
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other)


def test_only_what_is_asked_for_gets_a_gradient():
    tensors = operands([1, 2])
    for frozen in (1, 4, 5):
        tensors[frozen].requires_grad_(False)
    ours = value_and_gradients(at_once, tensors)
    theirs = value_and_gradients(one_by_one, tensors)
    assert len(ours) == len(theirs) == 5
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("batch", [16, 2])
def test_bits_do_not_depend_on_the_stack(batch):
    whole = value_and_gradients(at_once, operands([1, 2, 3, 4], batch=batch))
    for rows in ([0], [3], [2, 1]):
        alone = value_and_gradients(at_once, operands([row + 1 for row in rows], batch=batch))
        for one, other in zip(whole, alone, strict=True):
            assert torch.equal(one[rows], other)


def test_values_are_the_same_without_gradients():
    tensors = operands([1, 2])
    with torch.no_grad():
        assert torch.equal(at_once(*tensors), one_by_one(*tensors))
    assert torch.equal(at_once(*tensors).detach(), one_by_one(*tensors).detach())


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
@pytest.mark.parametrize("learned_inputs", [True, False])
def test_first_and_second_derivatives_are_right(check, learned_inputs):
    tensors = operands([1, 2], sizes=(3, 4, 3, 2), batch=3, dtype=torch.float64)
    tensors[0].requires_grad_(learned_inputs)
    assert check(at_once, tensors)


def test_a_second_derivative_reaches_what_the_inputs_came_from():
    def second_derivative(function):
        tensors = operands([1, 2], sizes=(3, 4, 3, 2), batch=3, dtype=torch.float64)
        source = tensors[0]
        y = function(torch.sin(source), *tensors[1:])
        (first,) = torch.autograd.grad(y.square().sum(), tensors[1], create_graph=True)
        return torch.autograd.grad(first.square().sum(), [source, *tensors[1:]])

    for one, other in zip(second_derivative(at_once), second_derivative(one_by_one), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
