"""Linear layers and activations one after the other, as one operation.

Autograd then has one node for all of them: in networks as small as PPO's most of a step is the
interpreter's, going from node to node.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from suite.stacked.activations import ACTIVATIONS, ActivationKind
from suite.stacked.products import affine, affine_gradients

DenseLayer = tuple[Tensor, Tensor | None, ActivationKind | None]


def perceptron(x: Tensor, layers: Sequence[DenseLayer]) -> Tensor:
    """The outputs [N, B, outputs] for inputs [N, B, inputs].

    A layer is its weight [N, inputs, outputs], its bias [N, 1, outputs] and its activation.
    Differentiable any number of times.
    """
    if not torch.is_grad_enabled():
        *_, outputs = _outputs(x, layers)
        return outputs
    tensors = [tensor for weight, bias, _ in layers for tensor in (weight, bias)]
    kinds = tuple(kind for _, _, kind in layers)
    return _Perceptron.apply(x, kinds, *tensors)  # type: ignore[no-untyped-call, no-any-return]


def _outputs(x: Tensor, layers: Sequence[DenseLayer]) -> Iterator[Tensor]:
    """What each layer gives."""
    for weight, bias, kind in layers:
        x = affine(x, weight, bias)
        if kind is not None:
            x = ACTIVATIONS[kind].value(x)
        yield x


def _layers(
    tensors: Sequence[Tensor | None], kinds: Sequence[ActivationKind | None]
) -> list[DenseLayer]:
    return list(zip(tensors[0::2], tensors[1::2], kinds, strict=True))  # type: ignore[arg-type]


class _Perceptron(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, kinds: tuple[ActivationKind | None, ...], *tensors: Tensor | None
    ) -> Tensor:
        outputs = list(_outputs(x, _layers(tensors, kinds)))
        ctx.kinds = kinds
        ctx.save_for_backward(x, *tensors, *outputs)
        return outputs[-1]

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> tuple[Tensor | None, ...]:
        count = 2 * len(ctx.kinds)
        x, *saved = ctx.saved_tensors
        tensors, outputs = saved[:count], saved[count:]
        if torch.is_grad_enabled():
            return _differentiable_gradients(ctx, x, tensors, gradient)
        gradients: list[Tensor | None] = []
        inputs = [x, *outputs[:-1]]
        needs_input, *needs = _needs(ctx)
        for i, kind in reversed(list(enumerate(ctx.kinds))):
            weight, bias = tensors[2 * i : 2 * i + 2]
            if kind is not None:
                gradient = ACTIVATIONS[kind].gradient(outputs[i], gradient)
            wanted = (i > 0 or needs_input, *needs[2 * i : 2 * i + 2])
            gradient, *own = affine_gradients(inputs[i], weight, bias, gradient, wanted)
            gradients = [*own, *gradients]
        return gradient, None, *gradients


def _differentiable_gradients(
    ctx: Any, x: Tensor, tensors: Sequence[Tensor | None], gradient: Tensor
) -> tuple[Tensor | None, ...]:
    """The gradients as functions of everything they depend on: the pass is made again, in nodes."""
    *_, y = _outputs(x, _layers(tensors, ctx.kinds))
    wanted = [
        tensor
        for tensor, needed in zip((x, *tensors), _needs(ctx), strict=True)
        if needed and tensor is not None
    ]
    found = iter(torch.autograd.grad(y, wanted, gradient, create_graph=True))
    first, *others = (next(found) if needed else None for needed in _needs(ctx))
    return first, None, *others


def _needs(ctx: Any) -> tuple[bool, ...]:
    """Whether the inputs and each tensor need a gradient."""
    x, _, *tensors = ctx.needs_input_grad
    return x, *tensors
