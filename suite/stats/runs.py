"""Runs as claims see them: what a record and its provenance say, and figures taken from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from suite.specs.claims import (
    RETURN_FIGURES,
    Clock,
    Figure,
    SecondsShare,
    SeriesFigure,
    is_named,
)
from suite.specs.models import AnalysisSpec, Scale
from suite.stats.scores import auc_per_seed, final_per_seed, score
from suite.store import numerics
from suite.store.evidence import Record
from suite.store.store import State


class NoFigureError(ValueError):
    """A run lacks a figure that a claim reads; the message names both."""


@dataclass(frozen=True)
class Series:
    """A series of a run: training steps [E] and values [E], float64; NaN where unknown."""

    steps: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Run:
    """One seed of a cell, in whatever state it is."""

    key: str
    cell: str
    scale: Scale
    seed: int
    state: State
    message: str = ""
    spec: Mapping[str, Any] = field(default_factory=dict)
    series: Mapping[str, Series] = field(default_factory=dict)
    figures: Mapping[str, float | None] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    stale: str = ""
    """Why the run is not counted: its spec or a behaviour version is no longer the present one."""
    analyses: Mapping[str, int] = field(default_factory=dict)
    """Versions of the analyses whose results are among its series and figures, `analysis/name`."""
    lacking: tuple[str, ...] = ()
    """Analyses that its spec asks for and that have no present result."""

    @classmethod
    def of(
        cls, record: Record, *, stale: str = "", analyses: Sequence[AnalysisSpec] | None = None
    ) -> "Run":
        """From the record, the provenance and the results of analyses that a finished run leaves.

        Of its results those of `analyses` count, with their settings and version; None: all.
        """
        document = record.record
        results = [
            result for result in record.analyses if analyses is None or _is_of(result, analyses)
        ]
        series = _series(document)
        figures = dict(document["figures"])
        for result in results:
            name = result["analysis"]
            series |= {f"{name}/{inner}": found for inner, found in _series(result).items()}
            figures |= {f"{name}/{inner}": value for inner, value in result["figures"].items()}
        return cls(
            key=document["key"],
            cell=document["cell"],
            scale=document["scale"],
            seed=document["seed"],
            state=document["state"],
            message=document["message"] or "",
            spec=document["spec"],
            series=series,
            figures=figures,
            provenance=record.provenance,
            stale=stale,
            analyses={result["analysis"]: result["version"] for result in results},
        )

    @property
    def budget(self) -> int:
        """Planned steps."""
        return int(self.spec["budget"])

    @property
    def numerics(self) -> dict[str, str]:
        """What decided its bits beyond its spec (`suite.store.numerics`)."""
        return numerics.of(self.provenance)

    def name(self) -> str:
        """How a reason names the run."""
        return f"{self.cell} seed {self.seed} ({self.scale})"


def _series(document: Mapping[str, Any]) -> dict[str, Series]:
    return {
        name: Series(
            np.array(points["step"], dtype=np.float64),
            np.array(points["value"], dtype=np.float64),
        )
        for name, points in document["series"].items()
    }


def _is_of(result: Mapping[str, Any], analyses: Sequence[AnalysisSpec]) -> bool:
    """Whether a result is that of one of the analyses, with its settings and version."""
    told = (result["analysis"], result["settings"], result["version"])
    return any(told == (spec.kind, spec.settings, spec.version) for spec in analyses)


def figure_values(runs: Sequence[Run], figure: Figure) -> np.ndarray:
    """[S] the figure of each run of one cell, in the order given.

    `score` gives each seed's return at the step where the mean over these runs is best, so that
    the mean of the values is the score. Raises NoFigureError where a run lacks the figure.
    """
    if isinstance(figure, SeriesFigure):
        return np.array([_of_series(run, figure) for run in runs])
    if figure not in RETURN_FIGURES:
        return np.array([_of_record(run, figure) for run in runs])
    curves, steps = return_curves(runs)
    if figure == "score":
        return score(curves, steps).per_seed
    return auc_per_seed(curves) if figure == "auc" else final_per_seed(curves)


def return_curves(runs: Sequence[Run]) -> tuple[np.ndarray, np.ndarray]:
    """Evaluation returns [S, E] and their steps [E] of runs of one cell.

    Raises NoFigureError when a run has no returns or was evaluated at other steps.
    """
    for run in runs:
        if "return" not in run.series:
            raise NoFigureError(f"{run.name()} has no evaluation returns")
        series = run.series["return"]
        if not np.isfinite(series.values).all():
            raise NoFigureError(f"{run.name()} has evaluation returns that are not finite")
        if not np.array_equal(series.steps, runs[0].series["return"].steps):
            raise NoFigureError(f"{run.name()} was evaluated at other steps than its companions")
    first = runs[0].series["return"].steps
    return np.stack([run.series["return"].values for run in runs]), first


def seconds(run: Run, clock: Clock) -> float:
    """A wall-clock reading of a run; raises NoFigureError when provenance lacks it."""
    spent = run.provenance.get("seconds", {})
    for entry in (clock.seconds, clock.share_of if isinstance(clock, SecondsShare) else None):
        if entry is not None and entry not in spent:
            raise NoFigureError(f"{run.name()} has no wall-clock entry {entry!r}")
    if isinstance(clock, SecondsShare):
        return float(spent[clock.seconds] / spent[clock.share_of])
    calls = _of_series(run, SeriesFigure(series=clock.calls, take="last"))
    if calls < 1:
        raise NoFigureError(f"{run.name()} made no call that {clock.calls!r} counts")
    return float(spent[clock.seconds] / calls)


def _of_record(run: Run, figure: str) -> float:
    value = run.figures.get(figure)
    if value is None or not np.isfinite(value):
        raise NoFigureError(f"{run.name()} has no figure {figure!r}{_analysed(run, figure)}")
    return float(value)


def _analysed(run: Run, name: str) -> str:
    """What to do where the analysis that a name begins with has no present result."""
    analysis = name.partition("/")[0]
    if analysis not in run.lacking:
        return ""
    return f": analysis {analysis} has no present result, `suite analyse` computes it"


def _of_series(run: Run, figure: SeriesFigure) -> float:
    names = [name for name in sorted(run.series) if is_named(name, figure.series)]
    if not names:
        lacking = _analysed(run, figure.series)
        raise NoFigureError(f"{run.name()} has no series {figure.series!r}{lacking}")
    return float(np.mean([_taken(run, name, figure.take) for name in names]))


def _taken(run: Run, name: str, take: str) -> float:
    series = run.series[name]
    finite = np.isfinite(series.values)
    steps, values = series.steps[finite], series.values[finite]
    if len(values) == 0:
        raise NoFigureError(f"{run.name()} has no finite value in series {name!r}")
    if take in ("growth", "largest_growth"):
        if values[0] <= 0:
            raise NoFigureError(f"{run.name()}: series {name!r} starts at {values[0]:g}, no growth")
        return float((values[-1] if take == "growth" else values.max()) / values[0])
    if take == "rise":
        quarter = len(values) // 4
        if quarter == 0:
            raise NoFigureError(f"{run.name()}: series {name!r} has {len(values)} points, no rise")
        return float(values[-quarter:].mean() - values[:quarter].mean())
    if take == "half_way":
        return float(steps[np.argmax(values >= (values[0] + values.max()) / 2)])
    taken = {
        "first": values[0],
        "last": values[-1],
        "max": values.max(),
        "mean": values.mean(),
        "first_half": values[: (len(values) + 1) // 2].mean(),
    }
    return float(taken[take])
