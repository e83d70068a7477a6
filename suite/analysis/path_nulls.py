"""Gram matrices of paths that learn nothing: what a policy's path has to differ from.

They are those of paths in very many dimensions, where independent steps are orthogonal, so that
nothing is drawn (Antognini and Sohl-Dickstein, NeurIPS 2018). Steps are between snapshots.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg


def step_energies(gram: np.ndarray) -> np.ndarray:
    """Squared lengths [n-1] of a path's steps from its Gram matrix [n, n]."""
    energies = np.diag(gram)
    between = np.diag(gram, 1)
    steps: np.ndarray = np.clip(energies[1:] - 2 * between + energies[:-1], 0.0, None)
    return steps


def walk_gram(energies: np.ndarray) -> np.ndarray:
    """The Gram matrix [n, n] of a walk from the origin by independent steps of these squared
    lengths [n-1]."""
    travelled = np.concatenate(([0.0], np.cumsum(energies)))
    return np.minimum.outer(travelled, travelled)


def fitted_gram(gram: np.ndarray) -> np.ndarray:
    """The Gram matrix of a path with the start of a given one, its squared step lengths, and its
    mean drift: all of it that is not explained by start and drift is a walk.

    The drift d of N steps is that of a walk's end, |x_n - x_0|^2 = N^2 |d|^2 + sum (|step|^2 -
    |d|^2); drift and start keep the angle that displacement and start have.
    """
    steps = len(gram) - 1
    energies = step_energies(gram)
    start, end = gram[0, 0], gram[-1, -1]
    displacement = max(end - 2 * gram[0, -1] + start, 0.0)
    drift = max(0.0, (displacement - energies.sum()) / max(steps**2 - steps, 1))
    reach = np.sqrt(displacement * start)
    cosine = (gram[0, -1] - start) / reach if reach > 0 else 0.0
    along = float(np.clip(cosine, -1, 1)) * np.sqrt(start * drift)
    time = np.arange(steps + 1.0)
    steady = start + along * np.add.outer(time, time) + drift * np.outer(time, time)
    return np.asarray(steady + walk_gram(np.clip(energies - drift, 0.0, None)))


def noise_gram(
    start: float, parameters: int, snapshots: int, every: float, learning_rate: float, beta1: float
) -> np.ndarray:
    """The Gram matrix of what Adam makes of gradients of independent noise: a snapshot every so
    many updates, from one of squared norm `start`, which no move is along.

    Adam divides by a running mean of squares, which hardly varies for noise of one size, and so
    moves every parameter by `learning_rate` times a running mean of unit noise, whose covariance at
    a lag h is (1 - beta1) / (1 + beta1) beta1^h.
    """
    updates = round(every)
    apart = np.arange(1 - updates, updates)
    pairs = updates - np.abs(apart)
    lags = np.abs(np.arange(snapshots - 1)[:, None] * updates + apart)
    covariance = (1 - beta1) / (1 + beta1) * (beta1**lags @ pairs)
    moves = learning_rate**2 * parameters * linalg.toeplitz(covariance)
    path = np.zeros((snapshots, snapshots))
    path[1:, 1:] = moves.cumsum(axis=0).cumsum(axis=1)
    return start + path
