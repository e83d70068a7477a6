"""How each kind of claim is held against runs: its intervals and the bounds they must clear.

The rule of each kind is written here, once; `suite.stats.verdicts` turns the outcome into a
verdict. A comparison supports when its interval lies wholly on the claimed side of its bounds, and
contradicts when the interval lies wholly beyond the falsifier.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, assert_never

import numpy as np
from scipy import optimize

from suite.specs.claims import (
    Claim,
    ClaimSpec,
    CorrelationClaim,
    CostClaim,
    DifferenceClaim,
    EquivalenceClaim,
    Figure,
    GapMargin,
    OrderingClaim,
    RatioClaim,
    SecondsShare,
    SeriesFigure,
    SeriesPair,
    ThresholdClaim,
)
from suite.stats.columns import Columns, UnsettledError, coefficient
from suite.stats.intervals import (
    USUAL,
    Interval,
    NoIntervalError,
    Precision,
    Sample,
    contrast,
    correlation,
    iqm_difference,
    mean_coefficient,
    mean_difference,
    mean_ratio,
)

# Of two readings Student's t has one degree of freedom: an interval 13 standard errors wide.
FEW_CLOCKS = 2


@dataclass(frozen=True)
class Bounds:
    """An interval, where it must lie to support, and where it contradicts; infinite is open."""

    label: str
    interval: Interval
    above: float = -math.inf
    below: float = math.inf
    contradicted_below: float = -math.inf
    contradicted_above: float = math.inf

    @property
    def supports(self) -> bool:
        return self.interval.low > self.above and self.interval.high < self.below

    @property
    def contradicts(self) -> bool:
        seen = self.interval
        return seen.high < self.contradicted_below or seen.low > self.contradicted_above

    def slack(self) -> float:
        """Distance of the interval from its bound in half widths; negative when it crosses."""
        seen = self.interval
        half = max((seen.high - seen.low) / 2, 1e-300)
        return min(seen.low - self.above, self.below - seen.high) / half

    def p_value(self) -> float | None:
        """The least error rate of the two-sided interval at which it supports, not below 1e-12; 1
        where none does. None for a reading that is no sample."""
        ends = self.interval.at
        if ends is None:
            return None

        def room(logarithm: float) -> float:
            low, high = ends(1 - 10**logarithm)
            return min(low - self.above, self.below - high)

        least, most = -12.0, 0.0
        if room(most) <= 0:
            return 1.0
        if room(least) > 0:
            return 10**least
        return float(10 ** optimize.brentq(room, least, most, xtol=1e-7))


def decide(
    bounds: Sequence[Bounds], *, beaten: bool = True
) -> Literal["supported", "contradicted", "inconclusive"]:
    """Contradicted when one comparison contradicts; supported when all support and a null that
    must be beaten is `beaten`."""
    if any(bound.contradicts for bound in bounds):
        return "contradicted"
    return "supported" if beaten and all(bound.supports for bound in bounds) else "inconclusive"


def deciding(bounds: Sequence[Bounds]) -> Bounds:
    """The first comparison that contradicts, else the one nearest to its bound."""
    return next((b for b in bounds if b.contradicts), min(bounds, key=Bounds.slack))


def compare(claim: ClaimSpec, columns: Columns, precision: Precision = USUAL) -> list[Bounds]:
    """The comparisons of a claim from what it reads of its cells.

    Raises UnsettledError or NoIntervalError when there is no comparison.
    """
    match claim:
        case DifferenceClaim():
            return [_difference(claim, columns, precision)]
        case RatioClaim():
            return [_ratio(claim, columns, precision)]
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


def _ordering(claim: OrderingClaim, columns: Columns, precision: Precision) -> list[Bounds]:
    """Supported when every step between neighbours is larger than the margin in the claimed
    direction; contradicted when one goes clearly the other way."""
    bounds = []
    for first, second in zip(claim.levels, claim.levels[1:], strict=False):
        pair = (first, second) if claim.direction == "decreasing" else (second, first)
        upper, lower = _sides(columns, pair[:1], pair[1:])
        interval = mean_difference(upper, lower, paired=claim.paired, precision=precision)
        label = _less(claim, *pair)
        bounds.append(_one_sided(label, interval, True, claim.margin, 0.0))
    return bounds


def _threshold(claim: ThresholdClaim, columns: Columns, precision: Precision) -> list[Bounds]:
    """Supported when the mean of every measured cell lies beyond the bound, contradicted when one
    lies beyond it on the other side."""
    return [
        _one_sided(
            cell,
            contrast([columns[cell].values], [1.0], precision=precision),
            claim.direction == "above",
            claim.bound,
            claim.bound,
        )
        for cell in claim.measured
    ]


def _equivalence(claim: EquivalenceClaim, columns: Columns, precision: Precision) -> list[Bounds]:
    """Two one-sided comparisons a pair: supported when every interval lies inside the margins,
    contradicted when one lies wholly outside."""
    bounds = []
    for treatment, control in zip(claim.treatment, claim.control, strict=True):
        if isinstance(claim.margin, GapMargin):
            bounds += _within_gap(claim, claim.margin, columns, (treatment, control), precision)
            continue
        upper, lower = _sides(columns, (treatment,), (control,))
        interval = mean_difference(upper, lower, paired=claim.paired, precision=precision)
        label = _less(claim, treatment, control)
        margin = claim.margin
        bounds.append(Bounds(label, interval, -margin, margin, -margin, margin))
    return bounds


def _within_gap(
    claim: EquivalenceClaim,
    gap: GapMargin,
    columns: Columns,
    pair: tuple[str, str],
    precision: Precision,
) -> list[Bounds]:
    """The margin is a contrast of the same runs, so that its own uncertainty counts: the
    difference, either way, less the fraction of the gap lies below zero."""
    bounds = []
    for first, second in (pair, pair[::-1]):
        weights: dict[str, float] = {}
        for cell, weight in (
            (first, 1.0),
            (second, -1.0),
            (gap.upper, -gap.fraction),
            (gap.lower, gap.fraction),
        ):
            weights[cell] = weights.get(cell, 0.0) + weight
        samples = [columns[cell].values for cell in weights]
        factors = list(weights.values())
        if claim.paired:
            total = np.sum([w * x for w, x in zip(factors, samples, strict=True)], axis=0)
            samples, factors = [total], [1.0]
        interval = contrast(samples, factors, precision=precision)
        label = f"{_less(claim, first, second)}, less {gap.fraction:g} of the gap"
        bounds.append(_one_sided(label, interval, False, 0.0, 0.0))
    return bounds


def _correlation(claim: CorrelationClaim, columns: Columns, precision: Precision) -> list[Bounds]:
    """Supported when the correlation lies beyond the bound, contradicted when it lies beyond it on
    the other side. Of two series: the mean over seeds, in every cell. Of two figures: over the
    runs of all cells together."""
    greater = claim.direction == "above"
    if isinstance(claim.pair, SeriesPair):
        found = {
            cell: mean_coefficient(columns[cell].values, precision=precision)
            for cell in claim.measured
        }
    else:
        rows = np.concatenate([columns[cell].values for cell in claim.measured])
        found = {"": correlation(rows, partial(coefficient, claim.method), precision=precision)}
    return [
        _one_sided(label, interval, greater, claim.bound, claim.bound)
        for label, interval in found.items()
    ]


def _cost(claim: CostClaim, columns: Columns, precision: Precision) -> list[Bounds]:
    """Supported when the geometric mean over clocks lies below the bound in every cell,
    contradicted when it lies above it in one. Seeds that train together share one clock. One or
    two readings tell nothing of their spread: each may be wrong by a factor of two."""
    bounds = []
    for cell in claim.measured:
        readings = columns[cell].values
        # A reading of nothing has no logarithm.
        logarithms = np.log(np.maximum(readings, 1e-9))
        if len(readings) <= FEW_CLOCKS:
            mean, low, high = (float(np.exp(f(logarithms))) for f in (np.mean, np.min, np.max))
            interval = Interval(mean, low / 2, high * 2, "each clock within a factor of two")
        else:
            interval = contrast([logarithms], [1.0], precision=precision).exponential()
        bounds.append(_one_sided(cell, interval, False, claim.bound, claim.bound))
    return bounds


def _one_sided(
    label: str, interval: Interval, greater: bool, bound: float, falsifier: float
) -> Bounds:
    if greater:
        return Bounds(label, interval, above=bound, contradicted_below=falsifier)
    return Bounds(label, interval, below=bound, contradicted_above=falsifier)


def statistic(claim: ClaimSpec) -> str:
    """What a claim's observed value is, in words."""
    match claim:
        case DifferenceClaim():
            how = "paired" if claim.paired else "unpaired"
            units = " in units of the reference" if claim.reference else ""
            name = "IQM of the" if claim.aggregate == "iqm" else "mean"
            return f"{name} {how} difference of {figure_name(claim.figure)}{units}"
        case RatioClaim():
            over = " above random play" if claim.baseline == "random" else ""
            return f"mean ratio of {figure_name(claim.figure)}{over}"
        case OrderingClaim():
            return f"least step of {figure_name(claim.figure)} between neighbours"
        case ThresholdClaim():
            return f"mean {figure_name(claim.figure)}"
        case EquivalenceClaim():
            less = " less the margin" if isinstance(claim.margin, GapMargin) else ""
            return f"largest difference of {figure_name(claim.figure)}{less}"
        case CorrelationClaim():
            what = claim.pair.series if isinstance(claim.pair, SeriesPair) else claim.pair.figures
            names = " and ".join(figure_name(one) for one in what)
            mean = "mean " if isinstance(claim.pair, SeriesPair) else ""
            return f"{mean}{claim.method.capitalize()} correlation of {names}"
        case CostClaim():
            if isinstance(claim.clock, SecondsShare):
                return f"share of wall clock: {claim.clock.seconds}"
            return f"seconds a call: {claim.clock.seconds}"
        case _:
            assert_never(claim)


def figure_name(figure: Figure) -> str:
    """A figure in words."""
    if isinstance(figure, SeriesFigure):
        return f"{figure.take.replace('_', ' ')} of {figure.series}"
    return "AUC" if figure == "auc" else figure.replace("_", " ")


def _less(claim: Claim, first: str, second: str) -> str:
    """A difference of two of the claim's cells, each by what tells its cells apart."""
    columns = zip(*(cell.split("--") for cell in claim.compared()), strict=True)
    kept = [i for i, column in enumerate(columns) if len(set(column)) > 1]
    names = [" ".join(cell.split("--")[i] for i in kept) for cell in (first, second)]
    return " less ".join(names)


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
