"""How far the losses of coupled networks are apart."""

from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel

from suite.analysis.protocol import Diagnostic, LookSettings, RecordedRun, Result

WINDOW = 50  # steps


class TwinGapSettings(LookSettings):
    """There is nothing to set."""


class TwinGap:
    """The loss of a projected network and of the free one on the same data (NaP paper Fig. 3).

    Series `gap`: the distance of their losses over the free one's, averaged over each 50 steps.
    Figure `gap`: its mean over all steps.

    Raises ValueError for a run of another agent than twins.
    """

    VERSION: ClassVar[int] = 2
    Settings: ClassVar[type[BaseModel]] = TwinGapSettings
    DIAGNOSTICS: ClassVar[tuple[Diagnostic, ...]] = (Diagnostic("gap"),)

    def __init__(self, settings: TwinGapSettings) -> None:
        self.settings = settings

    def recordings(self) -> tuple[tuple[str, dict[str, Any]], ...]:
        return (("losses", {}),)

    def analyse(self, run: RecordedRun) -> Result:
        columns = run.columns("losses", "losses.rows", every=1)
        if "loss/free" not in columns:
            raise ValueError(f"run {run.key} of agent {run.spec.agent.name!r} has no twin")
        free, projected = (columns[f"loss/{name}"] for name in ("free", "classifier"))
        gap = np.abs(projected - free) / free
        ends = np.arange(WINDOW, len(gap) + 1, WINDOW)
        means = gap[: len(ends) * WINDOW].reshape(-1, WINDOW).mean(axis=1)
        return Result({"gap": (ends, means)}, {"gap": float(gap.mean())})
