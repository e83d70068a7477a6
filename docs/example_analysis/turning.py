from typing import Any

import numpy as np
from pydantic import Field

from suite.analysis.protocol import LookSettings, RecordedRun, Result


class TurningSettings(LookSettings):
    every: int = Field(default=25, ge=1, description="policy updates between snapshots")


class Turning:
    """How straight a policy's path is. Figures: `cosine`, the mean over successive recorded steps,
    0 for a random walk; `straightness`, the distance it gets over the length of its path."""

    VERSION = 1
    Settings = TurningSettings

    def __init__(self, settings: TurningSettings) -> None:
        self.settings = settings

    def recordings(self) -> tuple[tuple[str, dict[str, Any]], ...]:
        return (("path", {"every": self.settings.every}),)

    def analyse(self, run: RecordedRun) -> Result:
        path = run.path(every=self.settings.every).columns().astype(np.float64)
        if len(path) < 3:
            raise ValueError(f"a path of {len(path)} snapshots has no turn, take a smaller `every`")
        steps = np.diff(path, axis=0)
        lengths = np.linalg.norm(steps, axis=1)
        cosines = (steps[1:] * steps[:-1]).sum(axis=1) / (lengths[1:] * lengths[:-1])
        far = np.linalg.norm(path[-1] - path[0])
        return Result(figures={"cosine": cosines.mean(), "straightness": far / lengths.sum()})
