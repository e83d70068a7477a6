"""Layers and activations one after the other, as one operation.

Autograd then has one node for all of them: in networks as small as PPO's most of a step is the
interpreter's, going from node to node.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from suite.stacked.activations import ACTIVATIONS, ActivationKind, activation
from suite.stacked.convolution import convolution, patches
from suite.stacked.products import (
    Array,
    affine,
    affine_gradients,
    array,
    product,
    silent,
    tensor,
)

DenseLayer = tuple[Tensor, Tensor | None, ActivationKind | None]


def perceptron(x: Tensor, layers: Sequence[DenseLayer], stride: int = 1) -> Tensor:
    """The outputs [N, B, outputs] for inputs [N, B, inputs].

    A layer is its weight [N, inputs, outputs], its bias [N, 1, outputs] and its activation. The
    first one may be a convolution of small images [N, B, in, H, W] that need no gradient, with
    weight [N, out, in, kernel, kernel] and `stride`; its outputs are flattened.
    Differentiable any number of times.
    """
    tensors = [learned for weight, bias, _ in layers for learned in (weight, bias)]
    kinds = [kind for _, _, kind in layers]
    if not torch.is_grad_enabled():
        _, outputs = _pass(x, _arrays(tensors), kinds, stride)
        return tensor(outputs[-1])
    return _Perceptron.apply(x, kinds, stride, *tensors)  # type: ignore[no-untyped-call, no-any-return]


def _arrays(tensors: Sequence[Tensor | None]) -> list[Array | None]:
    return [None if x is None else array(x) for x in tensors]


@silent
def _pass(
    x: Tensor,
    arrays: Sequence[Array | None],
    kinds: Sequence[ActivationKind | None],
    stride: int,
) -> tuple[list[Array], list[Array]]:
    """What each layer multiplies and what it gives; `arrays` are weight and bias of each in turn.

    A convolution multiplies patches and gives [N, out, H' * W' * B].
    """
    inputs, outputs = [], []
    given = array(x)
    for weight, bias, kind in zip(arrays[0::2], arrays[1::2], kinds, strict=True):
        assert weight is not None
        if weight.ndim == 5:
            inputs.append(array(patches(x, weight.shape[3], stride)))
            y = product(_kernels(weight), inputs[-1], None if bias is None else bias.mT)
        else:
            inputs.append(given)
            y = product(given, weight, bias)
        if kind is not None:
            ACTIVATIONS[kind].apply(y)
        outputs.append(y)
        given = y.reshape(len(y), -1, x.shape[1]).mT if weight.ndim == 5 else y
    return inputs, outputs


def _kernels(weight: Array) -> Array:
    """A convolution's weight as [N, out, in * kernel * kernel]."""
    return weight.reshape(*weight.shape[:2], -1)


class _Perceptron(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        kinds: Sequence[ActivationKind | None],
        stride: int,
        *tensors: Tensor | None,
    ) -> Tensor:
        ctx.kinds, ctx.stride = kinds, stride
        ctx.save_for_backward(x, *tensors)
        ctx.arrays = _arrays(tensors)
        ctx.inputs, ctx.outputs = _pass(x, ctx.arrays, kinds, stride)
        return tensor(ctx.outputs[-1])

    @staticmethod
    @silent
    def backward(ctx: Any, gradient: Any) -> tuple[Tensor | None, ...]:
        x, *tensors = ctx.saved_tensors
        if torch.is_grad_enabled():
            return _differentiable_gradients(ctx, x, tensors, gradient)
        gradients: list[Array | None] = []
        needs_input, *needs = _needs(ctx)
        gradient = array(gradient)
        for i, kind in reversed(list(enumerate(ctx.kinds))):
            weight, bias = ctx.arrays[2 * i : 2 * i + 2]
            need_weight, need_bias = needs[2 * i : 2 * i + 2]
            y = ctx.outputs[i]
            if weight.ndim == 5:
                gradient = gradient.mT.reshape(y.shape)
            if kind is not None:
                gradient = array(ACTIVATIONS[kind].gradient(tensor(y), tensor(gradient)))
            if weight.ndim == 5:
                # Twice as fast as its transpose: OpenBLAS likes more rows than columns.
                by_weight = product(ctx.inputs[i], gradient.mT).mT if need_weight else None
                by_bias = gradient.sum(2) if need_bias else None
                gradients[:0] = (
                    None if by_weight is None else by_weight.reshape(weight.shape),
                    None if by_bias is None else by_bias.reshape(bias.shape),
                )
                gradient = None
            else:
                wanted = (i > 0 or needs_input, need_weight, need_bias)
                gradient, *others = affine_gradients(ctx.inputs[i], weight, bias, gradient, wanted)
                gradients[:0] = others
        first, *rest = (None if x is None else tensor(x) for x in (gradient, *gradients))
        return first, None, None, *rest


def _differentiable_gradients(
    ctx: Any, x: Tensor, tensors: Sequence[Tensor | None], gradient: Tensor
) -> tuple[Tensor | None, ...]:
    """The gradients as functions of everything they depend on: the pass is made again, in nodes."""
    y = x
    for weight, bias, kind in zip(tensors[0::2], tensors[1::2], ctx.kinds, strict=True):
        assert weight is not None
        convolves = weight.ndim == 5
        y = convolution(y, weight, bias, ctx.stride) if convolves else affine(y, weight, bias)
        if kind is not None:
            y = activation(kind, y)
        y = y.flatten(2)
    wanted = [
        operand
        for operand, needed in zip((x, *tensors), _needs(ctx), strict=True)
        if needed and operand is not None
    ]
    found = iter(torch.autograd.grad(y, wanted, gradient, create_graph=True))
    first, *others = (next(found) if needed else None for needed in _needs(ctx))
    return first, None, None, *others


def _needs(ctx: Any) -> tuple[bool, ...]:
    """Whether the inputs and each tensor need a gradient."""
    x, _, _, *tensors = ctx.needs_input_grad
    return x, *tensors
