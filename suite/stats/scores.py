"""What a paper's table prints about learning curves.

Curves are float64 arrays [S, E]: S seeds, E evaluations, the first before any training.
Definitions follow the PPTB paper (§5.1): the score is the best evaluation of the across-seed mean,
the AUC the mean over evaluations of the across-seed mean.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Curves = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """The best evaluation of the across-seed mean curve."""

    value: float
    """Across-seed mean return there."""
    deviation: float
    """Population standard deviation over seeds there."""
    step: float
    """Training step of that evaluation; the earliest on a tie."""
    per_seed: Curves
    """[S] each seed's return at that step; their mean is `value`."""


def score(curves: ArrayLike, steps: ArrayLike) -> Score:
    """Score of curves [S, E] evaluated at steps [E]."""
    values, at = _checked(curves, steps)
    best = int(np.argmax(values.mean(axis=0)))
    column = values[:, best]
    return Score(float(column.mean()), float(column.std()), float(at[best]), column)


def best_per_seed(curves: ArrayLike) -> Curves:
    """[S] each seed's own best evaluation; their mean is at least the score."""
    best: Curves = _checked(curves)[0].max(axis=1)
    return best


def auc_per_seed(curves: ArrayLike, *, with_first: bool = True) -> Curves:
    """[S] mean over evaluations; their mean is the AUC.

    `with_first` includes the first evaluation, that of the untrained agent.
    """
    values, _ = _checked(curves)
    if not with_first and values.shape[1] == 1:
        raise ValueError("curves of one evaluation have no AUC without their first evaluation")
    areas: Curves = values[:, 0 if with_first else 1 :].mean(axis=1)
    return areas


def auc(curves: ArrayLike, *, with_first: bool = True) -> float:
    """Mean over evaluations of the across-seed mean."""
    return float(auc_per_seed(curves, with_first=with_first).mean())


def final_per_seed(curves: ArrayLike) -> Curves:
    """[S] each seed's last evaluation."""
    return _checked(curves)[0][:, -1]


def _checked(curves: ArrayLike, steps: ArrayLike | None = None) -> tuple[Curves, Curves]:
    values = np.asarray(curves, dtype=np.float64)
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(f"curves are [seeds, evaluations], none empty; these are {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("curves hold values that are not finite: leave out diverged seeds first")
    at = np.arange(values.shape[1]) if steps is None else np.asarray(steps)
    if at.shape != values.shape[1:]:
        raise ValueError(f"{values.shape[1]} evaluations, but steps of shape {at.shape}")
    return values, at.astype(np.float64)
