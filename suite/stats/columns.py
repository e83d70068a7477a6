"""What a claim reads of its cells: one figure, or two, for every seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from suite.specs.claims import (
    AcrossClaim,
    ClaimSpec,
    CorrelationClaim,
    CostClaim,
    EquivalenceClaim,
    Figure,
    GainsClaim,
    SeriesPair,
    ThresholdClaim,
)
from suite.stats.runs import NoFigureError, Run, figure_values, seconds

RunsByCell = Mapping[str, Sequence[Run]]

LEAST_POINTS = 5
"""Fewest common steps at which two series are correlated."""


class UnsettledError(ValueError):
    """The claim can't be compared with these runs; the message says why."""


@dataclass(frozen=True)
class Column:
    """What is read of one cell: the figure of each seed [S], or two figures [S, 2]."""

    seeds: tuple[int, ...]
    values: np.ndarray
    random_return: float | None = None
    """Mean return of random play of the cell's task."""


Columns = Mapping[str, Column]


def read(claim: ClaimSpec, runs: RunsByCell) -> dict[str, Column]:
    """The column of each compared cell; `runs` has the usable runs of its cells, sorted by seed.

    A paired claim reads, for every task, the seeds that all of the task's compared cells have. A
    cost is read once a clock: seeds that trained together share one.
    Raises UnsettledError when those are fewer than two or a cell has no run, and NoFigureError.
    """
    columns = {}
    for cell in claim.compared():
        here = runs.get(cell, ())
        if not here:
            raise UnsettledError(f"{cell} has no usable run")
        if is_paired(claim):
            here = _with_common_seeds(claim, runs, cell)
        random = here[0].spec["task"].get("random_return")
        if isinstance(claim, CostClaim):
            columns[cell] = _by_clock(here, values_of(claim, here))
            continue
        seeds = tuple(run.seed for run in here)
        columns[cell] = Column(seeds, values_of(claim, here), random)
    return columns


def is_paired(claim: ClaimSpec) -> bool:
    """Whether seeds with the same number are compared with each other."""
    if isinstance(claim, ThresholdClaim | CorrelationClaim | CostClaim):
        return False
    return isinstance(claim, AcrossClaim | EquivalenceClaim | GainsClaim) or claim.paired


def companions(claim: ClaimSpec, cell: str) -> list[str]:
    """The compared cells of the same task, the cell itself among them."""
    task = cell.split("--")[0]
    return [c for c in dict.fromkeys(claim.compared()) if c.split("--")[0] == task]


def values_of(claim: ClaimSpec, runs: Sequence[Run], figure: Figure | None = None) -> np.ndarray:
    """[S] a figure (by default what the claim reads) of runs of one cell, in the order given.

    [S, 2] for a correlation of two figures, and for two gains. A diverged seed that has a place in
    the comparison is infinite.
    """
    if figure is None:
        if isinstance(claim, CostClaim):
            return np.array([seconds(run, claim.clock) for run in runs])
        if isinstance(claim, CorrelationClaim):
            return _correlated(claim, runs)
        if isinstance(claim, GainsClaim):
            return _two_figures(runs, claim.more.figure, claim.than.figure)
        figure = claim.figure
    if not isinstance(claim, ThresholdClaim) or claim.diverged is None:
        return figure_values(runs, figure)
    values = np.full(len(runs), np.inf if claim.diverged == "largest" else -np.inf)
    finished = [i for i, run in enumerate(runs) if run.state == "done"]
    if finished:
        values[finished] = figure_values([runs[i] for i in finished], figure)
    return values


def pair_of_series(run: Run, pair: SeriesPair) -> tuple[np.ndarray, np.ndarray]:
    """Values [E] of two series of a run at the steps that both have, unknown ones left out.

    Raises NoFigureError for fewer than five such steps, or a series that never changes.
    """
    for name in pair.series:
        if name not in run.series:
            raise NoFigureError(f"{run.name()} has no series {name!r}")
    first, second = (run.series[name] for name in pair.series)
    _, left, right = np.intersect1d(first.steps, second.steps, return_indices=True)
    values = np.stack([first.values[left], second.values[right]])
    values = values[:, np.isfinite(values).all(axis=0)]
    names = " and ".join(map(repr, pair.series))
    if values.shape[1] < LEAST_POINTS:
        raise NoFigureError(
            f"{run.name()} has {values.shape[1]} steps with {names}; a correlation needs "
            f"{LEAST_POINTS}"
        )
    if (np.ptp(values, axis=1) == 0).any():
        raise NoFigureError(f"{run.name()}: {names} are not correlated, one never changes")
    return values[0], values[1]


def coefficient(method: str, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pearson's or Spearman's coefficient along the last axis, [..., n] -> [...]; 0 where one side
    has no variance."""
    if method == "spearman":
        first, second = stats.rankdata(first, axis=-1), stats.rankdata(second, axis=-1)
    left = first - first.mean(axis=-1, keepdims=True)
    right = second - second.mean(axis=-1, keepdims=True)
    size = np.sqrt((left**2).sum(axis=-1) * (right**2).sum(axis=-1))
    product = (left * right).sum(axis=-1)
    return np.asarray(np.clip(product / np.where(size > 0, size, np.inf), -1.0, 1.0))


def _by_clock(runs: Sequence[Run], readings: np.ndarray) -> Column:
    """The mean reading of each group of runs that trained together, named by its first seed."""
    groups: dict[tuple[int, ...], list[float]] = {}
    for run, reading in zip(runs, readings, strict=True):
        together = {run.seed, *run.provenance.get("companions", ())}
        groups.setdefault(tuple(sorted(together)), []).append(float(reading))
    values = np.array([np.mean(group) for group in groups.values()])
    return Column(tuple(group[0] for group in groups), values)


def _correlated(claim: CorrelationClaim, runs: Sequence[Run]) -> np.ndarray:
    if isinstance(claim.pair, SeriesPair):
        pairs = [pair_of_series(run, claim.pair) for run in runs]
        return np.array([float(coefficient(claim.method, *pair)) for pair in pairs])
    return _two_figures(runs, *claim.pair.figures)


def _two_figures(runs: Sequence[Run], first: Figure, second: Figure) -> np.ndarray:
    return np.stack([figure_values(runs, figure) for figure in (first, second)], axis=-1)


def _with_common_seeds(claim: ClaimSpec, runs: RunsByCell, cell: str) -> list[Run]:
    cells = companions(claim, cell)
    common = set.intersection(*({run.seed for run in runs.get(c, ())} for c in cells))
    if len(common) < 2:
        raise UnsettledError(f"{' and '.join(cells)} have fewer than two seeds in common")
    return [run for run in runs[cell] if run.seed in common]
