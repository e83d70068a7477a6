"""Weight norms and effective learning rate per layer, at evaluations."""

from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel

from suite.analysis.protocol import Diagnostic, LookSettings, RecordedRun, Result


class WeightNormsSettings(LookSettings):
    """There is nothing to set."""


class WeightNorms:
    """Frobenius norms of every weight tensor, and what they do to the learning rate.

    Series, for each weight of each group (`actor/hidden1`, `critic/q1.hidden1`, ...): `norm/...`
    the norm |W|, `ratio/...` |W| over its norm rho at initialisation,
    `effective_learning_rate/...` eta * rho / |W| with the optimiser's learning rate eta at that
    moment (NaP paper Def. 1, normalised steps, the case of Adam and RMSprop). The effective
    learning rate of a zero weight is infinite: unknown. Biases are left out, also where a first
    layer keeps one before a norm: that norm is blind to the scale of both together only.
    """

    VERSION: ClassVar[int] = 1
    Settings: ClassVar[type[BaseModel]] = WeightNormsSettings
    DIAGNOSTICS: ClassVar[tuple[Diagnostic, ...]] = (
        # Norms differ between layers by what they began with.
        Diagnostic("ratio/*", mean_over="layers"),
        Diagnostic("effective_learning_rate/*", mean_over="layers"),
    )

    def __init__(self, settings: WeightNormsSettings) -> None:
        self.settings = settings

    def recordings(self) -> tuple[tuple[str, dict[str, Any]], ...]:
        return (("norms", {}),)

    def analyse(self, run: RecordedRun) -> Result:
        columns = run.columns("norms", "norms.rows")
        steps = columns["step"].astype(np.int64)
        series = {}
        for column, norm in columns.items():
            what, _, weight = column.partition("/")
            if what == "norm":
                rate = columns[f"learning_rate/{weight.partition('/')[0]}"]
                with np.errstate(divide="ignore", invalid="ignore"):
                    ratio = norm / norm[0]
                    series[f"norm/{weight}"] = (steps, norm)
                    series[f"ratio/{weight}"] = (steps, ratio)
                    series[f"effective_learning_rate/{weight}"] = (steps, rate / ratio)
        return Result(series)
