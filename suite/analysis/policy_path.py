"""How far a policy's parameters travel, and how few directions their path has."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import BaseModel, Field
from scipy import linalg, stats

from suite.analysis.path_layers import PERIODS, Layer, read_layers, spread, thirds
from suite.analysis.path_nulls import (
    fitted_gram,
    noise_gram,
    step_energies,
    walk_gram,
)
from suite.analysis.policy_spectrum import (
    PathSpectrum,
    detour_ratio,
    dominant_frequencies,
    information,
    major_dimensionality,
    monotonicity,
    one_way,
    sign_changes,
    spectrum_of_pairs,
)
from suite.analysis.protocol import Diagnostic, LookSettings, Points, RecordedRun, Result
from suite.specs.models import RunSpec

PERCENTS = (50, 80, 90, 95, 99)
CONCENTRATED = 80  # percent of the singular values' sum that nulls are computed for
SEEN = f"dimensionality_{CONCENTRATED}"
DIRECTIONS = 8  # leading ones whose coordinates are looked at
STILL = 0.1  # of what a typical parameter of the first layer travels (PPTB notes, C1)
LEARNED = 0.95  # of the last return's gain: a run is looked at until it is there
LAST = 0.1  # of the evaluations, whose mean is the last return
LEAST = 6  # snapshots or evaluations below which nothing is told
POINTS = 41  # of curves that are no series over training


class PolicyPathSettings(LookSettings):
    """Settings of the analysis of a path."""

    every: int = Field(default=25, ge=1, description="policy updates between snapshots")
    snapshots: int = Field(
        default=2000, ge=8, description="at most so many of them, evenly spread, are decomposed"
    )


class PolicyPath:
    """Policy paths as the PPTB paper looks at them (Sec. 3), each beside paths that learn nothing.

    A layer is a linear layer or convolution with its bias; `all` are all parameters. Figures by
    layer, and of paths that learn nothing (`suite.analysis.path_nulls`):

    - `still/<layer>`: share of parameters that travel less than a tenth of what the first layer's
      typical one does, `still_moved` of those that move at all, `unmoved` those that never do;
      `gini`; `ks/<layer>/<layer>` between layers, and `first_apart`, how much farther the first
      layer is from others than the second from the last;
    - `detour/<layer>`: median of accumulated over final change of the 80 % that travel farthest,
      and `detour_over_walk`, that over what a walk with the same step lengths has;
    - `dimensionality_<percent>/<layer>/<period>`: directions that hold so much of the singular
      values' sum, in the whole path and its thirds, and `concentration`, those of 80 % over the
      snapshots; `<null>/dimensionality_80/...` and `over_<null>/...` for the nulls `walk`, `fitted`
      and, with Adam, `noise`; `largest_rise/dimensionality_80/<layer>`, the largest step from one
      third to the next, and the same of the nulls; `second_less_others/dimensionality_80`;
    - of the part until the return has risen, for all parameters: `monotonicity` and `one_way` of
      the first coordinate; `amplitude_kept`, how large the next seven are in the second half over
      the first; slopes of `sign_changes`, `frequency` and `coordinate_detour` of all eight over
      their number, each with its nulls; `tracks_return/<k>`, correlation of a coordinate with the
      return at evaluations, and `tracks_return_less_time`, the better of the first two less that of
      time itself.

    Series over something else than steps: `information/<layer>/<period>` over directions, with its
    `fitted_information`; `accumulated_quantiles` and `detour_quantiles/<layer>` over the share of
    parameters, with those of a walk, `walk_...`. `coordinate/<k>` and `fitted_coordinate/<k>` are
    over the snapshots' steps, as if updates were evenly spread over training. Arrays:
    `singular_values/<layer>` and `coordinates`.

    A layer that stays at zero is left out; of a path that is not finite only `snapshots` is known.
    """

    VERSION: ClassVar[int] = 3
    Settings: ClassVar[type[BaseModel]] = PolicyPathSettings
    DIAGNOSTICS: ClassVar[tuple[Diagnostic, ...]] = (
        Diagnostic("coordinate/1"),
        Diagnostic("coordinate/2"),
        Diagnostic("information/all/whole", over="directions"),
        Diagnostic("accumulated_quantiles/all", over="share of parameters"),
        Diagnostic("detour_quantiles/all", over="share of parameters"),
    )

    def __init__(self, settings: PolicyPathSettings) -> None:
        self.settings = settings

    def recordings(self) -> tuple[tuple[str, dict[str, Any]], ...]:
        return (("path", {"every": self.settings.every}),)

    def analyse(self, run: RecordedRun) -> Result:
        path = run.path(every=self.settings.every)
        rows = spread(path.snapshots, self.settings.snapshots)
        layers = read_layers(path, rows)
        layers = {name: layer for name, layer in layers.items() if layer.gram.any()}
        figures = {"snapshots": float(path.snapshots)}
        if len(rows) < LEAST or not layers or not np.isfinite(layers["all"].gram).all():
            return Result(figures=figures)
        interval = self.settings.every * (path.snapshots - 1) / (len(rows) - 1)
        found = Found({}, figures, {})
        _travels(found, layers)
        nulls: dict[str, np.ndarray] = {}
        for name, layer in layers.items():  # `all` is the last one
            nulls = self._nulls(run, layer, interval)
            _concentration(found, name, layer.gram, nulls)
        names = list(layers)[:-1]
        if len(names) > 2:
            first, second, last = (
                found.figures[f"{SEEN}/{name}/whole"] for name in (names[0], names[1], names[-1])
            )
            found.figures[f"second_less_others/{SEEN}"] = second - min(first, last)
        _coordinates(found, run.record["series"].get("return"), run.spec, layers["all"], nulls)
        return Result(found.series, found.figures, found.arrays)

    def _nulls(self, run: RecordedRun, layer: Layer, interval: float) -> dict[str, np.ndarray]:
        """Gram matrices of paths that learn nothing, for one layer."""
        count = len(layer.gram)
        found = {"walk": walk_gram(np.ones(count - 1)), "fitted": fitted_gram(layer.gram)}
        adam = adam_of(run.spec.agent.settings)
        if adam is not None:
            start, parameters = float(layer.gram[0, 0]), len(layer.accumulated)
            found["noise"] = noise_gram(start, parameters, count, interval, *adam)
        return found


@dataclass
class Found:
    """What was found so far."""

    series: dict[str, Points]
    figures: dict[str, float]
    arrays: dict[str, np.ndarray]


def adam_of(settings: Mapping[str, Any]) -> tuple[float, float] | None:
    """Step size and beta1 of the policy's Adam, None for another optimiser."""
    if settings.get("optimiser", "adam") != "adam":
        return None
    rate = settings.get("actor_learning_rate", settings.get("learning_rate"))
    beta = settings.get("adam_beta1", settings.get("beta1"))
    return None if rate is None or beta is None else (float(rate), float(beta))


def risen(returns: Mapping[str, list[Any]]) -> float:
    """The step of the first evaluation whose return has made 95 % of the whole gain; that of the
    last one where there is no gain."""
    steps, values = np.array(returns["step"], float), np.array(returns["value"], float)
    last = values[-max(1, round(LAST * len(values))) :].mean()
    wanted = values[0] + LEARNED * (last - values[0])
    there = np.flatnonzero(values >= wanted)
    return float(steps[there[0]] if last > values[0] and there.size else steps[-1])


def _travels(found: Found, layers: Mapping[str, Layer]) -> None:
    names = list(layers)[:-1]
    typical = np.median(layers[names[0]].accumulated)
    shares = np.linspace(0, 1, POINTS)
    for name, layer in layers.items():
        moved = layer.accumulated > 0
        still = layer.accumulated < STILL * typical
        energies = step_energies(layer.gram)
        figures = {
            "still": still.mean(),
            "still_moved": still[moved].mean() if moved.any() else np.nan,
            "unmoved": 1 - moved.mean(),
            "gini": _gini(layer.accumulated),
        }
        detours = layer.detours
        figures["detour"] = np.median(detours) if detours.size else np.nan
        with np.errstate(invalid="ignore"):  # of a layer that never moves
            walk = np.sqrt(2 / np.pi) * np.sqrt(energies).sum() / np.sqrt(energies.sum())
        figures["detour_over_walk"] = figures["detour"] / (walk / stats.norm.isf(0.25))
        found.figures |= {f"{what}/{name}": float(value) for what, value in figures.items()}
        # In a walk all parameters travel alike, and get as far as a Gaussian is from 0.
        ends = stats.norm.isf(shares[1:-1] / 2)
        nulls = (np.full(POINTS, layer.accumulated.mean()), np.array([1, *(walk / ends), np.nan]))
        parts = (("accumulated", layer.accumulated), ("detour", detours))
        for (what, values), null in zip(parts, nulls, strict=True):
            if values.size:
                found.series[f"{what}_quantiles/{name}"] = shares, np.quantile(values, shares)
                found.series[f"walk_{what}_quantiles/{name}"] = shares, null
    apart = {
        (one, other): _apart(layers[one].accumulated, layers[other].accumulated)
        for place, one in enumerate(names)
        for other in names[place + 1 :]
    }
    found.figures |= {f"ks/{one}/{other}": value for (one, other), value in apart.items()}
    if len(names) > 2:
        first, second, last = names[0], names[1], names[-1]
        nearest = min(apart[first, second], apart[first, last])
        found.figures["first_apart"] = nearest - apart[second, last]


def _concentration(
    found: Found, name: str, gram: np.ndarray, nulls: Mapping[str, np.ndarray]
) -> None:
    for period, part in {"whole": slice(None), **thirds(len(gram))}.items():
        place = f"{name}/{period}"
        values = singular_values(gram[part, part])
        directions = {
            percent: float(major_dimensionality(values, percent / 100)) for percent in PERCENTS
        }
        found.figures |= {f"dimensionality_{p}/{place}": d for p, d in directions.items()}
        found.figures[f"concentration/{place}"] = directions[CONCENTRATED] / len(values)
        _add_information(found, f"information/{place}", values)
        if period == "whole":
            found.arrays[f"singular_values/{name}"] = values
        for null, other in nulls.items():
            expected = singular_values(other[part, part])
            without = float(major_dimensionality(expected, CONCENTRATED / 100))
            found.figures[f"{null}/{SEEN}/{place}"] = without
            found.figures[f"over_{null}/{SEEN}/{place}"] = directions[CONCENTRATED] / without
            if null == "fitted":
                _add_information(found, f"fitted_information/{place}", expected)
    for null in ("", *(f"{null}/" for null in nulls)):
        periods = [found.figures[f"{null}{SEEN}/{name}/{period}"] for period in PERIODS]
        rises = [after - before for before, after in itertools.pairwise(periods)]
        found.figures[f"{null}largest_rise/{SEEN}/{name}"] = max(rises)


def _coordinates(
    found: Found,
    returns: Mapping[str, list[Any]] | None,
    spec: RunSpec,
    everything: Layer,
    nulls: Mapping[str, np.ndarray],
) -> None:
    """The leading coordinates of all parameters until the return has risen."""
    count = len(everything.gram)
    begin = spec.agent.settings.get("collect_steps", spec.agent.settings.get("warmup_steps", 0))
    steps = np.linspace(begin, spec.budget, count)
    returns = _from(begin, returns)
    end = count if returns is None else int(np.searchsorted(steps, risen(returns), "right"))
    found.figures["looked_at"] = end / count
    if end < LEAST:
        return
    part = slice(0, end)
    spectrum = leading(everything.gram[part, part])
    found.arrays["coordinates"] = spectrum.coordinates
    measured = _measures(spectrum)
    found.figures |= measured
    thin = spread(end, POINTS)
    for null, gram in nulls.items():
        expected = leading(gram[part, part])
        for name, value in _measures(expected).items():
            found.figures[f"{null}/{name}"] = value
            found.figures[f"over_{null}/{name}"] = measured[name] / value if value else np.nan
        if null == "fitted":
            for k in range(expected.coordinates.shape[1]):
                curve = expected.coordinates[thin, k]
                found.series[f"fitted_coordinate/{k + 1}"] = steps[thin], curve
    for k in range(spectrum.coordinates.shape[1]):
        found.series[f"coordinate/{k + 1}"] = steps[thin], spectrum.coordinates[thin, k]
    if returns is not None:
        found.figures |= _tracking(spectrum.coordinates, steps[part], returns)


def _from(step: int, series: Mapping[str, list[Any]] | None) -> Mapping[str, list[Any]] | None:
    """A series from a step on."""
    if series is None:
        return None
    later = [i for i, at in enumerate(series["step"]) if at >= step]
    return {name: [column[i] for i in later] for name, column in series.items()}


def _measures(spectrum: PathSpectrum) -> dict[str, float]:
    """How the leading coordinates move, and how that changes from one to the next."""
    curves = spectrum.coordinates
    number = np.arange(1, curves.shape[1] + 1)
    changing = {
        "sign_changes": sign_changes(curves),
        "frequency": dominant_frequencies(curves),
        "coordinate_detour": np.minimum(detour_ratio(curves), len(curves)),
    }
    slopes = {name: float(np.polyfit(number, each, 1)[0]) for name, each in changing.items()}
    first = curves[:, 0]
    halves = [np.sqrt((half[:, 1:] ** 2).mean(axis=0)) for half in np.array_split(curves, 2)]
    return {
        "monotonicity": monotonicity(first),
        "one_way": one_way(first),
        "amplitude_kept": float(np.median(halves[1] / halves[0])),
    } | slopes


def _tracking(
    curves: np.ndarray, steps: np.ndarray, returns: Mapping[str, list[Any]]
) -> dict[str, float]:
    """|Spearman's correlation| of the first two coordinates with the return at the evaluations."""
    at, values = np.array(returns["step"], float), np.array(returns["value"], float)
    within = (at >= steps[0]) & (at <= steps[-1]) & np.isfinite(values)
    if within.sum() < LEAST or np.ptp(values[within]) == 0:
        return {}
    found = {}
    for k in range(2):
        there = np.interp(at[within], steps, curves[:, k])
        found[f"tracks_return/{k + 1}"] = abs(
            float(stats.spearmanr(there, values[within]).statistic)
        )
    time = abs(float(stats.spearmanr(at[within], values[within]).statistic))
    best = max(found.values())
    return found | {"return_with_time": time, "tracks_return_less_time": best - time}


def singular_values(gram: np.ndarray) -> np.ndarray:
    """Those of a path from its Gram matrix, descending."""
    # Torch's solver needs two thirds of the time of NumPy's.
    values = torch.linalg.eigvalsh(torch.from_numpy(np.ascontiguousarray(gram))).numpy()
    return np.asarray(np.sqrt(np.clip(values[::-1], 0.0, None)))


def leading(gram: np.ndarray) -> PathSpectrum:
    """The first singular values and coordinate curves of a path from its Gram matrix."""
    count = len(gram)
    kept = min(DIRECTIONS, count)
    values, vectors = linalg.eigh(gram, subset_by_index=(count - kept, count - 1))
    return spectrum_of_pairs(values, vectors)


def _add_information(found: Found, name: str, values: np.ndarray) -> None:
    share = information(values)
    number = np.unique(np.geomspace(1, len(share), POINTS).round().astype(int))
    found.series[name] = number, share[number - 1]


def _apart(one: np.ndarray, other: np.ndarray) -> float:
    """Kolmogorov's and Smirnov's distance of two samples."""
    return float(stats.ks_2samp(one, other, method="asymp").statistic)


def _gini(values: np.ndarray) -> float:
    """Gini's coefficient of values that are not negative: 0 where all are equal."""
    ordered = np.sort(values)
    total = ordered.sum()
    place = np.arange(1, len(ordered) + 1)
    n = len(ordered)
    return float(2 * (place @ ordered) / (n * total) - (n + 1) / n) if total > 0 else 0.0
