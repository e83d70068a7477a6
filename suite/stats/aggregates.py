"""What is reported of an algorithm over several tasks (Agarwal et al., NeurIPS 2021).

Scores are one array [S] of float64 per task, one value a seed; tasks may have unequal numbers of
seeds. Put them on one scale first: `normalised`. Every aggregate comes with its interval, which is
made as in `suite.stats.intervals`; that of the median is the bootstrap's alone, because no t exists
for it, and too narrow below ten seeds.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from suite.stats.intervals import (
    USUAL,
    Interval,
    Part,
    Precision,
    Sample,
    bootstrapped,
    checked,
    contrast,
    from_parts,
    trimmed,
)


def normalised(scores: ArrayLike, *, random: float, base: float) -> Sample:
    """Scores in units of what a base gains over random play: 0 is random, 1 the base.

    Raises ValueError where the base does not gain.
    """
    if not base > random:
        raise ValueError(f"the base's score {base:g} is not above random play's, {random:g}")
    units: Sample = (np.asarray(scores, dtype=np.float64) - random) / (base - random)
    return units


def mean(scores: Sequence[Sample], *, precision: Precision = USUAL) -> Interval:
    """Mean over tasks of the mean over seeds."""
    return contrast(scores, [1 / len(scores)] * len(scores), precision=precision)


def median(scores: Sequence[Sample], *, precision: Precision = USUAL) -> Interval:
    """Median over tasks of the mean over seeds."""
    samples = checked(scores)

    def statistic(*drawn: Sample, axis: int = -1) -> Any:
        # Jackknifed samples are broadcast: means have the shapes of what is drawn.
        means = np.broadcast_arrays(*(x.mean(axis=axis) for x in drawn))
        return np.median(np.stack(means), axis=0)

    observed = float(statistic(*samples))
    if all(np.ptp(sample) == 0 for sample in samples):
        return Interval(observed, observed, observed, "constant", lambda _: (observed, observed))
    ends, method = bootstrapped(samples, statistic, precision)
    return Interval(observed, *ends(precision.confidence), method, ends)


def iqm(scores: Sequence[Sample], *, precision: Precision = USUAL) -> Interval:
    """Interquartile mean: of all values together, without the lowest and highest quarter."""
    return trimmed(scores, precision=precision)


def optimality_gap(
    scores: Sequence[Sample], *, target: float = 1.0, precision: Precision = USUAL
) -> Interval:
    """How far scores fall short of a target on average; what lies above it counts as the target."""
    return mean([target - np.minimum(x, target) for x in scores], precision=precision)


def probability_of_improvement(
    treatment: Sequence[Sample], control: Sequence[Sample], *, precision: Precision = USUAL
) -> Interval:
    """Mean over tasks of the probability that a treated seed is better than an untreated one.

    Ties count half (Mann and Whitney's U). t has the variance of DeLong et al. (Biometrics 1988).
    Without an effect, all treated seeds are better in a share of cases that depends on the numbers
    of seeds: below that error rate the interval is open.
    """
    tasks = len(treatment)
    above, below = checked(treatment), checked(control)

    def statistic(*drawn: Sample, axis: int = -1) -> Any:
        return sum(map(_share_above, drawn[:tasks], drawn[tasks:])) / tasks

    parts = []
    for x, y in zip(above, below, strict=True):
        wins = _wins(x, y)
        parts += [Part.of_mean(wins.mean(axis=-1), 1 / tasks)]
        parts += [Part.of_mean(wins.mean(axis=-2), 1 / tasks)]
    seen = from_parts([*above, *below], statistic, parts, precision)
    orders = [math.comb(len(x) + len(y), len(x)) for x, y in zip(above, below, strict=True)]
    limited = seen.no_surer_than(2 / math.prod(orders), 0.0, 1.0)
    return limited.with_confidence(precision.confidence)


def performance_profile(
    scores: Sequence[Sample], thresholds: ArrayLike, *, precision: Precision = USUAL
) -> list[Interval]:
    """For each threshold, the mean over tasks of the share of seeds that score above it."""
    levels = np.asarray(thresholds, dtype=np.float64)
    return [
        mean([(x > level).astype(np.float64) for x in scores], precision=precision)
        for level in levels
    ]


def sample_efficiency(
    curves: Sequence[np.ndarray], *, precision: Precision = USUAL
) -> list[Interval]:
    """IQM at each evaluation, from one array [S, E] of normalised returns per task."""
    lengths = {curve.shape[1] for curve in curves}
    if len(lengths) != 1:
        raise ValueError(f"curves of {sorted(lengths)} evaluations; all of equal length")
    return [
        iqm([curve[:, evaluation] for curve in curves], precision=precision)
        for evaluation in range(lengths.pop())
    ]


def _wins(x: Sample, y: Sample) -> Sample:
    """[..., m, n] 1 where a value of x [..., m] is above one of y [..., n], half where equal."""
    difference = np.sign(x[..., :, np.newaxis] - y[..., np.newaxis, :])
    wins: Sample = (difference + 1) / 2
    return wins


def _share_above(x: Sample, y: Sample) -> Any:
    return _wins(x, y).mean(axis=(-2, -1))
