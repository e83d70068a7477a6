"""Null models by name: what a claim's observed value would be without the effect.

Nulls of paths and subspaces are exact; those of runs are drawn from the runs that the claim
compares, by a seeded generator. Definitions are those of the claims' papers (PPTB notes 2.1 and
3.5, policy gradient subspaces 1.4).
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import assert_never

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from suite.analysis.policy_spectrum import (
    PathSpectrum,
    detour_ratio,
    information,
    major_dimensionality,
    path_spectrum,
    sign_changes,
)
from suite.specs.claims import (
    BestOfN,
    ClaimSpec,
    CorrelationClaim,
    DifferenceClaim,
    EquivalenceClaim,
    EquivalenceMargin,
    GapMargin,
    LiteralNull,
    Null,
    PlainTime,
    RandomSubspace,
    RandomWalk,
    RatioClaim,
    SeriesPair,
    SnapshotAverage,
    TimeShuffled,
)
from suite.specs.models import Spec
from suite.stats.columns import (
    RunsByCell,
    UnsettledError,
    coefficient,
    pair_of_series,
    read,
    values_of,
)
from suite.stats.intervals import CONFIDENCE, NoIntervalError, Precision
from suite.stats.rules import Bounds, compare, random_return, unit
from suite.stats.runs import NoFigureError, Run, return_curves
from suite.stats.scores import Curves

DRAWS = 2000
Array = NDArray[np.float64]


class ResolvedNull(Spec):
    """A null with its value, and its two-sided 95 % range where it has one.

    Without a value it could not be computed, and `source` says why.
    """

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    source: str
    must_be_beaten: bool = False


def resolve(claim: ClaimSpec, runs: RunsByCell) -> ResolvedNull | None:
    """The claim's null; `runs` has the usable runs of the cells that the claim names."""
    null = claim.null
    if null is None:
        return None
    try:
        found = _resolved(null, claim, runs)
    except (UnsettledError, NoFigureError, NoIntervalError) as error:
        found = ResolvedNull(name=in_words(null), value=None, source=f"not computed: {error}")
    numbers = {
        end: None if number is None else float(f"{number:.10g}")
        for end, number in (("value", found.value), ("low", found.low), ("high", found.high))
    }
    return found.model_copy(update={"must_be_beaten": null.must_be_beaten, **numbers})


def beaten(null: ResolvedNull | None, bound: Bounds) -> bool:
    """Whether a null that must be beaten is: the observed value lies beyond its range, or beyond
    its value where it has no range, in the claimed direction."""
    if null is None or not null.must_be_beaten:
        return True
    if null.value is None:
        return False
    observed = bound.interval.observed
    if np.isfinite(bound.above):
        return observed > (null.value if null.high is None else null.high)
    return observed < (null.value if null.low is None else null.low)


def in_words(null: Null) -> str:
    """What a null is called."""
    match null:
        case LiteralNull():
            return null.name
        case BestOfN():
            return f"best of {null.n} settings without effect"
        case SnapshotAverage():
            return "averaging the last snapshots"
        case RandomWalk():
            parts = [f"random walk of {null.snapshots} snapshots"]
            parts += [f"offset {null.offset:g}"] if null.offset else []
            parts += [f"drift {null.drift:g}"] if null.drift else []
            return ", ".join(parts)
        case RandomSubspace():
            return f"random subspace, {null.subspace} of {null.dimensions} dimensions"
        case TimeShuffled():
            return "one series shuffled in time"
        case PlainTime():
            return "correlation with time"
        case EquivalenceMargin():
            return "margin of equivalence"
        case _:
            assert_never(null)


def _resolved(null: Null, claim: ClaimSpec, runs: RunsByCell) -> ResolvedNull:
    name = in_words(null)
    match null:
        case LiteralNull():
            return ResolvedNull(
                name=name, value=null.value, low=null.low, high=null.high, source=null.source
            )
        case BestOfN():
            assert isinstance(claim, DifferenceClaim | RatioClaim)
            source = f"drawn {DRAWS} times from the control's seeds"
            value = float(_selected(claim, runs, null.n, known_spread=True).mean())
            range_ = _with_range(name, _selected(claim, runs, null.n, known_spread=False), source)
            return range_.model_copy(update={"value": value})
        case SnapshotAverage():
            averaged = claim.model_copy(update={"treatment": null.cells, "null": None})
            seen = compare(averaged, read(averaged, runs), Precision())[0].interval
            return ResolvedNull(
                name=name,
                value=seen.observed,
                low=seen.low,
                high=seen.high,
                source="the claim's statistic of the averaging cells",
            )
        case RandomWalk():
            return ResolvedNull(name=name, value=of_walk(null), source=f"exact {null.quantity}")
        case RandomSubspace():
            shares = random_subspace(null.subspace, null.dimensions)
            low, high = shares.interval(CONFIDENCE)
            return ResolvedNull(
                name=name,
                value=float(shares.mean()),
                low=float(low),
                high=float(high),
                source="Beta(k/2, (n-k)/2)",
            )
        case TimeShuffled():
            drawn = _shuffled(claim, runs)
            return _with_range(name, drawn, f"drawn {DRAWS} times from the runs")
        case PlainTime():
            return ResolvedNull(name=name, value=_with_time(claim, runs), source="the same runs")
        case EquivalenceMargin():
            return _margin(name, claim, runs)
        case _:
            assert_never(null)


# Selection.


def best_of_n(
    curves: Sequence[Curves],
    figure: Callable[[Array], Array],
    combine: Callable[[Array, Array], Array],
    *,
    n: int,
    seeds: int,
    largest: bool,
    known_spread: bool,
    draws: int,
    rng: np.random.Generator,
) -> Array:
    """[draws] the statistic of selection alone: the best of n settings against a fresh control.

    `curves` [S, E] of the control, one array a task, of which groups of `seeds` are drawn with
    replacement. `figure` takes across-seed mean curves [..., E] to a number each; `combine` takes
    best and fresh [tasks, draws] to the statistic. Every setting is an independent draw, so
    settings that resemble each other select less.

    The spread between seeds is that of the control's. Unless it counts as known, each draw has one
    that would have given it: few seeds say little about it.
    """
    best, fresh = [], []
    for task in curves:
        count = len(task)
        if count < 2:
            raise NoIntervalError(f"{count} seed of the control is too few to draw from")
        # Drawing with replacement has (S - 1) / S of the variance between seeds.
        mean = task.mean(axis=0)
        scale = np.full(draws, np.sqrt(count / (count - 1)))
        if not known_spread:
            scale *= np.sqrt((count - 1) / rng.chisquare(count - 1, size=draws))
        shares = rng.multinomial(seeds, np.full(count, 1 / count), size=(draws, n + 1)) / seeds
        found = figure(mean + scale[:, np.newaxis, np.newaxis] * (shares @ (task - mean)))
        best.append(found[:, :n].max(axis=1) if largest else found[:, :n].min(axis=1))
        fresh.append(found[:, n])
    return combine(np.stack(best), np.stack(fresh))


def _selected(
    claim: DifferenceClaim | RatioClaim, runs: RunsByCell, n: int, *, known_spread: bool
) -> Array:
    columns = read(claim, runs)
    curves = [
        return_curves(runs[cell])[0]
        if claim.figure == "score"
        else values_of(claim, runs[cell])[:, np.newaxis]
        for cell in claim.control
    ]

    def figure(means: Array) -> Array:
        return np.asarray(means.max(axis=-1))

    def combine(best: Array, fresh: Array) -> Array:
        if isinstance(claim, DifferenceClaim):
            return np.asarray(((best - fresh) / units).mean(axis=0))
        return np.asarray(((best - units) / (fresh - units)).mean(axis=0))

    units = _units(claim, runs)
    return best_of_n(
        curves,
        figure,
        combine,
        n=n,
        seeds=min(len(columns[cell].seeds) for cell in claim.treatment),
        largest=claim.direction == "greater",
        known_spread=known_spread,
        draws=DRAWS,
        rng=np.random.default_rng(0),
    )


def _units(claim: DifferenceClaim | RatioClaim, runs: RunsByCell) -> Array:
    """[tasks, 1] what a difference is divided by, or what is taken off both sides of a ratio."""
    columns = read(claim, runs)
    if isinstance(claim, DifferenceClaim):
        units = [unit(columns, cell) for cell in claim.reference] or [1.0] * len(claim.control)
    elif claim.baseline == "random":
        units = [random_return(columns, cell) for cell in claim.control]
    else:
        units = [0.0] * len(claim.control)
    return np.array(units)[:, np.newaxis]


# Paths and subspaces.


def walk_path(snapshots: int, offset: float = 0.0, drift: float = 0.0) -> Array:
    """[n, n + 2] a path whose Gram matrix is that of a random walk in very many dimensions.

    There steps are orthogonal and of equal length. `offset` is the distance of the start from the
    origin, `drift` the length of a steady move, both in units of the walk's displacement and at
    right angles to it.
    """
    displacement = np.sqrt(snapshots)
    time = np.arange(1, snapshots + 1) / snapshots
    constant = np.full(snapshots, offset * displacement)
    return np.column_stack([np.tri(snapshots), constant, drift * displacement * time])


def stationary_path(snapshots: int, autoregression: float) -> Array:
    """[n, n] a path whose Gram matrix is that of a stationary Ornstein-Uhlenbeck process in very
    many dimensions, with this coefficient from a snapshot to the next."""
    lag = np.abs(np.subtract.outer(np.arange(snapshots), np.arange(snapshots)))
    return np.asarray(np.linalg.cholesky(autoregression ** lag.astype(np.float64)))


def walk_parameter_detour(snapshots: int) -> float:
    """Median over parameters of a walk's accumulated over final change, for Gaussian steps."""
    mean_step = np.sqrt(2 / np.pi)
    median_end = stats.norm.isf(0.25)
    return float(mean_step / median_end * np.sqrt(snapshots - 1))


def averaged_snapshots(snapshots: int, rank: int) -> int:
    """How many last snapshots to average for about the move that trimming a walk to `rank` makes:
    their cosine is .93, and less for other numbers."""
    return round(0.56 * snapshots / rank)


def random_subspace(subspace: int, dimensions: int) -> stats.rv_continuous:
    """Distribution of the squared length of a unit vector's part in a random subspace."""
    return stats.beta(subspace / 2, (dimensions - subspace) / 2)


def of_walk(null: RandomWalk) -> float:
    """The quantity that the null names, of an exact walk."""
    if null.quantity == "parameter_detour":
        return walk_parameter_detour(null.snapshots)
    spectrum = _walk_spectrum(null.snapshots, null.offset, null.drift)
    values = spectrum.singular_values
    k = null.component - 1
    curve = spectrum.coordinates[:, k : k + 1]
    match null.quantity:
        case "singular_value_ratio":
            return float(values[k] / values[0])
        case "information":
            return float(information(values)[k])
        case "dimensionality":
            return float(major_dimensionality(values, null.share))
        case "sign_changes":
            return float(sign_changes(curve)[0])
        case "coordinate_detour":
            return float(detour_ratio(curve)[0])
        case "coordinate_monotonicity":
            time = np.arange(null.snapshots, dtype=np.float64)
            return abs(float(coefficient("spearman", curve[:, 0], time)))
        case _:
            assert_never(null.quantity)


@lru_cache(maxsize=8)
def _walk_spectrum(snapshots: int, offset: float, drift: float) -> PathSpectrum:
    return path_spectrum(walk_path(snapshots, offset, drift))


# Correlations and margins.


def _shuffled(claim: ClaimSpec, runs: RunsByCell) -> Array:
    """[cells * draws] median over seeds of the coefficient with the second series shuffled."""
    assert isinstance(claim, CorrelationClaim) and isinstance(claim.pair, SeriesPair)
    rng = np.random.default_rng(0)
    medians = []
    for cell in claim.measured:
        found = []
        for run in _some(runs, cell):
            first, second = pair_of_series(run, claim.pair)
            shuffled = rng.permuted(np.tile(second, (DRAWS, 1)), axis=1)
            found.append(coefficient(claim.method, first[np.newaxis], shuffled))
        medians.append(np.median(found, axis=0))
    return np.concatenate(medians)


def _with_time(claim: ClaimSpec, runs: RunsByCell) -> float:
    assert isinstance(claim, CorrelationClaim) and isinstance(claim.pair, SeriesPair)
    medians = []
    for cell in claim.measured:
        found = []
        for run in _some(runs, cell):
            second = pair_of_series(run, claim.pair)[1]
            time = np.arange(len(second), dtype=np.float64)
            found.append(float(coefficient(claim.method, second, time)))
        medians.append(float(np.median(found)))
    return max(medians) if claim.direction == "above" else min(medians)


def _margin(name: str, claim: ClaimSpec, runs: RunsByCell) -> ResolvedNull:
    assert isinstance(claim, EquivalenceClaim)
    if not isinstance(claim.margin, GapMargin):
        return ResolvedNull(name=name, value=claim.margin, source="the claim's margin")
    columns = read(claim, runs)
    upper, lower = (columns[c].values for c in (claim.margin.upper, claim.margin.lower))
    margin = claim.margin.fraction * float(np.median(upper - lower))
    # The claim's statistic is the difference less the margin.
    source = f"{claim.margin.fraction:g} of the gap in the same runs, {margin:.4g}, is taken off"
    return ResolvedNull(name=name, value=0.0, source=source)


def _some(runs: RunsByCell, cell: str) -> Sequence[Run]:
    if not runs.get(cell):
        raise UnsettledError(f"{cell} has no usable run")
    return runs[cell]


def _with_range(name: str, drawn: Array, source: str) -> ResolvedNull:
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return ResolvedNull(
        name=name, value=float(drawn.mean()), low=float(low), high=float(high), source=source
    )
