"""Activations and their gradients; the hyperbolic tangent, fast on every CPU."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

ActivationKind = Literal["relu", "tanh"]


def tanh(x: Tensor) -> Tensor:
    """tanh of every element, differentiable any number of times.

    On the CPU it is NumPy's, within 2 units in the last place of PyTorch's and 5 to 14 times faster
    (12 288 float32 numbers on one core: 4 against 42 us).
    """
    if x.device.type != "cpu":
        return torch.tanh(x)
    if torch.is_grad_enabled() and x.requires_grad:
        return _Tanh.apply(x)  # type: ignore[no-untyped-call, no-any-return]
    return torch.from_numpy(np.tanh(x.detach().numpy()))


class _Tanh(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = torch.from_numpy(np.tanh(x.detach().numpy()))
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return _tanh_gradient(y, gradient)


def _tanh_gradient(y: Tensor, gradient: Tensor) -> Tensor:
    return torch.addcmul(gradient, gradient * y, y, value=-1)


def _relu_gradient(y: Tensor, gradient: Tensor) -> Tensor:
    return torch.ops.aten.threshold_backward(gradient, y, 0)  # type: ignore[no-any-return]


class Elementwise(NamedTuple):
    """`value(x)`, and `gradient(y, g)`: the gradient for x, from y = value(x) and the gradient g
    for y."""

    value: Callable[[Tensor], Tensor]
    gradient: Callable[[Tensor, Tensor], Tensor]


ACTIVATIONS = {
    "relu": Elementwise(torch.relu, _relu_gradient),
    "tanh": Elementwise(tanh, _tanh_gradient),
}
