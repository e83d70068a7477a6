"""Leading eigenpairs of a large symmetric positive semi-definite operator."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

Multiply = Callable[[Tensor], Tensor]
DENSE_SIZE = 512  # up to here one dense decomposition is the faster way
WIDTH = 8  # vectors multiplied at once: a product of eight costs about as much as three single ones
FLOOR = 4e-16  # no residual can fall below rounding of the largest eigenvalue
POWER_STEPS = 12  # suffice where one eigenvalue is more than about 15 times the others


def leading_eigenpairs(
    multiply: Multiply, size: int, count: int, device: torch.device, towers: int = 2
) -> tuple[Tensor, Tensor]:
    """The `count` largest eigenvalues [count], descending, and eigenvectors [count, size] as rows.

    `multiply` maps rows [c, size] in float64 to their products with the operator, [c, size].
    Up to `towers` eigenvalues that tower above the others, as that of a path far from the origin
    and that of a steady drift, are split off first: the small ones would drown in their rounding.
    """
    top = _towering(multiply, size, device) if towers and size > 1 else None
    if top is None:
        return _eigenpairs(multiply, size, count, device)
    value, vector = top
    mirror = vector.clone()  # the reflection that swaps the vector and the first axis, up to sign
    mirror[0] += torch.copysign(torch.ones_like(mirror[0]), mirror[0])
    mirror /= mirror.norm()

    def reflect(rows: Tensor) -> Tensor:
        return rows - 2 * (rows @ mirror).unsqueeze(1) * mirror

    def lift(rows: Tensor) -> Tensor:
        return reflect(torch.nn.functional.pad(rows, (1, 0)))

    def multiply_rest(rows: Tensor) -> Tensor:
        return reflect(multiply(lift(rows)))[:, 1:]

    fewer = min(count, size - 1)
    values, vectors = leading_eigenpairs(multiply_rest, size - 1, fewer, device, towers - 1)
    values = torch.cat((value.unsqueeze(0), values))
    vectors = torch.cat((vector.unsqueeze(0), lift(vectors)))
    order = values.argsort(descending=True, stable=True)[:count]
    return values[order], vectors[order]


def _towering(multiply: Multiply, size: int, device: torch.device) -> tuple[Tensor, Tensor] | None:
    """The eigenpair that power iteration from a ramp finds, if it does so soon."""
    vector = torch.linspace(1.0, 2.0, size, dtype=torch.float64, device=device)
    vector /= vector.norm()
    before = math.inf
    for step in range(POWER_STEPS):
        product = multiply(vector.unsqueeze(0)).squeeze(0)
        value = product.norm()
        following = product / value
        change = float((following - vector).norm())
        vector = following
        if change <= 1e-14:
            return value, vector
        if step >= 2 and change > before / 3:  # too slow to arrive
            return None
        before = change
    return None


def _eigenpairs(
    multiply: Multiply, size: int, count: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Above `DENSE_SIZE` this is block Lanczos with full reorthogonalisation from fixed start
    vectors: it draws no random numbers and stops when no residual is above 1e-10 of the smallest
    eigenvalue asked for. Where that can't see the answer (an exhausted Krylov space, as with many
    equal eigenvalues) the operator is made dense and decomposed whole.
    """
    if size > DENSE_SIZE and 3 * count < size:
        found = _block_lanczos(multiply, size, count, device)
        if found is not None:
            return found
    matrix = multiply(torch.eye(size, dtype=torch.float64, device=device))
    values, vectors = torch.linalg.eigh((matrix + matrix.T).div_(2))
    return values[-count:].flip(0), vectors[:, -count:].flip(1).T


def _block_lanczos(
    multiply: Multiply, size: int, count: int, device: torch.device
) -> tuple[Tensor, Tensor] | None:
    limit = min(size, 6 * count + 15 * WIDTH) // WIDTH
    basis = torch.empty((limit + 1) * WIDTH, size, dtype=torch.float64, device=device)
    projected = torch.zeros(limit * WIDTH, limit * WIDTH, dtype=torch.float64)
    place = torch.arange(size, dtype=torch.float64, device=device)
    phase = torch.arange(WIDTH, dtype=torch.float64, device=device).unsqueeze(1)
    basis[:WIDTH] = torch.linalg.qr((place.square() + phase * place).cos().T)[0].T
    for step in range(limit):
        own = slice(step * WIDTH, (step + 1) * WIDTH)
        behind = slice(own.stop, own.stop + WIDTH)
        block = multiply(basis[own])
        known = basis[: own.stop]
        for _ in range(2):  # one pass leaves rounding of the large eigenvalues behind
            overlap = block @ known.T
            projected[own, own] += overlap[:, own].cpu()
            block = block - overlap @ known
        following, coupling = torch.linalg.qr(block.T)
        largest = float(projected.diagonal().max())
        if float(coupling.diagonal().abs().min()) <= FLOOR * largest:
            return None
        basis[behind] = following.T
        if own.stop >= count + 4 * WIDTH and step % 2:
            # The projected operator is block tridiagonal; eigh reads the lower triangle.
            values, vectors = torch.linalg.eigh(projected[: own.stop, : own.stop])
            values, vectors = values[-count:].flip(0), vectors[:, -count:].flip(1)
            residuals = (coupling.cpu() @ vectors[own]).norm(dim=0)
            if float(residuals.max()) <= max(1e-10 * float(values[-1]), FLOOR * largest):
                return values.to(device), vectors.T.to(device) @ known
        if step + 1 < limit:
            projected[behind, own] = coupling.cpu()
    return None
