"""How many seeds would decide a claim if the observed effect and spread were the true ones."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from suite.specs.claims import ClaimSpec, CorrelationClaim, CostClaim, FigurePair
from suite.stats import sequential
from suite.stats.columns import Column, Columns, UnsettledError, is_paired
from suite.stats.intervals import NoIntervalError, Precision
from suite.stats.rules import Bounds, compare, decide

POWER = 0.8
MANY_SEEDS = 1000
DRAWS = 200


def power(
    claim: ClaimSpec,
    columns: Columns,
    seeds: int,
    *,
    confidence: float,
    beaten: Callable[[Sequence[Bounds]], bool] = lambda _: True,
    draws: int = DRAWS,
) -> float:
    """Share of draws of so many seeds per cell that decide the claim, for or against it.

    Seeds are drawn with replacement from those there are, per task for a paired claim and per cell
    else, and their spread is widened by what drawing with replacement loses. Intervals are
    Student's t: at few seeds it decides, at many it agrees with the bootstrap.
    """
    return sum(_decided(claim, columns, seeds, confidence, beaten, draws)) / draws


def seeds_to_settle(
    claim: ClaimSpec,
    columns: Columns,
    *,
    planned: int,
    look: int,
    beaten: Callable[[Sequence[Bounds]], bool] = lambda _: True,
) -> int | None:
    """Seeds per cell at the first look after `look` that decides the claim with a power of 80 %.

    None where a thousand would not, and for costs, which are read once a clock.
    """
    if isinstance(claim, CostClaim):
        return None
    coming = look + 1
    while (seeds := sequential.seeds(planned, coming)) <= MANY_SEEDS:
        confidence = sequential.confidence(coming)
        if _enough(_decided(claim, columns, seeds, confidence, beaten, DRAWS)):
            return seeds
        coming += 1
    return None


def _decided(
    claim: ClaimSpec,
    columns: Columns,
    seeds: int,
    confidence: float,
    beaten: Callable[[Sequence[Bounds]], bool],
    draws: int,
) -> Iterator[bool]:
    """Of every draw, whether it decides the claim."""
    rng = np.random.default_rng(0)
    precision = Precision(confidence, resamples=0)
    for _ in range(draws):
        drawn = _draw(claim, columns, seeds, rng)
        try:
            bounds = compare(claim, drawn, precision)
        except (NoIntervalError, UnsettledError):
            yield False
        else:
            yield decide(bounds, beaten=beaten(bounds)) != "inconclusive"


def _enough(decided: Iterable[bool]) -> bool:
    """Whether the power is `POWER`, from as few of the `DRAWS` as tell it."""
    count = 0
    for number, one in enumerate(decided, start=1):
        count += one
        if count >= POWER * DRAWS:
            return True
        if number - count > DRAWS - POWER * DRAWS:
            return False
    return False


def _draw(
    claim: ClaimSpec, columns: Columns, seeds: int, rng: np.random.Generator
) -> dict[str, Column]:
    drawn: dict[str, Column] = {}
    picks: dict[str, np.ndarray] = {}
    for cell, column in columns.items():
        count = len(column.seeds)
        stratum = cell.split("--")[0] if is_paired(claim) else cell
        if stratum not in picks:
            picks[stratum] = rng.integers(0, count, size=seeds)
        values = column.values
        # Widening would change the correlation of two figures no more than its own error does, and
        # diverged seeds, which are infinite, have no spread to widen.
        of_figures = isinstance(claim, CorrelationClaim) and isinstance(claim.pair, FigurePair)
        if not of_figures and np.isfinite(values).all():
            mean = values.mean(axis=0)
            values = mean + (values - mean) * np.sqrt(count / (count - 1))
        taken = values[picks[stratum]]
        drawn[cell] = Column(tuple(range(seeds)), taken, column.random_return)
    return drawn
