"""The agent at declared steps: each file rebuilds it without its environment."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import BaseModel, Field
from safetensors.numpy import save_file

from suite.recordings.protocol import LookSettings, RecordedAgent
from suite.stacked.streams import State
from suite.store.atomic import replace, storing
from suite.training.rows import cut


class CheckpointsSettings(LookSettings):
    """Settings of the checkpoints."""

    every: int = Field(default=1, ge=1, description="evaluations from one checkpoint to the next")


class CheckpointsRecording:
    """`agent-<step>.safetensors` at step 0 and at every `every`-th evaluation after it: the agent's
    whole state, optimisers included, as the run's last `agent.safetensors` has it.
    """

    VERSION: ClassVar[int] = 1
    Settings: ClassVar[type[BaseModel]] = CheckpointsSettings

    def __init__(
        self, settings: CheckpointsSettings, agent: RecordedAgent, folders: Sequence[Path]
    ) -> None:
        self.settings = settings
        self._folders = folders
        self._evaluations = 0

    def begin(self) -> None:
        for folder in self._folders:
            with storing("write", folder):
                folder.mkdir(parents=True, exist_ok=True)
                for path in folder.glob("agent-*.safetensors"):
                    path.unlink()

    def after_update(self, agent: RecordedAgent, observations: object) -> None:
        pass

    def at_evaluation(self, agent: RecordedAgent, step: int) -> None:
        if self._evaluations % self.settings.every == 0:
            state = agent.state()
            for i, folder in enumerate(self._folders):
                arrays = {
                    name: np.asarray(array, order="C")
                    for name, array in cut(state, i).arrays.items()
                }
                replace(folder / f"agent-{step:012d}.safetensors", partial(save_file, arrays))
        self._evaluations += 1

    def flush(self) -> None:
        pass

    def state(self) -> State:
        return {"evaluations": np.full(len(self._folders), self._evaluations)}

    def load_state(self, state: State) -> None:
        self._evaluations = int(state["evaluations"][0])
