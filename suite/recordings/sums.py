"""Sums over every update of the policy: how far each parameter travelled."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from pydantic import BaseModel

from suite.recordings.protocol import LookSettings, RecordedAgent
from suite.recordings.rows import Rows
from suite.stacked.streams import State


class SumsSettings(LookSettings):
    """There is nothing to set."""


class SumsRecording:
    """The absolute change of every parameter of the policy, summed over all its optimiser steps
    (accumulated parameter change, PPTB paper Sec. 3.1), a row [m] float32 at every evaluation.
    Changes by plug-ins between two steps count with the step that follows them.
    """

    VERSION: ClassVar[int] = 1
    Settings: ClassVar[type[BaseModel]] = SumsSettings

    def __init__(
        self, settings: SumsSettings, agent: RecordedAgent, folders: Sequence[Path]
    ) -> None:
        group = agent.groups[agent.policy]
        self._steps = group.steps
        self._before = group.parameters.flat.detach().clone()
        self._sums = torch.zeros_like(self._before, dtype=torch.float64)
        shape = (self._before.shape[1],)
        self._rows = [Rows(folder / "accumulated.rows", "f4", shape) for folder in folders]

    def begin(self) -> None:
        for rows in self._rows:
            rows.begin()

    def after_update(self, agent: RecordedAgent, observations: object) -> None:
        group = agent.groups[agent.policy]
        if group.steps != self._steps:
            self._steps = group.steps
            present = group.parameters.flat.detach()
            self._sums += (present - self._before).abs_()
            self._before.copy_(present)

    def at_evaluation(self, agent: RecordedAgent, step: int) -> None:
        sums = self._sums.float().cpu().numpy()
        for rows, values in zip(self._rows, sums, strict=True):
            rows.append(values)

    def flush(self) -> None:
        for rows in self._rows:
            rows.flush()

    def state(self) -> State:
        return {
            "rows": np.array([rows.count for rows in self._rows]),
            "steps": np.full(len(self._rows), self._steps),
            "before": self._before,
            "sums": self._sums,
        }

    def load_state(self, state: State) -> None:
        self._steps = int(state["steps"][0])
        self._before.copy_(torch.as_tensor(state["before"]))
        self._sums.copy_(torch.as_tensor(state["sums"]))
        for rows, count in zip(self._rows, state["rows"], strict=True):
            rows.resume(int(count))
