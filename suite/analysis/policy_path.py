"""How far a policy's parameters travel, and how few directions their path has."""

from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel, Field

from suite.analysis.policy_spectrum import (
    accumulated_change,
    detour_ratio,
    information,
    major_dimensionality,
    spectrum_of_gram,
)
from suite.analysis.protocol import LookSettings, RecordedRun, Result

COLUMNS = 4096  # parameters that are read at once
DIRECTIONS = (1, 2, 8)
PERCENTS = (90, 95, 99)
UNKNOWN = (
    *(f"information_{k}" for k in DIRECTIONS),
    *(f"dimensionality_{percent}" for percent in PERCENTS),
    "detour_ratio",
)


class PolicyPathSettings(LookSettings):
    """Settings of the analysis of a path."""

    every: int = Field(default=25, ge=1, description="policy updates between snapshots")


class PolicyPath:
    """The temporal SVD of the recorded policy path, not centred (PPTB paper Sec. 3).

    Figures: `snapshots`; `information_1`, `_2`, `_8`, the share of the largest singular values in
    the sum of all; `dimensionality_90`, `_95`, `_99`, the directions that hold 90, 95, 99 % of it;
    `detour_ratio`, the median of accumulated over final change over the parameters that moved,
    unknown where none did. Arrays: `singular_values` [d] and `coordinates` [n, 8], the leading
    coordinate curves. Of a path that is not finite only `snapshots` is known.
    """

    VERSION: ClassVar[int] = 1
    Settings: ClassVar[type[BaseModel]] = PolicyPathSettings

    def __init__(self, settings: PolicyPathSettings) -> None:
        self.settings = settings

    def recordings(self) -> tuple[tuple[str, dict[str, Any]], ...]:
        return (("path", {"every": self.settings.every}),)

    def analyse(self, run: RecordedRun) -> Result:
        path = run.path(every=self.settings.every)
        gram = np.zeros((path.snapshots, path.snapshots))
        detours = []
        for first in range(0, path.size, COLUMNS):
            part = path.columns(slice(first, first + COLUMNS)).astype(np.float64)
            gram += part @ part.T
            detours.append(detour_ratio(part)[accumulated_change(part) > 0])
        figures = {"snapshots": float(path.snapshots)}
        if not np.isfinite(gram).all():
            return Result(figures=figures | dict.fromkeys(UNKNOWN, float("nan")))
        spectrum = spectrum_of_gram(gram, min(path.snapshots, path.size))
        share = information(spectrum.singular_values)
        figures |= {f"information_{k}": float(share[:k][-1]) for k in DIRECTIONS}
        for percent in PERCENTS:
            dimensionality = major_dimensionality(spectrum.singular_values, percent / 100)
            figures[f"dimensionality_{percent}"] = float(dimensionality)
        moved = np.concatenate(detours)
        figures["detour_ratio"] = float(np.median(moved)) if moved.size else float("nan")
        return Result(
            figures=figures,
            arrays={
                "singular_values": spectrum.singular_values,
                "coordinates": np.ascontiguousarray(spectrum.coordinates[:, :8]),
            },
        )
