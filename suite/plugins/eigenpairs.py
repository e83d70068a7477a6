"""Leading eigenpairs of a large symmetric positive semi-definite operator."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

DENSE_SIZE = 512  # up to here one dense decomposition is the faster way
WIDTH = 8  # vectors multiplied at once: a product of eight costs about as much as three single ones
FLOOR = 4e-16  # no residual can fall below rounding of the largest eigenvalue


def leading_eigenpairs(
    multiply: Callable[[Tensor], Tensor], size: int, count: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """The `count` largest eigenvalues [count], descending, and eigenvectors [count, size] as rows.

    `multiply` maps rows [c, size] in float64 to their products with the operator, [c, size]. Above
    `DENSE_SIZE` this is block Lanczos with full reorthogonalisation from fixed start vectors: it
    draws no random numbers and stops when every residual is below 1e-10 of its eigenvalue. Where
    that can't see the answer (an exhausted Krylov space, as with many equal eigenvalues) the
    operator is made dense and decomposed whole.
    """
    if size > DENSE_SIZE and 3 * count < size:
        found = _block_lanczos(multiply, size, count, device)
        if found is not None:
            return found
    matrix = multiply(torch.eye(size, dtype=torch.float64, device=device))
    values, vectors = torch.linalg.eigh((matrix + matrix.T).div_(2))
    return values[-count:].flip(0), vectors[:, -count:].flip(1).T


def _block_lanczos(
    multiply: Callable[[Tensor], Tensor], size: int, count: int, device: torch.device
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
            if bool((residuals <= torch.clamp(1e-10 * values, min=FLOOR * largest)).all()):
                return values.to(device), vectors.T.to(device) @ known
        if step + 1 < limit:
            projected[behind, own] = coupling.cpu()
    return None
