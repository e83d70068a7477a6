"""Claims in words: what is observed, when that supports and when it contradicts.

The text is made from the claim itself, so that it says what `suite.stats.rules` does.
"""

from collections.abc import Sequence
from typing import assert_never

from suite.specs.claims import (
    AcrossClaim,
    Claim,
    ClaimSpec,
    CorrelationClaim,
    CostClaim,
    DifferenceClaim,
    EquivalenceClaim,
    Figure,
    GainsClaim,
    GapMargin,
    OrderingClaim,
    RatioClaim,
    SecondsShare,
    SeriesFigure,
    SeriesPair,
    ThresholdClaim,
)


def statistic(claim: ClaimSpec) -> str:
    """What a claim's observed value is."""
    match claim:
        case DifferenceClaim():
            how = "paired" if claim.paired else "unpaired"
            units = " in units of the reference" if claim.reference else ""
            name = "IQM of the" if claim.aggregate == "iqm" else "mean"
            return f"{name} {how} difference of {figure_name(claim.figure)}{units}"
        case RatioClaim():
            over = " above random play" if claim.baseline == "random" else ""
            return f"mean ratio of {figure_name(claim.figure)}{over}"
        case GainsClaim():
            more, than = figure_name(claim.more.figure), figure_name(claim.than.figure)
            if more != than:
                return f"mean ratio of {more} above random play less that of {than}"
            return f"mean ratio of {more} above random play less that of other tasks"
        case AcrossClaim():
            name = figure_name(claim.figure)
            return f"mean difference of a seed's {claim.summary} of {name} over cells"
        case OrderingClaim():
            return f"least step of {figure_name(claim.figure)} between neighbours"
        case ThresholdClaim(typical="cell"):
            return f"median over {len(claim.measured)} cells of median {figure_name(claim.figure)}"
        case ThresholdClaim():
            return f"median {figure_name(claim.figure)}"
        case EquivalenceClaim():
            taken_off = " less the margin" if isinstance(claim.margin, GapMargin) else ""
            return f"largest median difference of {figure_name(claim.figure)}{taken_off}"
        case CorrelationClaim():
            what = claim.pair.series if isinstance(claim.pair, SeriesPair) else claim.pair.figures
            names = " and ".join(figure_name(one) for one in what)
            median = "median " if isinstance(claim.pair, SeriesPair) else ""
            return f"{median}{claim.method.capitalize()} correlation of {names}"
        case CostClaim():
            if isinstance(claim.clock, SecondsShare):
                return f"median share of wall clock: {claim.clock.seconds}"
            return f"median seconds a call: {claim.clock.seconds}"
        case _:
            assert_never(claim)


def supported_if(claim: ClaimSpec) -> str:
    """When the claim is supported; "it" is the interval of the statistic."""
    match claim:
        case DifferenceClaim():
            side = "above" if claim.direction == "greater" else "below"
            told = f"it lies {side} {claim.margin:g}"
        case RatioClaim():
            told = f"it lies {'above' if claim.direction == 'greater' else 'below'} {claim.bound:g}"
        case GainsClaim():
            told = "it lies above 0"
        case AcrossClaim():
            told = f"it lies {'above' if claim.direction == 'greater' else 'below'} 0"
        case OrderingClaim():
            names = " > ".join(_short(claim, claim.levels))
            if claim.direction == "increasing":
                names = names.replace(">", "<")
            told = f"every step of {names} is larger than {claim.margin:g}"
        case ThresholdClaim(typical="cell"):
            told = f"it lies {claim.direction} {claim.bound:g}"
        case ThresholdClaim():
            told = f"{_each(claim.measured)} lies {claim.direction} {claim.bound:g}"
        case EquivalenceClaim(margin=GapMargin() as margin):
            gap = less(claim, margin.upper, margin.lower)
            told = (
                f"{_each(claim.treatment)} lies within {margin.fraction:g} of the gap, {gap}, "
                "and the gap lies above 0"
            )
        case EquivalenceClaim():
            told = f"{_each(claim.treatment)} lies between -{claim.margin:g} and {claim.margin:g}"
        case CorrelationClaim():
            told = f"{_each(claim.measured)} lies {claim.direction} {claim.bound:g}"
        case CostClaim():
            told = f"{_each(claim.measured)} lies below {claim.bound:g}"
        case _:
            assert_never(claim)
    if claim.null is not None and claim.null.must_be_beaten:
        told += ", and what is observed lies beyond the null"
    return told


def contradicted_if(claim: ClaimSpec) -> str:
    """When the claim is contradicted; "it" is the interval of the statistic."""
    match claim:
        case DifferenceClaim():
            side = "below" if claim.direction == "greater" else "above"
            falsifier = claim.margin if claim.falsifier is None else claim.falsifier
            return f"it lies {side} {falsifier:g}"
        case RatioClaim():
            return f"it lies {'below' if claim.direction == 'greater' else 'above'} {claim.bound:g}"
        case GainsClaim():
            return "it lies below 0"
        case AcrossClaim():
            return f"it lies {'below' if claim.direction == 'greater' else 'above'} 0"
        case OrderingClaim():
            return "one step goes the other way"
        case ThresholdClaim(typical="cell"):
            return f"it lies {'below' if claim.direction == 'above' else 'above'} {claim.bound:g}"
        case ThresholdClaim() | CorrelationClaim():
            side = "below" if claim.direction == "above" else "above"
            return f"{_one(claim.measured)} lies {side} {claim.bound:g}"
        case EquivalenceClaim(margin=GapMargin() as margin):
            return (
                f"{_one(claim.treatment)} lies beyond {margin.fraction:g} of the gap, and the gap "
                "lies above 0"
            )
        case EquivalenceClaim():
            return f"{_one(claim.treatment)} lies beyond -{claim.margin:g} or {claim.margin:g}"
        case CostClaim():
            return f"{_one(claim.measured)} lies above {claim.bound:g}"
        case _:
            assert_never(claim)


def figure_name(figure: Figure) -> str:
    """A figure in words."""
    if isinstance(figure, SeriesFigure):
        return f"{figure.take.replace('_', ' ')} of {figure.series}"
    return "AUC" if figure == "auc" else figure.replace("_", " ")


def less(claim: Claim, first: str, second: str) -> str:
    """A difference of two of the claim's cells, each by what tells its cells apart."""
    return " less ".join(_short(claim, (first, second)))


def _short(claim: Claim, cells: Sequence[str]) -> list[str]:
    columns = zip(*(cell.split("--") for cell in claim.compared()), strict=True)
    kept = [i for i, column in enumerate(columns) if len(set(column)) > 1]
    return [" ".join(cell.split("--")[i] for i in kept) for cell in cells]


def _each(cells: Sequence[str]) -> str:
    return "it" if len(cells) == 1 else f"each of {len(cells)}"


def _one(cells: Sequence[str]) -> str:
    return "it" if len(cells) == 1 else f"one of {len(cells)}"
