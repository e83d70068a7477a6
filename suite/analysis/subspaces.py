"""Subspaces and vectors in R^n: how much of one lies in the other, and how much would by chance.

Bases are orthonormal columns [n, k] in the order of their importance, so that the first j of them
are the basis of every smaller subspace.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg, stats

LEAST_LOG = -300.0  # float64 holds no probability far below it


def fractions(basis: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Share of a vector's [n] squared length in the span of the first 1, 2, ..., k columns, [k]
    (gradient-subspaces paper Eq. 5). Not a number for the zero vector."""
    length = float(np.dot(vector, vector))
    if length == 0:
        return np.full(basis.shape[1], np.nan)
    found: np.ndarray = np.minimum(np.cumsum((basis.T @ vector) ** 2) / length, 1.0)
    return found


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Mean squared cosine of the principal angles of two subspaces of k dimensions (Eq. 7)."""
    return float(((one.T @ other) ** 2).sum() / one.shape[1])


def overlaps(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The overlap of the first 1, 2, ..., k columns of both, [k]."""
    squares = np.cumsum(np.cumsum((one.T @ other) ** 2, axis=0), axis=1)
    found: np.ndarray = np.diagonal(squares) / np.arange(1, one.shape[1] + 1)
    return found


def principal_angles(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The principal angles between two subspaces, ascending, in radians, [k]."""
    # SciPy's small angles come from sines and large ones from cosines: out of order by rounding.
    angles: np.ndarray = np.sort(linalg.subspace_angles(one, other))
    return angles


def chance(k: int, n: int) -> float:
    """The expected fraction, and overlap, of a random subspace: k / n."""
    return k / n


def log_probability(fraction: float, k: int, n: int) -> float:
    """log10 of the probability that a random k-dimensional subspace of R^n holds this fraction of
    a vector or more, by Beta(k/2, (n-k)/2); -300 stands for all below."""
    found = float(stats.beta(k / 2, (n - k) / 2).logsf(fraction) / np.log(10))
    return max(found, LEAST_LOG)


def stability(between: float, ceilings: tuple[float, float], k: int, n: int) -> float:
    """An overlap of two estimated subspaces in units of what it could be, 0 at chance.

    `ceilings` are the overlaps of independent estimates of each one: their geometric mean is what
    estimates of equal subspaces would have (as correlations are corrected for attenuation). Not a
    number where a ceiling is no higher than chance.
    """
    at_chance = chance(k, n)
    above = [ceiling - at_chance for ceiling in ceilings]
    if min(above) <= 0:
        return float("nan")
    return (between - at_chance) / float(np.sqrt(above[0] * above[1]))
