"""The policy's path: snapshots of its parameters in equal distances of policy updates.

A snapshot is stored as its difference from the one before as it reads back, in 16 bits: rounding
never adds up. A parameter reads back within 1/65 534 of the largest change in its tensor between
the two snapshots, and the rounding of a float32. Every `WHOLE`-th snapshot is stored as it is.
"""

import itertools
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
        self._first = _policy(agent).copy()
        size = self._first.shape[1]
        slices = group.parameters.slices
        # Shared, so that the processor's caches still have it when the next seed's turn comes.
        scratch = np.empty(size, np.float32), np.empty(size, np.int16)
        self._writers = [_Writer(folder, size, slices, *scratch) for folder in folders]

    def begin(self) -> None:
        for writer, row in zip(self._writers, self._first, strict=True):
            writer.begin()
            writer.append(row)

    def after_update(self, agent: RecordedAgent, observations: object) -> None:
        steps = agent.groups[agent.policy].steps
        # A learn call may leave the policy alone (TD3's policy delay): one snapshot a step.
        if steps % self.settings.every == 0 and steps != self._steps:
            self._steps = steps
            for writer, row in zip(self._writers, _policy(agent), strict=True):
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
    """Writes one seed's path: whole rows, differences, and each tensor's step of the latter.

    `change` and `rounded` [m] are memory to work in; nothing in them outlasts a call.
    """

    def __init__(
        self,
        folder: Path,
        size: int,
        slices: Sequence[ParameterSlice],
        change: np.ndarray,
        rounded: np.ndarray,
    ) -> None:
        self.folder = folder
        self.size = size
        self.slices = slices
        ends = [*(piece.start for piece in slices), size]  # padding follows its tensor
        self._pieces = [slice(*pair) for pair in itertools.pairwise(ends)]
        self._wholes = Rows(folder / "wholes.rows", "f4", (size,))
        self._differences = Rows(folder / "differences.rows", "i2", (size,))
        self._steps = Rows(folder / "steps.rows", "f4", (len(slices),))
        self._before = np.zeros(size, np.float32)
        self._change = change
        self._rounded = rounded
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
            self._before[:] = row
        else:
            np.subtract(row, self._before, out=self._change)
            steps = np.empty(len(self._pieces), np.float32)
            for index, piece in enumerate(self._pieces):
                steps[index] = self._round(piece)
            self._differences.append(self._rounded)
            self._steps.append(steps)
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

    def _round(self, piece: slice) -> np.float32:
        """Round one tensor's change to whole steps, go there, and return the step's length."""
        before, change, rounded = self._before[piece], self._change[piece], self._rounded[piece]
        # The largest absolute value: two passes that read are faster than one that also writes.
        step: np.float32 = abs(np.maximum(change.max(), -change.min())) / np.float32(LARGEST)
        if 0 < step < np.inf:
            np.divide(change, step, out=change)
            np.rint(change, out=change)
            rounded[:] = change
        else:
            # A tensor at rest stays; one that is not finite reads back so by its step.
            rounded[:] = 0
        _advance(before, rounded, step, out=change)
        return step


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
        *_, row = self._rows(index - index % WHOLE, index, slice(None))
        return row

    def columns(self, part: slice = slice(None)) -> np.ndarray:
        """Some of the parameters at all snapshots, [n, part]."""
        path = np.empty((self.snapshots, len(range(*part.indices(self.size)))), np.float32)
        for index, row in enumerate(self.rows(part)):
            path[index] = row
        return path

    def rows(self, part: slice = slice(None)) -> Iterator[np.ndarray]:
        """Some of the parameters [part] at each snapshot, each in the memory of one before."""
        for first in range(0, self.snapshots, WHOLE):
            yield from self._rows(first, min(first + WHOLE, self.snapshots) - 1, part)

    def _rows(self, first: int, last: int, part: slice) -> Iterator[np.ndarray]:
        """Snapshots from a whole one to `last`, each in the memory of the one before."""
        row = np.array(self._wholes[first // WHOLE, part])
        change = np.empty_like(row)
        ends = np.clip([*self.tensors.values(), self.size], *part.indices(self.size)[:2])
        sizes = np.diff(ends)  # padding follows its tensor
        yield row
        for index in range(first + 1, last + 1):
            place = index - index // WHOLE - 1
            steps = np.repeat(self._steps[place], sizes)
            _advance(row, self._differences[place, part], steps, out=change)
            yield row


def _advance(
    row: np.ndarray, differences: np.ndarray, steps: np.ndarray | np.float32, out: np.ndarray
) -> None:
    """Take a row to the next one. Writer and reader agree on it to the bit.

    out: memory for what is added, of the row's shape.
    """
    with np.errstate(invalid="ignore"):  # a step that is not finite makes its tensor so
        np.multiply(differences, steps, out=out)
        row += out


def _policy(agent: RecordedAgent) -> np.ndarray:
    """The policy's parameters [seeds, m]; the agent's own memory where that is the CPU's."""
    return agent.groups[agent.policy].parameters.flat.detach().float().cpu().numpy()
