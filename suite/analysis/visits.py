"""Returns in the visits to the games of a sequence."""

from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel

from suite.analysis.protocol import Diagnostic, LookSettings, RecordedRun, Result


class VisitsSettings(LookSettings):
    """There is nothing to set."""


class Visits:
    """Mean return over the evaluations of each visit to a game (NaP paper Fig. 6, left).

    Series `<game>/<visit>`, visits to a game counted from 1: the returns, by steps since the switch
    to it. Figures: the same name, their mean; and `second_over_first`, the second
    visit to the sequence's first game over the first one, in which the network was fresh.

    Raises ValueError for a run of a task that is no sequence, or one without evaluations in a
    visit.
    """

    VERSION: ClassVar[int] = 2
    Settings: ClassVar[type[BaseModel]] = VisitsSettings
    DIAGNOSTICS: ClassVar[tuple[Diagnostic, ...]] = (
        Diagnostic("*", over="steps since the switch"),
    )

    def __init__(self, settings: VisitsSettings) -> None:
        self.settings = settings

    def recordings(self) -> tuple[tuple[str, dict[str, Any]], ...]:
        return ()

    def analyse(self, run: RecordedRun) -> Result:
        games = run.spec.task.arguments.get("games")
        if not games:
            raise ValueError(
                f"task {run.spec.task.name!r} of run {run.key} is no sequence of games"
            )
        every = int(run.spec.task.arguments["steps_per_visit"])
        returns = run.record["series"].get("return", {"step": [], "value": []})
        steps, values = np.array(returns["step"]), np.array(returns["value"], np.float64)
        series: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        figures: dict[str, float] = {}
        for visit in range(-(-run.spec.budget // every)):
            # An evaluation at a switch is of the game that was learned.
            during = (steps > visit * every) & (steps <= (visit + 1) * every)
            if not during.any():
                raise ValueError(f"run {run.key} has no evaluation in visit {visit + 1}")
            number, place = divmod(visit, len(games))
            name = f"{games[place]}/{number + 1}"
            series[name] = (steps[during] - visit * every, values[during])
            figures[name] = float(values[during].mean())
        first, second = (figures.get(f"{games[0]}/{number}") for number in (1, 2))
        if first is not None and second is not None and first > 0:
            figures["second_over_first"] = second / first
        return Result(series, figures)
