"""How far the losses of coupled networks are apart."""

from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel

from suite.analysis.protocol import LookSettings, RecordedRun, Result


class TwinGapSettings(LookSettings):
    """There is nothing to set."""


class TwinGap:
    """The loss of a projected network and of the free one on the same data (NaP paper Fig. 3).

    Series `gap`: the distance of their mean losses since the last evaluation, over the free one's.
    Figure `gap`: its mean over evaluations.

    Raises ValueError for a run of another agent than twins.
    """

    VERSION: ClassVar[int] = 1
    Settings: ClassVar[type[BaseModel]] = TwinGapSettings

    def __init__(self, settings: TwinGapSettings) -> None:
        self.settings = settings

    def recordings(self) -> tuple[tuple[str, dict[str, Any]], ...]:
        return ()

    def analyse(self, run: RecordedRun) -> Result:
        series = run.record["series"]
        if "loss/free" not in series:
            raise ValueError(f"run {run.key} of agent {run.spec.agent.name!r} has no twin")
        steps = np.array(series["loss/free"]["step"])
        free, projected = (
            np.array(series[f"loss/{name}"]["value"], np.float64) for name in ("free", "classifier")
        )
        gap = np.abs(projected - free) / free
        return Result({"gap": (steps, gap)}, {"gap": float(gap.mean())})
