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


class PolicyPathSettings(LookSettings):
    """Settings of the analysis of a path."""

    every: int = Field(default=25, ge=1, description="policy updates between snapshots")


class PolicyPath:
    """The temporal SVD of the recorded policy path, not centred (PPTB paper Sec. 3).

    Figures: `snapshots`; `information_1`, `_2`, `_8`, the share of the largest singular values in
    the sum of all; `dimensionality_90`, `_95`, `_99`, the directions that hold 90, 95, 99 % of it;
    `detour_ratio`, the median of accumulated over final change over the parameters that moved.
    Arrays: `singular_values` [d] and `coordinates` [n, 8], the leading coordinate curves.
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
        spectrum = spectrum_of_gram(gram, min(path.snapshots, path.size))
        share = information(spectrum.singular_values)
        figures = {f"information_{k}": float(share[:k][-1]) for k in (1, 2, 8)}
        for percent in (90, 95, 99):
            dimensionality = major_dimensionality(spectrum.singular_values, percent / 100)
            figures[f"dimensionality_{percent}"] = float(dimensionality)
        figures["snapshots"] = float(path.snapshots)
        figures["detour_ratio"] = float(np.median(np.concatenate(detours)))
        return Result(
            figures=figures,
            arrays={
                "singular_values": spectrum.singular_values,
                "coordinates": np.ascontiguousarray(spectrum.coordinates[:, :8]),
            },
        )
