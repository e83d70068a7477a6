"""How far and which way optimiser steps turn the weights, and how often gradients are clipped."""

from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel, Field

from suite.analysis.protocol import Diagnostic, LookSettings, Points, RecordedRun, Result

CLIPPED = 0.999  # of the largest norm that is let through


class UpdatesSettings(LookSettings):
    """Settings of the look at optimiser steps."""

    every: int = Field(default=100, ge=1, description="optimiser steps between two looks")


class Updates:
    """Optimiser steps, averaged between evaluations.

    Series, for each weight of each group (`actor/hidden1`, `critic/q1.hidden1`, ...): `angle/...`
    by which a step turns it, in radians; `relative_update/...`, the step's length over the
    weight's; `radial_share/...` and `gradient_radial_share/...`, the cosine between the weight and
    its step and gradient (NaP paper App. A.5: gradients of normed weights have none);
    `gradient_norm/...`.
    For each group `gradient_norm/<group>`, after clipping, and, where norms follow weights,
    `effective_learning_rate/<group>`: the learning rate times the first over the present norm of
    all these together (NaP paper Def. 1, normalised steps). `clip_rate`, of agents that clip: the
    share of steps whose joint gradient norm is at the limit.
    """

    VERSION: ClassVar[int] = 1
    Settings: ClassVar[type[BaseModel]] = UpdatesSettings
    DIAGNOSTICS: ClassVar[tuple[Diagnostic, ...]] = (
        Diagnostic("angle/*", mean_over="layers"),
        Diagnostic("relative_update/*", mean_over="layers"),
        Diagnostic("radial_share/*", mean_over="layers"),
        Diagnostic("gradient_radial_share/*", mean_over="layers"),
        Diagnostic("effective_learning_rate/*"),
        Diagnostic("clip_rate"),
    )

    def __init__(self, settings: UpdatesSettings) -> None:
        self.settings = settings

    def recordings(self) -> tuple[tuple[str, dict[str, Any]], ...]:
        return (("updates", {"every": self.settings.every}),)

    def analyse(self, run: RecordedRun) -> Result:
        every = self.settings.every
        evaluations = run.columns("updates", "evaluations.rows", every=every)
        steps = evaluations.pop("step").astype(np.int64)
        series: dict[str, Points] = {}
        joint: np.ndarray | float = 0.0
        for group, ends in evaluations.items():
            columns = run.columns("updates", f"updates-{group}.rows", every=every)
            at = columns.pop("step")
            norm, rate = columns.pop("normed_norm"), columns.pop("learning_rate")
            if norm.size and norm[0] > 0:
                columns["effective_learning_rate"] = rate * norm[0] / norm
            for name, values in columns.items():
                what, _, weight = name.partition("/")
                place = f"{group}/{weight}" if weight else group
                series[f"{what}/{place}"] = _between(steps, ends, at, values)
            joint = np.hypot(joint, columns["gradient_norm"])
        limit = run.spec.agent.settings.get("max_gradient_norm")
        if limit is not None:
            clipped = (joint >= CLIPPED * limit).astype(np.float64)
            series["clip_rate"] = _between(steps, ends, at, clipped)
        return Result(series)


def _between(steps: np.ndarray, ends: np.ndarray, at: np.ndarray, values: np.ndarray) -> Points:
    """The mean over each stretch of optimiser steps that ends with an evaluation and was looked
    at."""
    stretch = np.searchsorted(ends, at)  # the first evaluation that is not before the step
    inside = stretch < len(ends)
    counts = np.bincount(stretch[inside], minlength=len(ends))
    with np.errstate(invalid="ignore"):
        means = np.bincount(stretch[inside], values[inside], minlength=len(ends)) / counts
    return steps[counts > 0], means[counts > 0]
