"""How each kind of claim is held against runs: its intervals and the bounds they must clear.

The rule of each kind is written here, once; `suite.stats.verdicts` turns the outcome into a
verdict. A comparison supports when its interval lies wholly on the claimed side of its bounds, and
contradicts when the interval lies wholly beyond the falsifier.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

import numpy as np

from suite.specs.claims import (
    Claim,
    ClaimSpec,
    CostClaim,
    DifferenceClaim,
    EquivalenceClaim,
    Figure,
    GapMargin,
    OrderingClaim,
    RatioClaim,
    SecondsShare,
    SeriesFigure,
    ThresholdClaim,
)
from suite.stats.intervals import (
    CONFIDENCE,
    Interval,
    NoIntervalError,
    Sample,
    contrast,
    iqm_difference,
    mean_difference,
    mean_ratio,
)
from suite.stats.runs import Run, figure_values, seconds

RunsByCell = Mapping[str, Sequence[Run]]


class UnsettledError(ValueError):
    """The claim can't be compared with these runs; the message says why."""


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

    def seeds_factor(self) -> float | None:
        """Factor on the seeds at which the interval would clear its bound at the observed value,
        its width falling with the root of the seeds; None on the wrong side of the bound."""
        seen = self.interval
        rooms = (seen.observed - self.above, self.below - seen.observed)
        if min(rooms) <= 0:
            return None
        reaches = (seen.observed - seen.low, seen.high - seen.observed)
        return max((reach / room) ** 2 for reach, room in zip(reaches, rooms, strict=True))


def compare(claim: ClaimSpec, runs: RunsByCell, confidence: float = CONFIDENCE) -> list[Bounds]:
    """The comparisons of a claim; `runs` has the usable runs of its cells, sorted by seed.

    `confidence` is that of each two-sided interval.

    Raises UnsettledError, NoFigureError or NoIntervalError when there is no comparison.
    """
    match claim:
        case DifferenceClaim():
            return [_difference(claim, runs, confidence)]
        case RatioClaim():
            return [_ratio(claim, runs, confidence)]
        case OrderingClaim():
            return _ordering(claim, runs, confidence)
        case ThresholdClaim():
            return _threshold(claim, runs, confidence)
        case EquivalenceClaim():
            return _equivalence(claim, runs, confidence)
        case CostClaim():
            return _cost(claim, runs)
        case _:
            assert_never(claim)


def _difference(claim: DifferenceClaim, runs: RunsByCell, confidence: float) -> Bounds:
    """Supported beyond the margin, contradicted beyond the falsifier (by default the margin).

    Mean over tasks of the difference of means, or IQM over tasks and seeds. Paired claims
    compare the seeds that both sides have. The units of a reference are taken as known.
    """
    upper, lower = _sides(claim, runs, claim.treatment, claim.control)
    if claim.reference:
        units = [_unit(claim, runs, cell) for cell in claim.reference]
        upper = [x / unit for x, unit in zip(upper, units, strict=True)]
        lower = [x / unit for x, unit in zip(lower, units, strict=True)]
    aggregate = mean_difference if claim.aggregate == "mean" else iqm_difference
    interval = aggregate(upper, lower, paired=claim.paired, confidence=confidence)
    falsifier = claim.margin if claim.falsifier is None else claim.falsifier
    return _one_sided("", interval, claim.direction == "greater", claim.margin, falsifier)


def _ratio(claim: RatioClaim, runs: RunsByCell, confidence: float) -> Bounds:
    """Supported when the mean over tasks of treatment over control lies beyond the bound,
    contradicted when it lies beyond it on the other side."""
    upper, lower = _sides(claim, runs, claim.treatment, claim.control)
    if claim.baseline == "random":
        offsets = [_random_return(runs, cell) for cell in claim.control]
        upper = [x - offset for x, offset in zip(upper, offsets, strict=True)]
        lower = [x - offset for x, offset in zip(lower, offsets, strict=True)]
    try:
        interval = mean_ratio(upper, lower, paired=claim.paired, confidence=confidence)
    except NoIntervalError as error:
        if claim.baseline == "random":
            raise NoIntervalError(f"{error} (returns are those above random play)") from error
        raise
    return _one_sided("", interval, claim.direction == "greater", claim.bound, claim.bound)


def _ordering(claim: OrderingClaim, runs: RunsByCell, confidence: float) -> list[Bounds]:
    """Supported when every step between neighbours is larger than the margin in the claimed
    direction; contradicted when one goes clearly the other way."""
    bounds = []
    for first, second in zip(claim.levels, claim.levels[1:], strict=False):
        pair = (first, second) if claim.direction == "decreasing" else (second, first)
        upper, lower = _sides(claim, runs, pair[:1], pair[1:])
        interval = mean_difference(upper, lower, paired=claim.paired, confidence=confidence)
        label = _less(claim, *pair)
        bounds.append(_one_sided(label, interval, True, claim.margin, 0.0))
    return bounds


def _threshold(claim: ThresholdClaim, runs: RunsByCell, confidence: float) -> list[Bounds]:
    """Supported when the mean of every measured cell lies beyond the bound, contradicted when one
    lies beyond it on the other side."""
    return [
        _one_sided(
            cell,
            contrast([values_of(claim, runs[cell])], [1.0], confidence=confidence),
            claim.direction == "above",
            claim.bound,
            claim.bound,
        )
        for cell in claim.measured
    ]


def _equivalence(claim: EquivalenceClaim, runs: RunsByCell, confidence: float) -> list[Bounds]:
    """Two one-sided comparisons a pair: supported when every interval lies inside the margins,
    contradicted when one lies wholly outside."""
    bounds = []
    for treatment, control in zip(claim.treatment, claim.control, strict=True):
        if isinstance(claim.margin, GapMargin):
            bounds += _within_gap(claim, claim.margin, runs, (treatment, control), confidence)
            continue
        upper, lower = _sides(claim, runs, (treatment,), (control,))
        interval = mean_difference(upper, lower, paired=claim.paired, confidence=confidence)
        label = _less(claim, treatment, control)
        margin = claim.margin
        bounds.append(Bounds(label, interval, -margin, margin, -margin, margin))
    return bounds


def _within_gap(
    claim: EquivalenceClaim,
    gap: GapMargin,
    runs: RunsByCell,
    pair: tuple[str, str],
    confidence: float,
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
        sides = list(weights)
        if claim.paired:
            columns = [
                weights[cell] * values_of(claim, rows)
                for cell, rows in zip(sides, _with_common_seeds(runs, sides), strict=True)
            ]
            interval = contrast([np.sum(columns, axis=0)], [1.0], confidence=confidence)
        else:
            samples = [values_of(claim, runs[cell]) for cell in sides]
            values = [weights[cell] for cell in sides]
            interval = contrast(samples, values, confidence=confidence)
        label = f"{_less(claim, first, second)}, less {gap.fraction:g} of the gap"
        bounds.append(_one_sided(label, interval, False, 0.0, 0.0))
    return bounds


def _cost(claim: CostClaim, runs: RunsByCell) -> list[Bounds]:
    """Supported when every reading lies below the bound, contradicted when every reading of a cell
    lies above it. Seeds that train together share one clock and are no independent sample, so the
    interval is the range of readings."""
    bounds = []
    for cell in claim.measured:
        readings = [seconds(run, claim.clock) for run in runs[cell]]
        mean = sum(readings) / len(readings)
        interval = Interval(mean, min(readings), max(readings), "range of readings")
        bounds.append(_one_sided(cell, interval, False, claim.bound, claim.bound))
    return bounds


def _one_sided(
    label: str, interval: Interval, greater: bool, bound: float, falsifier: float
) -> Bounds:
    if greater:
        return Bounds(label, interval, above=bound, contradicted_below=falsifier)
    return Bounds(label, interval, below=bound, contradicted_above=falsifier)


def values_of(claim: ClaimSpec, runs: Sequence[Run], figure: Figure | None = None) -> Sample:
    """[S] a figure (by default the claim's) of runs of one cell, in the order given.

    With `diverged_as`, a diverged seed counts as that value and no seed counts as more.
    """
    if figure is None:
        if isinstance(claim, CostClaim):
            return np.array([seconds(run, claim.clock) for run in runs])
        figure = claim.figure
    if claim.diverged_as is None:
        return figure_values(runs, figure)
    values = np.full(len(runs), claim.diverged_as)
    finished = [i for i, run in enumerate(runs) if run.state == "done"]
    if finished:
        seen = figure_values([runs[i] for i in finished], figure)
        values[finished] = seen.clip(max=claim.diverged_as)
    return values


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
    claim: DifferenceClaim | RatioClaim | OrderingClaim | EquivalenceClaim,
    runs: RunsByCell,
    treatment: Sequence[str],
    control: Sequence[str],
) -> tuple[list[Sample], list[Sample]]:
    """One sample per task on each side; when paired, of the seeds that both sides have."""
    upper, lower = [], []
    for pair in zip(treatment, control, strict=True):
        left, right = _with_common_seeds(runs, pair) if claim.paired else [runs[c] for c in pair]
        upper.append(values_of(claim, left))
        lower.append(values_of(claim, right))
    return upper, lower


def _with_common_seeds(runs: RunsByCell, cells: Sequence[str]) -> list[list[Run]]:
    common = set.intersection(*({run.seed for run in runs[cell]} for cell in cells))
    if len(common) < 2:
        raise UnsettledError(f"{' and '.join(cells)} have fewer than two seeds in common")
    return [[run for run in runs[cell] if run.seed in common] for cell in cells]


def _unit(claim: DifferenceClaim, runs: RunsByCell, cell: str) -> float:
    """What the cell gains over random play on average."""
    mean = float(values_of(claim, runs[cell]).mean())
    gain = mean - _random_return(runs, cell)
    if gain <= 0:
        raise UnsettledError(f"{cell} does no better than random play ({mean:.4g}): no unit")
    return gain


def _random_return(runs: RunsByCell, cell: str) -> float:
    value = runs[cell][0].spec["task"].get("random_return")
    if value is None:
        raise UnsettledError(f"the task of {cell} has no return of random play")
    return float(value)
