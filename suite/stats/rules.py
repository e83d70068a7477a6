"""How each kind of claim is held against runs: its intervals and the bounds they must clear.

The rule of each kind is written here, once; `suite.stats.wording` says it in words and
`suite.stats.verdicts` turns the outcome into a verdict. A comparison supports when its interval
lies wholly on the claimed side of its bounds. It contradicts when the interval lies wholly beyond
the falsifier; of k comparisons each does so with an interval of a k-th of the error rate, so that
all together contradict no more often than one (Bonferroni).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, assert_never

import numpy as np
from scipy import optimize

from suite.specs.claims import (
    AcrossClaim,
    ClaimSpec,
    CorrelationClaim,
    CostClaim,
    DifferenceClaim,
    EquivalenceClaim,
    GainsClaim,
    GapMargin,
    OrderingClaim,
    RatioClaim,
    SeriesPair,
    ThresholdClaim,
)
from suite.stats.columns import Columns, UnsettledError, coefficient
from suite.stats.intervals import (
    USUAL,
    Interval,
    NoIntervalError,
    Precision,
    Ratio,
    Sample,
    correlation,
    gain_difference,
    iqm_difference,
    mean_difference,
    mean_ratio,
    typical,
)
from suite.stats.wording import less

Decision = Literal["supported", "contradicted", "inconclusive"]


@dataclass(frozen=True)
class Bounds:
    """An interval, where it must lie to support, and where it contradicts; infinite is open.

    `against` is the interval that contradicts, None for the same. A `condition` is what must be
    clear before the claim means anything: it has to support, and contradicts nothing.
    """

    label: str
    interval: Interval
    above: float = -math.inf
    below: float = math.inf
    contradicted_below: float = -math.inf
    contradicted_above: float = math.inf
    against: Interval | None = None
    condition: bool = False

    @property
    def assumed(self) -> bool:
        """Whether the range is not seen but assumed: it decides nothing."""
        return self.interval.at is None

    @property
    def supports(self) -> bool:
        return not self.assumed and self._holds(self.interval.low, self.interval.high)

    @property
    def contradicts(self) -> bool:
        seen = self.against or self.interval
        beyond = seen.high < self.contradicted_below or seen.low > self.contradicted_above
        return beyond and not self.assumed and not self.condition

    def _holds(self, low: float, high: float) -> bool:
        # Diverged seeds may make an end infinite, which an open side does not mind.
        return (self.above == -math.inf or low > self.above) and (
            self.below == math.inf or high < self.below
        )

    def slack(self) -> float:
        """Distance of the interval from its bound in half widths; negative when it crosses."""
        seen = self.interval
        if seen.open:
            return -math.inf
        half = max((seen.high - seen.low) / 2, 1e-300)
        return min(seen.low - self.above, self.below - seen.high) / half

    def p_value(self) -> float | None:
        """The least error rate of the two-sided interval at which it supports; 1 where none does.
        None for a range that is assumed."""
        ends = self.interval.at
        if ends is None:
            return None

        def room(logarithm: float) -> float:
            return 1.0 if self._holds(*ends(1 - 10**logarithm)) else -1.0

        # The number of seeds opens every interval long before the smaller end.
        least, most = -12.0, 0.0
        if room(most) < 0:
            return 1.0
        if room(least) > 0:
            return 10**least
        return float(10 ** optimize.bisect(room, least, most, xtol=1e-7))


def decide(bounds: Sequence[Bounds], *, beaten: bool = True) -> Decision:
    """Inconclusive when a condition is not clear; else contradicted when one comparison
    contradicts; supported when all support and a null that must be beaten is `beaten`."""
    if not all(bound.supports for bound in bounds if bound.condition):
        return "inconclusive"
    if any(bound.contradicts for bound in bounds):
        return "contradicted"
    return "supported" if beaten and all(bound.supports for bound in bounds) else "inconclusive"


def deciding(bounds: Sequence[Bounds]) -> Bounds:
    """A condition that is not clear, else the first comparison that contradicts, else the one
    nearest to its bound."""
    unclear = next((b for b in bounds if b.condition and not b.supports), None)
    against = next((b for b in bounds if b.contradicts), None)
    rest = [b for b in bounds if not b.condition]
    return unclear or against or min(rest, key=Bounds.slack)


def compare(claim: ClaimSpec, columns: Columns, precision: Precision = USUAL) -> list[Bounds]:
    """The comparisons of a claim from what it reads of its cells.

    Raises UnsettledError or NoIntervalError when there is no comparison.
    """
    bounds = _compared(claim, columns, precision)
    count = sum(not bound.condition for bound in bounds)
    confidence = 1 - (1 - precision.confidence) / count
    return [
        bound
        if bound.assumed or bound.condition or count == 1
        else replace(bound, against=bound.interval.with_confidence(confidence))
        for bound in bounds
    ]


def _compared(claim: ClaimSpec, columns: Columns, precision: Precision) -> list[Bounds]:
    match claim:
        case DifferenceClaim():
            return [_difference(claim, columns, precision)]
        case RatioClaim():
            return [_ratio(claim, columns, precision)]
        case GainsClaim():
            return [_gains(claim, columns, precision)]
        case AcrossClaim():
            return [_across(claim, columns, precision)]
        case OrderingClaim():
            return _ordering(claim, columns, precision)
        case ThresholdClaim():
            return _threshold(claim, columns, precision)
        case EquivalenceClaim():
            return _equivalence(claim, columns, precision)
        case CorrelationClaim():
            return _correlation(claim, columns, precision)
        case CostClaim():
            return _cost(claim, columns, precision)
        case _:
            assert_never(claim)


def _difference(claim: DifferenceClaim, columns: Columns, precision: Precision) -> Bounds:
    """Supported beyond the margin, contradicted beyond the falsifier (by default the margin).

    Mean over tasks of the difference of means, or IQM over tasks and seeds. The units of a
    reference are taken as known.
    """
    upper, lower = _sides(columns, claim.treatment, claim.control)
    if claim.reference:
        units = [unit(columns, cell) for cell in claim.reference]
        upper = [x / unit for x, unit in zip(upper, units, strict=True)]
        lower = [x / unit for x, unit in zip(lower, units, strict=True)]
    aggregate = mean_difference if claim.aggregate == "mean" else iqm_difference
    interval = aggregate(upper, lower, paired=claim.paired, precision=precision)
    falsifier = claim.margin if claim.falsifier is None else claim.falsifier
    return _one_sided("", interval, claim.direction == "greater", claim.margin, falsifier)


def _ratio(claim: RatioClaim, columns: Columns, precision: Precision) -> Bounds:
    """Supported when the mean over tasks of treatment over control lies beyond the bound,
    contradicted when it lies beyond it on the other side."""
    upper, lower = _sides(columns, claim.treatment, claim.control)
    if claim.baseline == "random":
        offsets = [random_return(columns, cell) for cell in claim.control]
        upper = [x - offset for x, offset in zip(upper, offsets, strict=True)]
        lower = [x - offset for x, offset in zip(lower, offsets, strict=True)]
    try:
        interval = mean_ratio(upper, lower, paired=claim.paired, precision=precision)
    except NoIntervalError as error:
        if claim.baseline == "random":
            raise NoIntervalError(f"{error} (returns are those above random play)") from error
        raise
    return _one_sided("", interval, claim.direction == "greater", claim.bound, claim.bound)


def _gains(claim: GainsClaim, columns: Columns, precision: Precision) -> Bounds:
    """Supported when the one mean gain less the other lies above zero, contradicted when it lies
    below."""
    sides = []
    for index, side in enumerate((claim.more, claim.than)):
        ratios = []
        for treatment, control in zip(side.treatment, side.control, strict=True):
            random = random_return(columns, control)
            upper, lower = (columns[c].values[:, index] - random for c in (treatment, control))
            ratios.append(Ratio(control.split("--")[0], upper, lower))
        sides.append(ratios)
    interval = gain_difference(*sides, precision=precision)
    return _one_sided("", interval, True, 0.0, 0.0)


def _across(claim: AcrossClaim, columns: Columns, precision: Precision) -> Bounds:
    """Supported when the mean over seeds of a seed's mean (median, range) over the treatment's
    cells, less that over the control's, lies on the claimed side of zero, contradicted on the
    other."""
    summaries: dict[str, Callable[..., Sample]] = {
        "mean": np.mean,
        "median": np.median,
        "range": np.ptp,
    }
    sides = _sides(columns, claim.treatment, claim.control)
    upper, lower = (summaries[claim.summary](np.stack(side), axis=0) for side in sides)
    interval = mean_difference([upper], [lower], paired=True, precision=precision)
    return _one_sided("", interval, claim.direction == "greater", 0.0, 0.0)


def _ordering(claim: OrderingClaim, columns: Columns, precision: Precision) -> list[Bounds]:
    """Supported when every step between neighbours is larger than the margin in the claimed
    direction; contradicted when one goes clearly the other way."""
    bounds = []
    for first, second in zip(claim.levels, claim.levels[1:], strict=False):
        pair = (first, second) if claim.direction == "decreasing" else (second, first)
        upper, lower = _sides(columns, pair[:1], pair[1:])
        interval = mean_difference(upper, lower, paired=claim.paired, precision=precision)
        label = less(claim, *pair)
        bounds.append(_one_sided(label, interval, True, claim.margin, 0.0))
    return bounds


def _threshold(claim: ThresholdClaim, columns: Columns, precision: Precision) -> list[Bounds]:
    """Supported when the typical seed (the median) of every measured cell lies beyond the bound,
    contradicted when that of one lies beyond it on the other side. Of typical cells, the median of
    these medians alone is compared: cells are what was drawn."""
    samples = {cell: columns[cell].values for cell in claim.measured}
    if claim.typical == "cell":
        samples = {"": np.array([np.median(values) for values in samples.values()])}
    return [
        _one_sided(
            label,
            typical(sample, precision=precision),
            claim.direction == "above",
            claim.bound,
            claim.bound,
        )
        for label, sample in samples.items()
    ]


def _equivalence(claim: EquivalenceClaim, columns: Columns, precision: Precision) -> list[Bounds]:
    """Two one-sided comparisons a pair of cells, of the median difference of a seed: supported when
    every interval lies inside the margins, contradicted when one lies wholly outside.

    A margin that is a part of a gap is taken seed by seed: the difference, either way, less the
    fraction of the gap lies below zero, on condition that the gap itself lies above zero.
    """
    bounds = []
    gap = np.array(0.0)
    if isinstance(claim.margin, GapMargin):
        gap = columns[claim.margin.upper].values - columns[claim.margin.lower].values
        label = f"the gap, {less(claim, claim.margin.upper, claim.margin.lower)}"
        seen = typical(gap, precision=precision)
        bounds.append(Bounds(label, seen, above=0.0, condition=True))
    for treatment, control in zip(claim.treatment, claim.control, strict=True):
        difference = columns[treatment].values - columns[control].values
        if isinstance(claim.margin, GapMargin):
            for sign, pair in ((1, (treatment, control)), (-1, (control, treatment))):
                part = claim.margin.fraction
                seen = typical(sign * difference - part * gap, precision=precision)
                label = f"{less(claim, *pair)}, less {part:g} of the gap"
                bounds.append(_one_sided(label, seen, False, 0.0, 0.0))
            continue
        margin = claim.margin
        seen = typical(difference, precision=precision)
        label = less(claim, treatment, control)
        bounds.append(Bounds(label, seen, -margin, margin, -margin, margin))
    return bounds


def _correlation(claim: CorrelationClaim, columns: Columns, precision: Precision) -> list[Bounds]:
    """Supported when the correlation lies beyond the bound, contradicted when it lies beyond it on
    the other side. Of two series: the median over seeds, in every cell, because unrelated series
    that drift have coefficients near 1 or -1. Of two figures: over the runs of all cells."""
    greater = claim.direction == "above"
    if isinstance(claim.pair, SeriesPair):
        found = {
            cell: typical(columns[cell].values, precision=precision) for cell in claim.measured
        }
    else:
        rows = np.concatenate([columns[cell].values for cell in claim.measured])
        found = {"": correlation(rows, partial(coefficient, claim.method), precision=precision)}
    return [
        _one_sided(label, interval, greater, claim.bound, claim.bound)
        for label, interval in found.items()
    ]


def _cost(claim: CostClaim, columns: Columns, precision: Precision) -> list[Bounds]:
    """Supported when the median over clocks lies below the bound in every cell, contradicted when
    it lies above it in one. Seeds that train together share one clock. Clocks too few for an
    interval have a range that is assumed: each may be wrong by a factor of two."""
    bounds = []
    for cell in claim.measured:
        readings = columns[cell].values
        seen = typical(readings, precision=precision)
        if seen.open:
            low, high = float(readings.min()) / 2, 2 * float(readings.max())
            seen = Interval(seen.observed, low, high, "assumed: each clock within a factor of two")
        bounds.append(_one_sided(cell, seen, False, claim.bound, claim.bound))
    return bounds


def _one_sided(
    label: str, interval: Interval, greater: bool, bound: float, falsifier: float
) -> Bounds:
    if greater:
        return Bounds(label, interval, above=bound, contradicted_below=falsifier)
    return Bounds(label, interval, below=bound, contradicted_above=falsifier)


def _sides(
    columns: Columns, treatment: Sequence[str], control: Sequence[str]
) -> tuple[list[Sample], list[Sample]]:
    """One sample per task on each side."""
    return [columns[cell].values for cell in treatment], [columns[cell].values for cell in control]


def unit(columns: Columns, cell: str) -> float:
    """What the cell gains over random play on average."""
    mean = float(columns[cell].values.mean())
    gain = mean - random_return(columns, cell)
    if gain <= 0:
        raise UnsettledError(f"{cell} does no better than random play ({mean:.4g}): no unit")
    return gain


def random_return(columns: Columns, cell: str) -> float:
    value = columns[cell].random_return
    if value is None:
        raise UnsettledError(f"the task of {cell} has no return of random play")
    return value
