"""Aggregates over tasks and seeds, with intervals that keep their rate for three seeds.

A sample is a float64 array [n] of one figure, one value a seed. Resampling is stratified: every
sample is resampled by itself, samples may have unequal lengths, and the generator is seeded, so
equal input gives equal bits.

An interval is the hull of two intervals of the same statistic and confidence: the stratified
bootstrap (BCa, percentile where BCa is undefined) and Student's t. Alone, BCa of 95 % misses the
mean of a normal figure in 29 % of cases with three seeds, 13 % with six and 9 % with ten
(simulated), because a few values hardly vary when drawn again; t keeps 5 %, and the bootstrap
widens it where the figure is skewed.
With one value in any sample there is no interval.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Sample = NDArray[np.float64]
CONFIDENCE = 0.95
RESAMPLES = 4000
TRIM = 0.25


class NoIntervalError(ValueError):
    """The statistic or its interval is undefined for these samples; the message says why."""


@dataclass(frozen=True)
class Interval:
    """A statistic with its two-sided interval."""

    observed: float
    low: float
    high: float
    method: str
    """'bca+t', 'percentile+t', or 'constant' where no sample varies."""


@dataclass(frozen=True)
class _Part:
    """A term of a sum: the variance of its mean and that variance's degrees of freedom."""

    variance: float
    freedom: float


def iqm(values: Sequence[Sample] | Sample) -> float:
    """Interquartile mean of all values together: without the lowest and highest quarter."""
    pooled = np.concatenate([np.ravel(value) for value in values])
    return float(stats.trim_mean(pooled, TRIM))


def contrast(
    samples: Sequence[Sample], weights: Sequence[float], *, confidence: float = CONFIDENCE
) -> Interval:
    """Weighted sum of sample means: a mean, a difference, an average over tasks.

    t uses Welch's variance and Satterthwaite's degrees of freedom. Raises NoIntervalError when a
    sample has fewer than two values.
    """
    arrays = _checked(samples)
    weight = np.asarray(weights, dtype=np.float64)
    if weight.shape != (len(arrays),):
        raise ValueError(f"{len(arrays)} samples and weights of shape {weight.shape}")

    def statistic(*drawn: Sample, axis: int = -1) -> Any:
        return sum(w * x.mean(axis=axis) for w, x in zip(weight, drawn, strict=True))

    parts = [_mean_part(x, w) for x, w in zip(arrays, weight, strict=True)]
    return _interval(arrays, statistic, parts, confidence)


def mean_difference(
    treatment: Sequence[Sample],
    control: Sequence[Sample],
    *,
    paired: bool,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Mean over tasks of the difference of means; one sample per task on each side.

    Paired samples hold the same seeds in the same order.
    """
    tasks = len(treatment)
    if paired:
        differences = _differences(treatment, control)
        return contrast(differences, [1 / tasks] * tasks, confidence=confidence)
    weights = [1 / tasks] * tasks + [-1 / tasks] * tasks
    return contrast([*treatment, *control], weights, confidence=confidence)


def iqm_difference(
    treatment: Sequence[Sample],
    control: Sequence[Sample],
    *,
    paired: bool,
    confidence: float = CONFIDENCE,
) -> Interval:
    """IQM over tasks and seeds: of the differences when paired, else the difference of the IQMs.

    t is Yuen's for trimmed means: Winsorised variance, degrees of freedom of the values kept.
    """
    sides = [_differences(treatment, control)] if paired else [treatment, control]
    sides = [_checked(side) for side in sides]
    count = len(sides[0])

    def statistic(*drawn: Sample, axis: int = -1) -> Any:
        first = stats.trim_mean(np.concatenate(drawn[:count], axis=axis), TRIM, axis=axis)
        if paired:
            return first
        return first - stats.trim_mean(np.concatenate(drawn[count:], axis=axis), TRIM, axis=axis)

    parts = [_trimmed_part(np.concatenate(side)) for side in sides]
    return _interval([x for side in sides for x in side], statistic, parts, confidence)


def mean_ratio(
    treatment: Sequence[Sample],
    control: Sequence[Sample],
    *,
    paired: bool,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Mean over tasks of mean treatment over mean control.

    t uses the ratio's linearisation at the observed values. Raises NoIntervalError where the
    interval of a control's mean reaches zero, because the ratio then has no finite interval.
    """
    upper, lower = _checked(treatment), _checked(control)
    for below in lower:
        if contrast([below], [1.0], confidence=confidence).low <= 0:
            raise NoIntervalError(
                f"the control's mean {below.mean():.4g} is not clearly above zero, so a ratio "
                "to it says nothing"
            )
    tasks = len(upper)
    parts = []
    for above, below in zip(upper, lower, strict=True):
        centre, ratio = below.mean(), above.mean() / below.mean()
        if paired:
            parts.append(_mean_part((above - ratio * below) / centre, 1 / tasks))
        else:
            parts.append(_mean_part(above / centre, 1 / tasks))
            parts.append(_mean_part(ratio * below / centre, 1 / tasks))

    if paired:
        # Rows are drawn by their index, so that a seed's two values stay together.
        rows = [np.arange(len(above), dtype=np.float64) for above in upper]

        def of_rows(*drawn: Sample, axis: int = -1) -> Any:
            total = 0.0
            for index, above, below in zip(drawn, upper, lower, strict=True):
                taken = index.astype(np.int64)
                total = total + above[taken].mean(axis=axis) / below[taken].mean(axis=axis)
            return total / tasks

        return _interval(rows, of_rows, parts, confidence)

    def of_samples(*drawn: Sample, axis: int = -1) -> Any:
        means = [x.mean(axis=axis) for x in drawn]
        return sum(a / b for a, b in zip(means[:tasks], means[tasks:], strict=True)) / tasks

    return _interval([*upper, *lower], of_samples, parts, confidence)


def _checked(samples: Sequence[Sample]) -> list[Sample]:
    arrays = [np.asarray(sample, dtype=np.float64) for sample in samples]
    if not arrays:
        raise ValueError("no samples")
    for array in arrays:
        if array.ndim != 1 or not np.isfinite(array).all():
            raise ValueError(f"a sample is a list of finite values, not {array!r}")
        if len(array) < 2:
            raise NoIntervalError(f"{len(array)} seed is too few for an interval")
    return arrays


def _differences(treatment: Sequence[Sample], control: Sequence[Sample]) -> list[Sample]:
    return [np.asarray(t) - np.asarray(c) for t, c in zip(treatment, control, strict=True)]


def _mean_part(sample: Sample, weight: float) -> _Part:
    return _Part(weight**2 * float(sample.var(ddof=1)) / len(sample), len(sample) - 1)


def _trimmed_part(sample: Sample) -> _Part:
    n, cut = len(sample), int(TRIM * len(sample))
    kept = n - 2 * cut
    ordered = np.sort(sample)
    winsorised = ordered.clip(ordered[cut], ordered[n - cut - 1])
    return _Part(float(winsorised.var(ddof=1)) * (n - 1) / (kept * (kept - 1)), kept - 1)


def _interval(
    samples: Sequence[Sample],
    statistic: Callable[..., Any],
    parts: Sequence[_Part],
    confidence: float,
) -> Interval:
    observed = float(statistic(*samples, axis=-1))
    variance = sum(part.variance for part in parts)
    # Rounding in the mean of equal values leaves a variance of this order, not a real one.
    if variance <= (1e-12 * max(1.0, abs(observed))) ** 2:
        return Interval(observed, observed, observed, "constant")
    freedom = variance**2 / sum(part.variance**2 / part.freedom for part in parts)
    reach = float(stats.t.ppf((1 + confidence) / 2, freedom)) * variance**0.5
    low, high, method = _bootstrap(samples, statistic, confidence)
    return Interval(
        observed,
        float(min(low, observed - reach)),
        float(max(high, observed + reach)),
        f"{method}+t",
    )


def _bootstrap(
    samples: Sequence[Sample], statistic: Callable[..., Any], confidence: float
) -> tuple[float, float, str]:
    for method in ("BCa", "percentile"):
        with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
            # scipy says by a warning and by NaN that BCa is undefined; the NaN is acted on below.
            warnings.simplefilter("ignore", stats.DegenerateDataWarning)
            result = stats.bootstrap(
                tuple(samples),
                statistic,
                n_resamples=RESAMPLES,
                confidence_level=confidence,
                method=method,
                vectorized=True,
                rng=np.random.default_rng(0),
            ).confidence_interval
        if np.isfinite(result.low) and np.isfinite(result.high):
            return float(result.low), float(result.high), method.lower()
    raise NoIntervalError("the bootstrap gives no finite interval for these samples")
