"""Derivatives of a group's loss by automatic differentiation, and its batches in parts.

A loss is a mean over the samples of a batch, so all derivatives are taken chunk by chunk and
summed. The networks of a stack (seeds, twin critics) share no parameters and no sample's loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from suite.stacked.parameters import ParameterGroup

Loss = Callable[[Mapping[str, Tensor], Any], Tensor]

CHUNK = 2048  # samples that are differentiated through a network at once


def gradient_of(
    group: ParameterGroup, loss: Loss, batch: Any, dtype: torch.dtype = torch.float32
) -> Tensor:
    """The gradient [G, n] of a group's loss on a batch."""
    leaves = leaves_of(group, dtype)
    total = torch.zeros(networks_of(group), size_of(group), dtype=dtype, device=device_of(group))
    for chunk, share in chunks(converted(batch, dtype), CHUNK):
        total += share * _joined(_gradients(loss, leaves, chunk))
    return total


def converted(batch: Any, dtype: torch.dtype) -> Any:
    """A batch with its floating-point tensors in another precision."""
    found = {field.name: getattr(batch, field.name) for field in fields(batch)}
    return replace(
        batch,
        **{
            name: value.to(dtype)
            for name, value in found.items()
            if value is not None and value.is_floating_point()
        },
    )


def samples(batch: Any) -> int:
    """How many samples of a seed a batch has."""
    return int(batch.observation.shape[1])


def chunks(batch: Any, size: int) -> Iterator[tuple[Any, float]]:
    """The batch in parts of at most `size` samples of every seed, each with its share."""
    count = samples(batch)
    found = {field.name: getattr(batch, field.name) for field in fields(batch)}
    for start in range(0, count, size):
        rows = slice(start, min(start + size, count))
        parts = {name: None if x is None else x[:, rows] for name, x in found.items()}
        yield replace(batch, **parts), (rows.stop - rows.start) / count


class AutogradHessian:
    """Products by differentiating a chunk's loss twice, for networks of any layers."""

    def __init__(
        self, group: ParameterGroup, loss: Loss, batch: Any, dtype: torch.dtype = torch.float32
    ) -> None:
        self.networks, self.size = networks_of(group), size_of(group)
        self.dtype, self.device = dtype, device_of(group)
        self._loss = loss
        self._batch = converted(batch, dtype)
        self._leaves = leaves_of(group, dtype)

    def products(self, vectors: Tensor) -> Tensor:
        """Each block times its own vectors [G, n, b]: [G, n, b]."""
        total = torch.zeros_like(vectors)
        leaves = list(self._leaves.values())
        sizes = [leaf[0].numel() for leaf in leaves]
        for chunk, share in chunks(self._batch, CHUNK):
            gradients = _gradients(self._loss, self._leaves, chunk, differentiable=True)
            for j in range(vectors.shape[2]):
                parts = torch.split(vectors[:, :, j], sizes, dim=1)
                along = [x.reshape(leaf.shape) for x, leaf in zip(parts, leaves, strict=True)]
                found = torch.autograd.grad(
                    gradients, leaves, along, retain_graph=True, materialize_grads=True
                )
                total[:, :, j] += share * _joined(found)
        return total


def networks_of(group: ParameterGroup) -> int:
    """How many networks a group has: seeds times copies."""
    return group.parameters.flat.shape[0] * group.network.copies


def size_of(group: ParameterGroup) -> int:
    """How many parameters each of them has."""
    return group.network.parameter_slices()[-1].stop


def device_of(group: ParameterGroup) -> torch.device:
    """Where the parameters are."""
    return group.parameters.flat.device


def leaves_of(group: ParameterGroup, dtype: torch.dtype) -> dict[str, Tensor]:
    """A copy of the group's parameters, to differentiate for."""
    flat = group.parameters.flat.detach().to(dtype)
    views = group.parameters.with_flat(flat)
    return {name: view.clone().requires_grad_() for name, view in views.items()}


def _gradients(
    loss: Loss, leaves: Mapping[str, Tensor], batch: Any, differentiable: bool = False
) -> tuple[Tensor, ...]:
    return torch.autograd.grad(
        loss(leaves, batch).sum(),
        list(leaves.values()),
        create_graph=differentiable,
        materialize_grads=True,
    )


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """Tensors [G, *shape] one after the other as [G, n]."""
    return torch.cat([part.detach().flatten(1) for part in parts], dim=1)
