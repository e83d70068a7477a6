"""The recording protocol: what sees a run in training, writes to files and changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict

from suite.plugins.protocol import Agent

if TYPE_CHECKING:
    from suite.stacked.streams import State


class LookSettings(BaseModel):
    """Settings of a recording or an analysis: strict, frozen, no unknown keys."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class RecordedAgent(Agent, Protocol):
    """What a recording may see of an agent: what plug-ins see, and its whole state."""

    def state(self) -> State: ...


class Recording(Protocol):
    """A recording is built on the initialised agent, before plug-ins are attached to it.

    It has a folder for each seed, may read everything of the agent, owns its random streams (if it
    needs any) and writes rows while the run trains. Its state holds positions in its files, not
    their content.
    """

    VERSION: ClassVar[int]
    Settings: ClassVar[type[BaseModel]]

    def __init__(self, settings: Any, agent: RecordedAgent, folders: Sequence[Path]) -> None: ...

    def begin(self) -> None:
        """Start the files; called once at the beginning of a run, never when it goes on."""
        ...

    def after_update(self, agent: RecordedAgent, observations: Any) -> None:
        """Called after every learn call, before plug-ins act on it; choose the moments inside.

        `observations` [S, batch, ...] are those that were learned from.
        """
        ...

    def at_evaluation(self, agent: RecordedAgent, step: int) -> None:
        """Called at every evaluation, the first one at step 0."""
        ...

    def flush(self) -> None:
        """Wait until all that was written is on the disk; called before every checkpoint."""
        ...

    def state(self) -> State:
        """Positions and sums, every value with a leading seed axis."""
        ...

    def load_state(self, state: State) -> None:
        """Go on from a `state()`; what the files hold beyond it is dropped."""
        ...
