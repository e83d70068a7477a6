"""The losses of every learn call."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import BaseModel, Field

from suite.recordings.protocol import LookSettings, RecordedAgent
from suite.recordings.rows import Rows
from suite.stacked.streams import State, add_prefix, take_prefix


class LossesSettings(LookSettings):
    """Settings of the losses."""

    every: int = Field(default=1, ge=1, description="learn calls between rows")


class LossesRecording:
    """A row every `every` learn calls: `update`, their number so far, and the loss of each group
    that this call moved, before its step (`loss/critic`), in float64; unknown for the others. The
    series `loss/` of a run's record are means over all learn calls between evaluations.
    """

    VERSION: ClassVar[int] = 1
    Settings: ClassVar[type[BaseModel]] = LossesSettings

    def __init__(
        self, settings: LossesSettings, agent: RecordedAgent, folders: Sequence[Path]
    ) -> None:
        self.settings = settings
        self._steps = {name: group.steps for name, group in agent.groups.items()}
        names = ["update", *(f"loss/{name}" for name in agent.groups)]
        self._rows = [
            Rows(folder / "losses.rows", "f8", (len(names),), names) for folder in folders
        ]

    def begin(self) -> None:
        for rows in self._rows:
            rows.begin()

    def after_update(self, agent: RecordedAgent, observations: object) -> None:
        table = np.full((len(self._rows), 1 + len(agent.groups)), np.nan)
        table[:, 0] = agent.updates
        for column, (name, group) in enumerate(agent.groups.items(), start=1):
            if group.steps != self._steps[name] and group.loss is not None:
                table[:, column] = group.loss.cpu().numpy()
            self._steps[name] = group.steps
        if agent.updates % self.settings.every == 0:
            for rows, values in zip(self._rows, table, strict=True):
                rows.append(values)

    def at_evaluation(self, agent: RecordedAgent, step: int) -> None:
        pass

    def flush(self) -> None:
        for rows in self._rows:
            rows.flush()

    def state(self) -> State:
        steps = {name: np.full(len(self._rows), number) for name, number in self._steps.items()}
        return {"rows": np.array([rows.count for rows in self._rows]), **add_prefix("steps", steps)}

    def load_state(self, state: State) -> None:
        for name, number in take_prefix("steps", state).items():
            self._steps[name] = int(number[0])
        for rows, count in zip(self._rows, state["rows"], strict=True):
            rows.resume(int(count))
