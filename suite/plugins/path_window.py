"""The recent path of one seed's parameters: a ring of snapshots and their Gram matrix.

Snapshots are held as increments against the snapshot before. A Gram matrix of raw snapshots in
float32 is useless when the path is short against the norm of the parameters (its rounding scales
with the norm, not with the path); the inner products of increments round relative to the
increments. Sums are in float64; only increments of large networks, where that would double the
cost of a change, are multiplied in float32, a few at a time: over many columns rounding averages
out.
A product with the Gram matrix X X' of the n snapshots x_i = x_n - sum_{j>i} e_j is

    X X' v = (|x_n|^2 s - q'c) 1 - T (q s - H c),   s = sum v,   c_j = sum_{i<j} v_i,

with H the inner products of increments, q their products with the newest snapshot, and T sums over
later entries. X X' itself is never formed, and a new snapshot costs one row of H.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from suite.plugins.eigenpairs import leading_eigenpairs

Centre = Literal["none", "mean", "first"]
BLOCK = 256  # rows whose inner products are taken at once: bounds the working memory
LARGE = 32_768  # columns of a segment from which increments are multiplied in their own type
COLUMNS = 256  # of an inner product in float32: more round worse, fewer are slower
SEEN = 1e-12  # of the largest eigenvalue: smaller ones are rounding
ROWS = 64  # of a combination in float32, for the same reason


@dataclass(frozen=True)
class Move:
    """A change of the newest snapshot, `vector` [m], and the share of its energy that is kept."""

    vector: Tensor
    kept_energy: float


class PathWindow:
    """The newest `capacity` snapshots of one path, oldest first.

    `increments` [capacity, m] is the memory to use, float32 or float64. `segments` are the column
    ranges that are decomposed apart: one for the whole vector, one per layer for the layer-wise
    variant.
    """

    def __init__(self, increments: Tensor, segments: Sequence[slice]) -> None:
        self.capacity, size = increments.shape
        self.increments = increments
        self.segments = tuple(segments)
        wide = {"dtype": torch.float64, "device": increments.device}
        self.products = torch.zeros(len(segments), self.capacity, self.capacity, **wide)  # type: ignore[call-overload]
        self.along = torch.zeros(len(segments), self.capacity, **wide)  # type: ignore[call-overload]
        self.newest = increments.new_zeros(size)
        self.count = 0
        self.oldest = 0
        self.pending = 0

    def append(self, row: Tensor) -> None:
        """Store a copy of `row` [m] as the newest snapshot; a full window drops its oldest."""
        if self.count == self.capacity:
            self.oldest = (self.oldest + 1) % self.capacity
        else:
            self.count += 1
        slot = (self.oldest + self.count - 1) % self.capacity
        torch.sub(row, self.newest, out=self.increments[slot])
        self.newest.copy_(row)
        self.pending = min(self.pending + 1, self.count)

    def replace_newest(self, row: Tensor) -> None:
        """Put a copy of `row` [m] in the place of the newest snapshot."""
        slot = (self.oldest + self.count - 1) % self.capacity
        if self.pending == 0:  # its inner products are out of date: take them back
            self.along[:, : self.count] -= self.products[:, : self.count, slot]
            self.pending = 1
        self.increments[slot] += row - self.newest
        self.newest.copy_(row)

    def clear(self) -> None:
        """Forget every snapshot."""
        self.count = self.oldest = self.pending = 0

    def rows(self) -> Tensor:
        """The snapshots [n, m], oldest first, rebuilt from the newest one to within rounding."""
        increments = torch.roll(self.increments[: self.count], -self.oldest, 0).double()
        later = increments.sum(0) - increments.cumsum(0)
        return (self.newest.double() - later).to(self.increments.dtype)

    def gram(self, segment: int = 0) -> Tensor:
        """The Gram matrix [n, n] of the snapshots in one segment, float64, oldest first."""
        self._include_pending()
        held = slice(0, self.count)
        along = torch.roll(self.along[segment, held], -self.oldest)
        products = self.products[segment, held, held]
        products = torch.roll(products, (-self.oldest, -self.oldest), (0, 1))
        newest = self.newest[self.segments[segment]].double()
        behind = _later(along, 0)  # of the newest snapshot along it
        gram = newest @ newest - behind.unsqueeze(1) - behind + _later(_later(products, 0), 1)
        gram = (gram + gram.T) / 2
        gram.diagonal().clamp_(min=0.0)  # rounding alone could make it negative
        return gram

    def combination(self, weights: Tensor, segment: slice = slice(None)) -> Tensor:
        """The weighted sum [m] of the snapshots for weights [n] in float64, oldest first."""
        earlier = torch.roll(weights.cumsum(0) - weights, self.oldest)
        combined = self.newest[segment].double() * weights.sum()
        dtype = _type_of_products(self.increments[:, segment])
        for lo in range(0, self.count, ROWS):
            few = slice(lo, min(lo + ROWS, self.count))
            combined -= earlier[few].to(dtype) @ self.increments[few, segment].to(dtype)
        return combined.to(self.increments.dtype)

    def trim_and_boost(
        self,
        trim_rank: int | None,
        boost_rank: int | None,
        boost: float,
        centre: Centre = "none",
    ) -> Move | None:
        """How PPTB changes the newest snapshot (PPTB paper Alg. 1), or None if it does not.

        With the SVD of the n snapshots, the newest one is replaced by its projection on the
        `trim_rank` leading right singular directions (None keeps it whole) plus `boost` times the
        projection of (newest - oldest) on the `boost_rank` leading ones (None takes it whole).
        `centre` subtracts the mean or the first snapshot before the SVD and adds it back. None is
        returned for a window with non-finite rows too.
        """
        trims = trim_rank is not None and trim_rank < self.count
        boosts = boost_rank != 0 and boost != 0.0
        if self.count < 2 or not (trims or boosts):
            return None
        if not self._finite():
            return None
        vector = torch.empty_like(self.newest)
        removed = total = 0.0
        for index, segment in enumerate(self.segments):
            gram = _Gram(self, index, centre)
            rank = max((trim_rank or 0) if trims else 0, (boost_rank or 0) if boosts else 0)
            rank = min(rank, self.count)
            directions = self.products.new_zeros(0, self.count)
            if rank:
                _, directions = leading_eigenpairs(
                    gram.multiply, self.count, rank, self.products.device
                )
            newest = directions.new_zeros(self.count)
            newest[-1] = 1.0
            weights = torch.zeros_like(newest)
            energy = gram.energy_of(newest)
            total += energy
            if trims and trim_rank is not None:
                weights += directions[:trim_rank, -1] @ directions[:trim_rank] - newest
                removed += min(gram.energy_of(weights), energy)
            if boosts and boost_rank is None:
                weights[-1] += boost
                weights[0] -= boost
            elif boosts:
                leading = directions[:boost_rank]
                weights += boost * (leading[:, -1] - leading[:, 0]) @ leading
            uncentred = gram.uncentre(weights.unsqueeze(0)).squeeze(0)
            vector[segment] = self.combination(uncentred, segment)
        return Move(vector, 1.0 - removed / total if total > 0.0 else 1.0)

    def differences(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues [k], descending, and eigenvectors [k, n] of the Gram matrix of the snapshots
        less the oldest, without those that rounding hides; k = 0 for non-finite rows."""
        if not self._finite():
            return self.products.new_zeros(0), self.products.new_zeros(0, self.count)
        multiply = _Gram(self, 0, "first").multiply
        values, vectors = leading_eigenpairs(
            multiply, self.count, self.count - 1, self.products.device
        )
        seen = values > SEEN * values[0]
        return values[seen], vectors[seen]

    def _finite(self) -> bool:
        """Whether all snapshots are, by their inner products, which are brought up to date."""
        self._include_pending()
        held = slice(0, self.count)
        inner = (self.along[:, held], self.products[:, held, held])
        return all(bool(torch.isfinite(part).all()) for part in inner)

    def _include_pending(self) -> None:
        """Bring the inner products up to date with the snapshots stored since the last call."""
        first = (self.oldest + self.count - self.pending) % self.capacity
        wrapped = max(0, first + self.pending - self.capacity)
        blocks: list[slice] = []
        earlier: list[tuple[slice, slice]] = []  # up to a block itself: the rest is symmetric
        last = first + self.pending - wrapped
        for start, stop, lowest in ((first, last, wrapped), (0, wrapped, 0)):
            for lo in range(start, stop, BLOCK):
                blocks.append(slice(lo, min(lo + BLOCK, stop)))
                earlier.append((slice(lowest, blocks[-1].stop), slice(stop, self.count)))
        held = slice(0, self.count)
        for index, segment in enumerate(self.segments):
            products = self.products[index]
            for block, others in zip(blocks, earlier, strict=True):
                for some in others:
                    fresh = _inner_products(self.increments[:, segment], block, some)
                    products[block, some] = fresh
                    products[some, block] = fresh.T
                own = products[block, block]
                products[block, block] = (own + own.T) / 2
            newest = self.newest[segment].double()
            for block in blocks:
                self.along[index, held] += products[held, block].sum(1)
            for block in blocks:
                for lo in range(block.start, block.stop, 16):  # few rows at once: they are widened
                    few = slice(lo, min(lo + 16, block.stop))
                    self.along[index, few] = self.increments[few, segment].double() @ newest
        self.pending = 0


def _inner_products(rows: Tensor, some: slice, others: slice) -> Tensor:
    """Inner products of some rows with others, float64 [some, others]."""
    sums = rows.new_zeros(some.stop - some.start, others.stop - others.start, dtype=torch.float64)
    dtype = _type_of_products(rows)
    for few in torch.split(rows, COLUMNS, 1):
        sums += few[some].to(dtype) @ few[others].to(dtype).T
    return sums


def _later(values: Tensor, dim: int) -> Tensor:
    """At each place, the sum of the values at later ones."""
    return values.flip(dim).cumsum(dim).flip(dim) - values


def _type_of_products(increments: Tensor) -> torch.dtype:
    return torch.float64 if increments.shape[1] < LARGE else increments.dtype


class _Gram:
    """The Gram matrix of a window's (centred) snapshots in one segment, as an operator."""

    def __init__(self, window: PathWindow, index: int, centre: Centre) -> None:
        held = slice(0, window.count)
        self.centre = centre
        self.oldest = window.oldest
        self.products = window.products[index, held, held]
        self.along = torch.roll(window.along[index, held], -window.oldest)
        newest = window.newest[window.segments[index]].double()
        self.energy = newest @ newest
        if centre != "none":  # the origin may lie anywhere: at the newest snapshot nothing cancels
            self.along = torch.zeros_like(self.along)
            self.energy = torch.zeros_like(self.energy)

    def multiply(self, weights: Tensor) -> Tensor:
        """Rows of weights times the Gram matrix: float64 [c, n] -> [c, n]."""
        weights = self.uncentre(weights)
        running = weights.cumsum(1)
        total = running[:, -1:]
        earlier = running - weights
        # The products are symmetric, and the transposed matrix is multiplied faster.
        turned = torch.roll(earlier, self.oldest, 1) @ self.products.T
        crossed = torch.roll(turned, -self.oldest, 1)
        behind = self.along * total - crossed
        later = behind.sum(1, keepdim=True) - behind.cumsum(1)
        product = self.energy * total - (earlier @ self.along).unsqueeze(1) - later
        if self.centre == "mean":
            return product - product.mean(1, keepdim=True)
        if self.centre == "first":
            return product - product[:, :1]
        return product

    def energy_of(self, weights: Tensor) -> float:
        """Squared norm of the weighted sum; rounding alone could make it negative."""
        return max(0.0, float(self.multiply(weights.unsqueeze(0)).squeeze(0) @ weights))

    def uncentre(self, weights: Tensor) -> Tensor:
        """Weights [c, n] of the snapshots for the vectors that `weights` make of centred ones."""
        if self.centre == "mean":
            return weights - weights.mean(1, keepdim=True)
        if self.centre == "first":
            return torch.cat((weights[:, :1] - weights.sum(1, keepdim=True), weights[:, 1:]), 1)
        return weights
