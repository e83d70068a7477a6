"""The temporal SVD of a policy path, and how far parameters travel against how far they get.

Definitions follow Tang et al. (NeurIPS 2024), Sec. 3. A path is an array of snapshots [n, m],
oldest first; its SVD is not centred.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class PathSpectrum:
    """Singular values [d], descending, and coordinate curves [n, d]: column k over time.

    d = min(n, m). Signs are chosen so that every curve ends no lower than it starts.
    """

    singular_values: np.ndarray
    coordinates: np.ndarray


def path_spectrum(path: np.ndarray) -> PathSpectrum:
    """The SVD of a path [n, m] by its n x n Gram matrix, in float64.

    Singular values below about 1e-8 of the largest one are rounding.
    """
    wide = np.asarray(path, np.float64)
    return spectrum_of_gram(wide @ wide.T, min(wide.shape))


def spectrum_of_gram(gram: np.ndarray, rank: int) -> PathSpectrum:
    """The SVD of a path of at most this rank from its Gram matrix [n, n] in float64."""
    values, vectors = np.linalg.eigh(gram)
    return spectrum_of_pairs(values[len(gram) - rank :], vectors[:, len(gram) - rank :])


def spectrum_of_pairs(values: np.ndarray, vectors: np.ndarray) -> PathSpectrum:
    """The SVD of a path from eigenvalues [d], ascending, and eigenvectors [n, d] of its Gram
    matrix."""
    values, vectors = values[::-1], vectors[:, ::-1]
    falling = vectors[-1] < vectors[0]
    return PathSpectrum(np.sqrt(np.clip(values, 0.0, None)), np.where(falling, -vectors, vectors))


def information(singular_values: np.ndarray) -> np.ndarray:
    """Information amount a_k [d]: share of the k largest singular values in the sum of all."""
    running = np.cumsum(singular_values)
    share: np.ndarray = running / running[-1]
    return share


def major_dimensionality(singular_values: np.ndarray, beta: float, rounding: float = 1e-10) -> int:
    """D(beta): least k whose information reaches beta; singular values below `rounding` of the
    largest count as zero, so D(1) is the rank."""
    kept = singular_values[singular_values > rounding * singular_values[0]]
    return int(np.searchsorted(information(kept), beta - 1e-12)) + 1


def accumulated_change(path: np.ndarray) -> np.ndarray:
    """Sum over time of each parameter's absolute change, [n, m] -> [m]."""
    change: np.ndarray = np.abs(np.diff(np.asarray(path, np.float64), axis=0)).sum(axis=0)
    return change


def final_change(path: np.ndarray) -> np.ndarray:
    """Absolute difference of last and first, [n, m] -> [m]."""
    change: np.ndarray = np.abs(np.asarray(path[-1], np.float64) - np.asarray(path[0], np.float64))
    return change


def detour_ratio(path: np.ndarray) -> np.ndarray:
    """Accumulated over final change, [n, m] -> [m], at least 1; infinite where a parameter ends
    where it began. It grows with the number of snapshots: give the sampling interval with it."""
    accumulated, final = accumulated_change(path), final_change(path)
    ratio = np.full(accumulated.shape, np.inf)
    np.divide(accumulated, final, out=ratio, where=final > 0)
    return ratio


def monotonicity(curve: np.ndarray) -> float:
    """|Spearman's correlation| of a curve [n] with time; 0 where it never changes."""
    if np.ptp(curve) == 0:
        return 0.0
    return abs(float(stats.spearmanr(curve, np.arange(len(curve))).statistic))


def one_way(curve: np.ndarray) -> float:
    """Share of a curve's [n] changes that go where its end lies from its start."""
    changes = np.diff(curve)
    return float((changes * (curve[-1] - curve[0]) > 0).mean())


def dominant_frequencies(curves: np.ndarray) -> np.ndarray:
    """The bin of each column's [n, d] discrete Fourier transform that holds most, its mean left
    out: periods within the path, [d]."""
    amplitudes = np.abs(np.fft.rfft(curves - curves.mean(axis=0), axis=0))
    bins: np.ndarray = np.argmax(amplitudes[1:], axis=0) + 1
    return bins


def sign_changes(curves: np.ndarray) -> np.ndarray:
    """How often each column of [n, d] changes sign, zeros left out; [d]."""
    counts = [np.count_nonzero(np.diff(np.sign(curve[curve != 0]))) for curve in curves.T]
    return np.array(counts)
