"""A fixed batch of observations, on which later looks compare networks."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import BaseModel, Field
from safetensors.numpy import save_file
from torch import Tensor

from suite.recordings.protocol import LookSettings, RecordedAgent
from suite.stacked.streams import State
from suite.store.atomic import replace, storing

FILE = "observations.safetensors"


class BatchSettings(LookSettings):
    """Settings of the batch."""

    size: int = Field(default=512, ge=1, description="observations")


class BatchRecording:
    """`observations.safetensors`: the first `size` observations [size, ...] that a run learns from,
    normalised if the agent normalises, before RAD's crop.

    Written once they are there; until then the state holds them.
    """

    VERSION: ClassVar[int] = 1
    Settings: ClassVar[type[BaseModel]] = BatchSettings

    def __init__(
        self, settings: BatchSettings, agent: RecordedAgent, folders: Sequence[Path]
    ) -> None:
        self.settings = settings
        self._folders = folders
        self._batches: list[np.ndarray] = []
        self._left = settings.size

    def begin(self) -> None:
        for folder in self._folders:
            with storing("write", folder):
                folder.mkdir(parents=True, exist_ok=True)
                (folder / FILE).unlink(missing_ok=True)

    def after_update(self, agent: RecordedAgent, observations: Tensor) -> None:
        if self._left == 0:
            return
        some = observations[:, : self._left].cpu().numpy().copy()
        self._batches.append(some)
        self._left -= some.shape[1]
        if self._left == 0:
            for folder, batch in zip(self._folders, self._collected(), strict=True):
                content = {"observations": np.ascontiguousarray(batch)}
                replace(folder / FILE, partial(save_file, content))
            self._batches = []

    def _collected(self) -> np.ndarray:
        """What is there so far, [S, n, ...]."""
        return np.concatenate(self._batches, axis=1)

    def at_evaluation(self, agent: RecordedAgent, step: int) -> None:
        pass

    def flush(self) -> None:
        pass

    def state(self) -> State:
        state: State = {"left": np.full(len(self._folders), self._left)}
        return {**state, "observations": self._collected()} if self._batches else state

    def load_state(self, state: State) -> None:
        self._left = int(state["left"][0])
        self._batches = [np.asarray(state["observations"])] if "observations" in state else []
