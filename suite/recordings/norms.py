"""Weight norms and learning rates at evaluations: what effective learning rates are made of."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from pydantic import BaseModel

from suite.recordings.protocol import LookSettings, RecordedAgent
from suite.recordings.rows import Rows
from suite.stacked.streams import State


class NormsSettings(LookSettings):
    """There is nothing to set."""


class NormsRecording:
    """A row at every evaluation: the step, the Frobenius norm of every weight tensor of every group
    (`norm/actor/hidden1`), summed in float64, and the learning rate of each group's optimiser
    (`learning_rate/actor`).
    """

    VERSION: ClassVar[int] = 1
    Settings: ClassVar[type[BaseModel]] = NormsSettings

    def __init__(
        self, settings: NormsSettings, agent: RecordedAgent, folders: Sequence[Path]
    ) -> None:
        names = list(_values(agent))
        width = (1 + len(names),)
        self._rows = [
            Rows(folder / "norms.rows", "f8", width, ["step", *names]) for folder in folders
        ]

    def begin(self) -> None:
        for rows in self._rows:
            rows.begin()

    def after_update(self, agent: RecordedAgent, observations: object) -> None:
        pass

    def at_evaluation(self, agent: RecordedAgent, step: int) -> None:
        table = np.stack(list(_values(agent).values()), axis=1)
        for rows, values in zip(self._rows, table, strict=True):
            rows.append(np.array([step, *values]))

    def flush(self) -> None:
        for rows in self._rows:
            rows.flush()

    def state(self) -> State:
        return {"rows": np.array([rows.count for rows in self._rows])}

    def load_state(self, state: State) -> None:
        for rows, count in zip(self._rows, state["rows"], strict=True):
            rows.resume(int(count))


def _values(agent: RecordedAgent) -> dict[str, np.ndarray]:
    """Every column's value [S]."""
    values: dict[str, np.ndarray] = {}
    for name, group in agent.groups.items():
        for piece in group.parameters.slices:
            if piece.kind == "weight":
                weight = group.parameters.part(piece).detach().flatten(1).double()
                norm = torch.linalg.vector_norm(weight, dim=1)
                values[f"norm/{name}/{piece.name.removesuffix('.weight')}"] = norm.cpu().numpy()
        rate = np.broadcast_to(np.asarray(group.optimiser.learning_rate, np.float64), (len(norm),))
        values[f"learning_rate/{name}"] = rate
    return values
