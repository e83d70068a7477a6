"""A finished run as analyses see it: its spec, its record, and what it recorded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import load_file

from suite.recordings.path import RecordedPath
from suite.recordings.rows import column_names, read_rows
from suite.specs.models import RecordingSpec, RunSpec
from suite.store.atomic import StoreError, storing
from suite.store.store import Store

if TYPE_CHECKING:
    from suite.training.learner import LearningAgent


class UnnamedRecordingError(Exception):
    """An analysis asks for a recording that it does not name, or by too few of its settings."""


class RecordedRun:
    """A complete run of the store.

    Methods raise UnnamedRecordingError where no recording, or more than one, that the run is asked
    for has the kind and settings, and StoreError where the run lacks it.
    """

    def __init__(self, spec: RunSpec, store: Store) -> None:
        self.spec = spec
        self.key = spec.key()
        self._store = store

    @property
    def record(self) -> dict[str, Any]:
        """Series and figures that training left."""
        return self._store.record(self.key)

    def path(self, **settings: Any) -> RecordedPath:
        """The policy's path, recorded with these settings."""
        return RecordedPath(self._folder("path", settings))

    def columns(self, kind: str, file: str, **settings: Any) -> dict[str, np.ndarray]:
        """The columns [E] of a recorded table by name, e.g. of `norms` in `norms.rows`."""
        path = self._folder(kind, settings) / file
        return dict(zip(column_names(path), read_rows(path).T, strict=True))

    def rows(self, kind: str, file: str, **settings: Any) -> np.ndarray:
        """The rows [n, ...] of a recorded file, e.g. of `sums` in `accumulated.rows`."""
        return read_rows(self._folder(kind, settings) / file)

    def observations(self, **settings: Any) -> np.ndarray:
        """The recorded batch of observations [size, ...].

        Raises ValueError when the run learned from fewer.
        """
        path = self._folder("batch", settings) / "observations.safetensors"
        if not path.exists():
            raise ValueError(
                f"run {self.key} learned from too few observations to fill the batch: ask for a "
                "smaller one"
            )
        with storing("read", path):
            return load_file(path)["observations"]

    def agents(self, **settings: Any) -> Iterator[tuple[int, LearningAgent]]:
        """Every recorded checkpoint: the step and the agent there, as one seed (S = 1)."""
        from suite.training.loading import agent_at

        for path in sorted(self._folder("checkpoints", settings).glob("agent-*.safetensors")):
            yield int(path.stem.partition("-")[2]), agent_at(self._store, self.key, path)

    def _folder(self, kind: str, settings: dict[str, Any]) -> Path:
        # Two analyses may name the same one.
        recorded = {one.name: one for one in self.spec.recordings if _is(one, kind, settings)}
        if not recorded:
            raise UnnamedRecordingError(
                f"run {self.key} is asked for no recording {kind!r} with settings {settings}. "
                "Name it in `recordings` of the analysis."
            )
        if len(recorded) > 1:
            several = ", ".join(str(one.settings) for one in recorded.values())
            raise UnnamedRecordingError(
                f"run {self.key} has {len(recorded)} recordings {kind!r} with settings {settings}: "
                f"{several}. Read the one with all settings that `recordings` names."
            )
        (name,) = recorded
        if name not in self._store.recordings(self.key):
            raise StoreError(f"run {self.key} lacks the recording {name}. Train it again.")
        return self._store.recordings_folder(self.key) / name


def _is(recording: RecordingSpec, kind: str, settings: dict[str, Any]) -> bool:
    """Whether it is of this kind with these settings; those that are not given may be any."""
    return recording.kind == kind and settings.items() <= recording.settings.items()
