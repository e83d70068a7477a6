"""Hessians of an agent's losses: their products, and whole ones.

A Hessian has one block for each network of a stack (seeds, twin critics), as these share no
parameters and no sample's loss, and every product is with all blocks at once.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from suite.analysis.derivatives import AutogradHessian, Loss
from suite.analysis.perceptron_hessian import (
    PerceptronHessian,
    ShallowHessian,
    is_perceptron,
    is_shallow,
)
from suite.stacked.parameters import ParameterGroup


class Hessian(Protocol):
    """The Hessian of one group's loss: a block [n, n] for each of G = S * copies networks, where n
    counts the parameters of one network, in the order of its slices and without padding."""

    networks: int
    size: int
    dtype: torch.dtype
    device: torch.device

    def products(self, vectors: Tensor) -> Tensor:
        """Each block times its own vectors [G, n, b]: [G, n, b]."""
        ...


def hessian_of(
    group: ParameterGroup, loss: Loss, batch: Any, dtype: torch.dtype = torch.float32
) -> Hessian:
    """The Hessian of a group's loss on a batch, in float32 or float64.

    Networks of nothing but linear layers and activations have their products by hand; others by
    differentiating twice.
    """
    if not is_perceptron(group.network):
        return AutogradHessian(group, loss, batch, dtype)
    chosen = ShallowHessian if is_shallow(group.network) else PerceptronHessian
    return chosen(group, loss, batch, dtype)


def explicit_hessian(hessian: Hessian, block: int = 64) -> Tensor:
    """The whole blocks [G, n, n], made symmetric, from n products."""
    unit = torch.eye(hessian.size, dtype=hessian.dtype, device=hessian.device)
    columns = [
        hessian.products(unit[:, start : start + block].expand(hessian.networks, -1, -1))
        for start in range(0, hessian.size, block)
    ]
    whole = torch.cat(columns, dim=2)
    return (whole + whole.mT) / 2
