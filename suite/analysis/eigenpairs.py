"""Eigenpairs of Hessians: the k largest, smallest or of largest magnitude, with their residuals.

An eigenvector of a Hessian of G blocks (`suite.analysis.curvature`) lies in one of them and is 0 in
the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor

from suite.analysis.curvature import Hessian
from suite.stacked.streams import SeedStreams

Order = Literal["algebraic", "magnitude", "smallest"]

MOST_BASIS = 1024  # vectors of a block before the best of them go on alone
CHECK_GROWTH = 1.04  # a basis grows this much between two looks at what has converged
INSIDE = 0.5  # of a unit vector's length outside a space: below it the vector tells nothing new
CLOSED = 1e4  # so many roundings leave a space: it may be closed, which a look at more of it tells
SAME = 100.0  # values that differ by so many roundings are equal
ROUNDING = 0.5  # products are right to so many roundings of the largest value


@dataclass(frozen=True)
class Eigenpairs:
    """Values [k] in their order (descending; by magnitude; ascending), vectors [G, n, k], and
    residuals [k]: |H v - value v| over |value|, of each pair itself.

    `products` is how many vectors each block was multiplied with to find them, along with those of
    other orders.
    """

    values: Tensor
    vectors: Tensor
    residuals: Tensor
    products: int

    @property
    def flat(self) -> Tensor:
        """The vectors [G * n, k]."""
        return self.vectors.flatten(0, 1)


def in_order(values: Tensor, order: Order) -> Tensor:
    """The places of eigenvalues [..., n] in an order."""
    keys = {"algebraic": -values, "magnitude": -values.abs(), "smallest": values}
    return torch.argsort(keys[order], stable=True)


def explicit_eigenpairs(blocks: Tensor, k: int, orders: Sequence[Order]) -> dict[Order, Eigenpairs]:
    """Those of whole blocks [G, n, n], by LAPACK in float64."""
    blocks = blocks.double()
    values, vectors = torch.linalg.eigh(blocks)
    unit = torch.eye(blocks.shape[2], dtype=blocks.dtype, device=blocks.device).expand_as(blocks)
    found = _Ritz(values, vectors, torch.zeros_like(values), unit, blocks)
    return {order: found.pairs(order, k, blocks.shape[2]) for order in orders}


def block_lanczos(
    hessian: Hessian,
    k: int,
    orders: Sequence[Order],
    tolerance: float = 1e-4,
    seed: int = 0,
    block: int = 4,
    most_basis: int = MOST_BASIS,
) -> dict[Order, Eigenpairs]:
    """Those of a Hessian that is known by its products, for several orders at once.

    Every block has a Krylov space of its own, from `block` random vectors, that is fully
    orthogonalised and grows until each wanted pair's residual is below `tolerance` times its value,
    or below the products' rounding. A space of `most_basis` vectors, or four times the pairs of all
    orders if these are more, is condensed to its best half. A space that the Hessian maps into
    itself may lack pairs of equal values: it grows by others until that changes no wanted value.

    Raises ValueError when the Hessian has fewer than k pairs.
    """
    g, n = hessian.networks, hessian.size
    if k > g * n:
        raise ValueError(f"{k} eigenpairs of a Hessian that has {g * n}: ask for fewer")
    following = _first_block(hessian, min(block, n), seed)
    # What is left of a condensed space must hold all wanted pairs and others, or it never ends.
    space = _Space(following, min(n, max(most_basis, 4 * k * len(orders))), seed)
    products, check = 0, -(-k // g)  # below it, all spaces together have fewer than k pairs
    wanted = None
    while True:
        products += following.shape[2]
        rest = n - space.size - following.shape[2]
        following = space.extend(following, hessian.products(following), min(block, rest))
        full = space.size + following.shape[2] > space.most
        if space.size < check and not full and following.shape[2]:
            continue
        ritz = space.ritz()
        before, wanted = wanted, ritz.firsts(k, orders)
        known = not ritz.closed or (before is not None and ritz.same(before, wanted))
        if not following.shape[2] or (known and ritz.converged(k, orders, tolerance)):
            return {order: ritz.pairs(order, k, products) for order in orders}
        check = int(CHECK_GROWTH * space.size) + 1
        if full:
            space.condense(ritz, space.most // 2, orders)


def scipy_lanczos(
    hessian: Hessian, k: int, order: Order, tolerance: float = 1e-4, seed: int = 0
) -> Eigenpairs:
    """Those of ARPACK, as the paper's authors find them, for comparison: one vector at a time, over
    all blocks together."""
    g, n = hessian.networks, hessian.size
    count = 0

    def times(vector: np.ndarray) -> np.ndarray:
        nonlocal count
        count += 1
        column = torch.as_tensor(vector, dtype=hessian.dtype, device=hessian.device)
        return hessian.products(column.view(g, n, 1)).flatten().cpu().numpy()

    kind = torch.empty(0, dtype=hessian.dtype).numpy().dtype
    which = {"algebraic": "LA", "magnitude": "LM", "smallest": "SA"}[order]
    first = _first_block(hessian, 1, seed).flatten().numpy()
    operator = LinearOperator((g * n, g * n), matvec=times, dtype=kind)
    values, vectors = eigsh(operator, k, which=which, tol=tolerance, v0=first)
    places = in_order(torch.as_tensor(values), order)
    values, flat = torch.as_tensor(values)[places], torch.as_tensor(vectors)[:, places]
    blocks = flat.reshape(g, n, k)
    missed = (hessian.products(blocks) - blocks * values).flatten(0, 1).norm(dim=0)
    return Eigenpairs(values.double(), blocks, missed.double() / values.abs(), count)


def _first_block(hessian: Hessian, width: int, seed: int) -> Tensor:
    """Random orthonormal vectors [G, n, width]."""
    streams = SeedStreams([seed], "analysis/eigenpairs")
    drawn = torch.from_numpy(streams.normal(hessian.networks, hessian.size, width)[0])
    first: Tensor = torch.linalg.qr(drawn.to(hessian.device, hessian.dtype)).Q
    return first


class _Space:
    """An orthonormal basis of each block's space, what the Hessian makes of it, and the Hessian
    within it, in float64; there is room for `most` vectors a block, which are kept as rows."""

    def __init__(self, like: Tensor, most: int, seed: int) -> None:
        g, n, _ = like.shape
        self._streams = SeedStreams([seed], "analysis/eigenpairs/others")
        self.size, self.most = 0, most
        self._basis = like.new_empty(g, most, n)
        self._changed = like.new_empty(g, most, n)
        self._inner = like.new_zeros(g, most, most, dtype=torch.float64)
        self._newest = 0
        self._leading = self._inner

    def extend(self, new: Tensor, changed: Tensor, width: int) -> Tensor:
        """Take in orthonormal vectors [G, n, b] outside the space, with what the Hessian makes of
        them; returns the next ones, [G, n, width]."""
        rows = slice(self.size, self.size + new.shape[2])
        self.size, self._newest = rows.stop, new.shape[2]
        self._basis[:, rows], self._changed[:, rows] = new.mT, changed.mT
        basis, changed_rows = self._basis[:, : self.size], self._changed[:, rows]
        within = changed_rows @ basis.mT
        self._inner[:, rows, : self.size] = within.double()
        self._inner[:, : self.size, rows] = within.mT.double()
        outside = changed_rows - within @ basis
        outside -= (outside @ basis.mT) @ basis
        following = torch.linalg.qr(outside.mT).Q[:, :, :width].mT
        following = following - (following @ basis.mT) @ basis
        inside = following.norm(dim=2, keepdim=True) < INSIDE
        if bool(inside.any()):  # the factor of columns that depend on each other is anything
            following = torch.where(inside, self._others(following), following)
            for _ in range(2):
                following = following - (following @ basis.mT) @ basis
        orthonormal: Tensor = torch.linalg.qr(following.mT).Q
        self._leading = (outside @ orthonormal).mT.double()
        return orthonormal

    def _others(self, like: Tensor) -> Tensor:
        """Random vectors."""
        drawn = torch.from_numpy(self._streams.normal(*like.shape)[0])
        return torch.nn.functional.normalize(drawn.to(like.device, like.dtype), dim=2)

    def ritz(self) -> _Ritz:
        """The eigenpairs within the space."""
        inner = self._inner[:, : self.size, : self.size]
        values, vectors = torch.linalg.eigh((inner + inner.mT) / 2)
        missed = (self._leading @ vectors[:, -self._newest :]).norm(dim=1)
        parts = (self._basis[:, : self.size].mT, self._changed[:, : self.size].mT)
        return _Ritz(values, vectors, missed, *parts)

    def condense(self, ritz: _Ritz, keep: int, orders: Sequence[Order]) -> None:
        """Go on with the `keep` eigenvectors of each block that come first in one of the orders.
        What the Hessian makes of them lies in their space and the next vectors, as before."""
        ranks = [torch.argsort(in_order(ritz.values, order), dim=1) for order in orders]
        places = torch.argsort(torch.stack(ranks).amin(dim=0), dim=1, stable=True)[:, :keep]
        chosen = torch.take_along_dim(ritz.vectors, places[:, None], dim=2)
        for room, part in ((self._basis, ritz.basis), (self._changed, ritz.changed)):
            room[:, :keep] = (part @ chosen.to(part.dtype)).mT
        self._inner.zero_()
        values = torch.take_along_dim(ritz.values, places, dim=1)
        self._inner[:, :keep, :keep] = torch.diag_embed(values)
        self.size = keep


@dataclass(frozen=True)
class _Ritz:
    """Eigenvalues [G, j] and eigenvectors [G, j, j] of Hessians within spaces, how much of what a
    Hessian makes of each eigenvector lies outside [G, j], the basis and what becomes of it
    [G, n, j]."""

    values: Tensor
    vectors: Tensor
    missed: Tensor
    basis: Tensor
    changed: Tensor

    @property
    def rounding(self) -> float:
        """How far products are from right."""
        return ROUNDING * torch.finfo(self.basis.dtype).eps * float(self.values.abs().max())

    @property
    def closed(self) -> bool:
        """Whether the Hessian maps one of the spaces into itself."""
        return bool((self.missed.amax(dim=1) <= CLOSED * self.rounding).any())

    def firsts(self, k: int, orders: Sequence[Order]) -> Tensor:
        """The first k values of each order, one order after the other."""
        values = self.values.flatten()
        return torch.cat([values[in_order(values, order)[:k]] for order in orders])

    def same(self, one: Tensor, other: Tensor) -> bool:
        """Whether values are equal but for rounding."""
        return bool(((one - other).abs() <= SAME * self.rounding).all())

    def converged(self, k: int, orders: Sequence[Order], tolerance: float) -> bool:
        values, missed = self.values.flatten(), self.missed.flatten()
        for order in orders:
            places = in_order(values, order)[:k]
            bounds = (tolerance * values[places].abs()).clamp(min=self.rounding)
            if bool((missed[places] > bounds).any()):
                return False
        return True

    def pairs(self, order: Order, k: int, products: int) -> Eigenpairs:
        places = in_order(self.values.flatten(), order)[:k]
        g, n, size = self.basis.shape
        values = self.values.flatten()[places]
        vectors = self.basis.new_zeros(g, n, k)
        residuals = torch.empty_like(values)
        for number in range(g):
            own = places // size == number
            inner = self.vectors[number][:, places[own] % size].to(self.basis.dtype)
            here = self.basis[number] @ inner
            vectors[number][:, own] = here
            off = self.changed[number] @ inner - here * values[own].to(here.dtype)
            residuals[own] = off.double().norm(dim=0)
        return Eigenpairs(values, vectors, residuals / values.abs(), products)
