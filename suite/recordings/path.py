"""The policy's path: snapshots of its parameters in equal distances of policy updates.

A snapshot is stored as its difference from the one before as it reads back, in 16 bits: rounding
never adds up. A parameter reads back within 1/65 534 of the largest change in its tensor between
the two snapshots, and the rounding of a float32. Every `WHOLE`-th snapshot is stored as it is.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import BaseModel, Field

from suite.recordings.protocol import LookSettings, RecordedAgent
from suite.recordings.rows import Rows, read_rows
from suite.stacked.layers import ParameterSlice
from suite.stacked.streams import State
from suite.store.atomic import replace_bytes, storing

WHOLE = 100
LARGEST = 32_767


class PathSettings(LookSettings):
    """Settings of the path."""

    every: int = Field(
        default=25, ge=1, description="policy updates between snapshots (PPTB paper App. C: 25)"
    )


class PathRecording:
    """Snapshots of the policy group's flat vector, as PPTB stores them (PPTB paper Alg. 1, App. C).

    Row 0 is the initial policy; a row follows after every `every` optimiser steps of the policy
    group, taken before plug-ins act on the learn call. Memory does not grow with the path.
    """

    VERSION: ClassVar[int] = 1
    Settings: ClassVar[type[BaseModel]] = PathSettings

    def __init__(
        self, settings: PathSettings, agent: RecordedAgent, folders: Sequence[Path]
    ) -> None:
        self.settings = settings
        group = agent.groups[agent.policy]
        self._steps = group.steps
        self._first = _snapshot(agent)
        size = self._first.shape[1]
        self._writers = [_Writer(folder, size, group.parameters.slices) for folder in folders]

    def begin(self) -> None:
        for writer, row in zip(self._writers, self._first, strict=True):
            writer.begin()
            writer.append(row)

    def after_update(self, agent: RecordedAgent, observations: object) -> None:
        steps = agent.groups[agent.policy].steps
        # A learn call may leave the policy alone (TD3's policy delay): one snapshot a step.
        if steps % self.settings.every == 0 and steps != self._steps:
            self._steps = steps
            for writer, row in zip(self._writers, _snapshot(agent), strict=True):
                writer.append(row)

    def at_evaluation(self, agent: RecordedAgent, step: int) -> None:
        pass

    def flush(self) -> None:
        for writer in self._writers:
            writer.flush()

    def state(self) -> State:
        return {
            "snapshots": np.array([writer.count for writer in self._writers]),
            "steps": np.full(len(self._writers), self._steps),
        }

    def load_state(self, state: State) -> None:
        self._steps = int(state["steps"][0])
        for writer, count in zip(self._writers, state["snapshots"], strict=True):
            writer.resume(int(count))


class _Writer:
    """Writes one seed's path: whole rows, differences, and each tensor's step of the latter."""

    def __init__(self, folder: Path, size: int, slices: Sequence[ParameterSlice]) -> None:
        self.folder = folder
        self.size = size
        self.slices = slices
        self._starts = np.array([piece.start for piece in slices])
        self._wholes = Rows(folder / "wholes.rows", "f4", (size,))
        self._differences = Rows(folder / "differences.rows", "i2", (size,))
        self._steps = Rows(folder / "steps.rows", "f4", (len(slices),))
        self._before = np.zeros(size, np.float32)
        self.count = 0

    def begin(self) -> None:
        for rows in (self._wholes, self._differences, self._steps):
            rows.begin()
        tensors = [{"name": piece.name, "start": piece.start} for piece in self.slices]
        replace_bytes(self.folder / "tensors.json", (json.dumps(tensors) + "\n").encode())
        self.count = 0

    def append(self, row: np.ndarray) -> None:
        if self.count % WHOLE == 0:
            self._wholes.append(row)
            self._before = row.copy()
        else:
            change = row - self._before
            steps = np.maximum.reduceat(np.abs(change), self._starts) / np.float32(LARGEST)
            each = _spread(steps, self._starts, self.size)
            with np.errstate(divide="ignore", invalid="ignore"):
                # A tensor at rest is 0 / 0; one that is not finite reads back so by its step.
                differences = np.nan_to_num(change / each, nan=0.0, posinf=0.0, neginf=0.0)
                differences = np.rint(differences).astype(np.int16)
            self._differences.append(differences)
            self._steps.append(steps)
            self._before = _next(self._before, differences, each)
        self.count += 1

    def flush(self) -> None:
        for rows in (self._wholes, self._differences, self._steps):
            rows.flush()

    def resume(self, count: int) -> None:
        wholes = -(-count // WHOLE)
        self._wholes.resume(wholes)
        self._differences.resume(count - wholes)
        self._steps.resume(count - wholes)
        self.count = count
        self._before = RecordedPath(self.folder).row(count - 1)


class RecordedPath:
    """A path as it was recorded: `snapshots` rows of `size` parameters, float32, oldest first.

    tensors: name and first parameter of every tensor of the policy.
    """

    def __init__(self, folder: Path) -> None:
        self._wholes = read_rows(folder / "wholes.rows")
        self._differences = read_rows(folder / "differences.rows")
        self._steps = read_rows(folder / "steps.rows")
        self.snapshots = len(self._wholes) + len(self._differences)
        self.size = self._wholes.shape[1]
        with storing("read", folder):
            tensors = json.loads((folder / "tensors.json").read_text())
        self.tensors = {tensor["name"]: int(tensor["start"]) for tensor in tensors}

    def row(self, index: int) -> np.ndarray:
        """One snapshot [m]."""
        row: np.ndarray
        for row in self._rows(index - index % WHOLE, index, slice(None)):  # noqa: B007
            pass
        return row

    def columns(self, part: slice = slice(None)) -> np.ndarray:
        """Some of the parameters at all snapshots, [n, part]."""
        path = np.empty((self.snapshots, len(range(*part.indices(self.size)))), np.float32)
        for first in range(0, self.snapshots, WHOLE):
            last = min(first + WHOLE, self.snapshots) - 1
            for index, row in enumerate(self._rows(first, last, part), first):
                path[index] = row
        return path

    def _rows(self, first: int, last: int, part: slice) -> Iterator[np.ndarray]:
        """Snapshots from a whole one to `last`."""
        row = np.array(self._wholes[first // WHOLE, part])
        yield row
        starts = np.array(list(self.tensors.values()))
        for index in range(first + 1, last + 1):
            place = index - index // WHOLE - 1
            steps = _spread(self._steps[place], starts, self.size)[part]
            row = _next(row, self._differences[place, part], steps)
            yield row


def _spread(steps: np.ndarray, starts: np.ndarray, size: int) -> np.ndarray:
    """Each parameter's step [m] from those of the tensors, whose padding follows them."""
    return np.repeat(steps, np.diff([*starts, size]))


def _next(before: np.ndarray, differences: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """What writer and reader agree on, to the bit."""
    with np.errstate(invalid="ignore"):  # a step that is not finite makes its tensor so
        following: np.ndarray = before + differences.astype(np.float32) * steps
    return following


def _snapshot(agent: RecordedAgent) -> np.ndarray:
    flat = agent.groups[agent.policy].parameters.flat
    return flat.detach().float().cpu().numpy().copy()
