"""The analysis protocol: a function of one finished run and its recordings, without training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
from pydantic import BaseModel

from suite.analysis.recorded import RecordedRun
from suite.recordings.protocol import LookSettings
from suite.specs.models import RecordingSpec

__all__ = [
    "Analysis",
    "Diagnostic",
    "LookSettings",
    "RecordedRun",
    "RecordingSpec",
    "Result",
    "document_of",
]

Points = tuple[np.ndarray, np.ndarray]
"""Training steps [E] and the values there [E]."""


@dataclass(frozen=True)
class Result:
    """What an analysis found: series over training, figures, and arrays for those who want more.

    Claims and figures name a series or figure `analysis/name`. What is not finite counts as
    unknown.
    """

    series: Mapping[str, Points] = field(default_factory=dict)
    figures: Mapping[str, float] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Diagnostic:
    """Series of an analysis that the report draws with every task's curves.

    `series` is the name of one, without the analysis, or ends in `*`: each that begins so has a
    figure of its own, or all have one of their mean over what `mean_over` says ("layers").
    `over` is the label of the horizontal axis.
    """

    series: str
    over: str = "step"
    mean_over: str = ""


class Analysis(Protocol):
    """An analysis is built from its settings and called once for every finished run.

    `VERSION` is its behaviour version: raising it makes its own results stale and nothing else. It
    reads what the run recorded and nothing of other runs, and draws random numbers from streams
    that the run's seed names (`suite.stacked.streams.stream`).

    A class may have `DIAGNOSTICS: ClassVar[tuple[Diagnostic, ...]]`. Series that it does not name
    are for claims and for the figures of studies.
    """

    VERSION: ClassVar[int]
    Settings: ClassVar[type[BaseModel]]

    def __init__(self, settings: Any) -> None: ...

    def recordings(self) -> tuple[tuple[str, dict[str, Any]], ...]:
        """Kind and settings of every recording that it reads."""
        ...

    def analyse(self, run: RecordedRun) -> Result: ...


def document_of(result: Result) -> dict[str, Any]:
    """The JSON of a result: `{"series": {name: {"step", "value"}}, "figures": {name: value}}`."""
    return {
        "series": {
            name: {"step": _numbers(steps), "value": _numbers(values)}
            for name, (steps, values) in result.series.items()
        },
        "figures": {name: _number(float(value)) for name, value in result.figures.items()},
    }


def _numbers(values: np.ndarray) -> list[float | int | None]:
    return [_number(value) for value in np.asarray(values).tolist()]


def _number(value: float) -> float | int | None:
    return value if math.isfinite(value) else None
