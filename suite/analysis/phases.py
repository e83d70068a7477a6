"""The phases of training, told by the training return (gradient-subspaces paper Eq. 6)."""

from __future__ import annotations

from typing import Literal

import numpy as np

Phase = Literal["initial", "training", "convergence"]
PHASES: tuple[Phase, ...] = ("initial", "training", "convergence")

BEGINS, CONVERGES = 0.1, 0.9  # shares of the gain in return


def phases(
    steps: np.ndarray, returns: np.ndarray, at: np.ndarray, smoothing: int
) -> tuple[list[Phase], bool]:
    """The phase at each of the steps `at`, and whether returns [E] at `steps` [E] tell it.

    Returns are averaged over `smoothing` steps to either side. Training begins where more than a
    tenth of the gain from the first to the highest return is reached for the first time;
    convergence begins at the last return before the highest that is below nine tenths. Returns that
    are unknown are left out; fewer than two, or no gain at all, tell no phase. Dips after the
    highest return count for nothing.
    """
    known = np.isfinite(returns)
    steps, returns = np.asarray(steps)[known], np.asarray(returns, float)[known]
    if len(steps) < 2:
        return ["initial"] * len(at), False
    smooth = smoothed(steps, returns, smoothing)
    gain = smooth.max() - smooth[0]
    if gain <= 0:
        return ["initial"] * len(at), False
    share = (smooth - smooth[0]) / gain
    begins = steps[np.flatnonzero(share > BEGINS)[0]]
    peak = int(np.argmax(share))
    converges = steps[np.flatnonzero(share[: peak + 1] < CONVERGES)[-1]]
    found: list[Phase] = [
        "initial" if step < begins else "training" if step < converges else "convergence"
        for step in at
    ]
    return found, True


def smoothed(steps: np.ndarray, values: np.ndarray, smoothing: int) -> np.ndarray:
    """The mean of the values [E] within `smoothing` steps to either side of each one, fewer at the
    ends."""
    near = np.abs(steps[:, None] - steps[None, :]) <= smoothing
    means: np.ndarray = (near @ values) / near.sum(axis=1)
    return means
