"""A recorded path layer by layer: Gram matrices, travels, and combinations of its snapshots."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import torch

from suite.plugins.path_window import PathWindow
from suite.recordings.path import RecordedPath

HELD = 2**27  # numbers of a path that a window holds: half a gigabyte
READ = 2**24  # numbers of a path that are copied at once
MOVING = 0.8  # share of a layer's parameters, those that travel farthest, whose detours count
PERIODS = ("early", "middle", "later")


@dataclass
class Layer:
    """A layer's path, or that of all parameters: its Gram matrix [n, n], and how far each parameter
    travels and gets, [m] each."""

    gram: np.ndarray
    accumulated: np.ndarray
    final: np.ndarray

    @property
    def detours(self) -> np.ndarray:
        """Accumulated over final change of the parameters that travel farthest and end elsewhere
        than they began."""
        farthest = self.accumulated >= np.quantile(self.accumulated, 1 - MOVING)
        counted = farthest & (self.final > 0)
        return np.asarray(self.accumulated[counted] / self.final[counted])


def read_layers(path: RecordedPath, rows: np.ndarray) -> dict[str, Layer]:
    """Every layer of weights by name, and `all` parameters together; Gram matrices are those of
    some of the snapshots, `rows`."""
    starts = [*path.tensors.values(), path.size]
    names = [name.rpartition(".")[0] for name in path.tensors]
    weighed = {name.removesuffix(".weight") for name in path.tensors if name.endswith(".weight")}
    read: dict[str, list[Layer]] = {}
    for name, start, stop in zip(names, starts, starts[1:], strict=False):
        for columns in _in_parts(start, stop, HELD // len(rows)):
            layer = _read(path, rows, columns)
            read.setdefault(name if name in weighed else "", []).append(layer)
    found = {name: _together(parts) for name, parts in read.items()}
    whole = _together(list(found.values()))
    return {name: layer for name, layer in found.items() if name} | {"all": whole}


def read_gram(path: RecordedPath, rows: np.ndarray) -> np.ndarray:
    """The Gram matrix [n, n] of some of the snapshots, `rows`, of all parameters."""
    parts = _in_parts(0, path.size, HELD // len(rows))
    return np.asarray(sum(_read(path, rows, columns).gram for columns in parts))


def combined(path: RecordedPath, rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted sums [c, m], float32, of some of the snapshots, `rows`, for weights [c, n]."""
    found = np.empty((len(weights), path.size), np.float32)
    for columns in _in_parts(0, path.size, READ // path.snapshots):
        found[:, columns] = weights @ path.columns(columns)[rows]
    return found


def spread(count: int, most: int) -> np.ndarray:
    """At most so many of `count` places, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def thirds(count: int) -> dict[str, slice]:
    """The periods of a path of so many snapshots."""
    ends = [round(count * part / len(PERIODS)) for part in range(len(PERIODS) + 1)]
    parts = [slice(*pair) for pair in itertools.pairwise(ends)]
    return dict(zip(PERIODS, parts, strict=True))


def _in_parts(start: int, stop: int, most: int) -> list[slice]:
    """The columns from `start` to `stop`, at most so many at a time, but one at least."""
    firsts = range(start, stop, max(1, most))
    return [slice(first, min(first + firsts.step, stop)) for first in firsts]


def _read(path: RecordedPath, rows: np.ndarray, columns: slice) -> Layer:
    """The path of some of the parameters: how far they travel in all snapshots, and the Gram matrix
    of some, `rows`, by the steps between them, as PPTB's window has it.

    Zeros that pad the last parameters are left out.
    """
    size = columns.stop - columns.start
    window = PathWindow(torch.empty(len(rows), size), [slice(0, size)])
    held = set(rows.tolist())
    before, first = np.zeros((2, size), np.float32)
    step, accumulated = np.zeros((2, size))
    for index, row in enumerate(path.rows(columns)):
        if index == 0:
            first[:] = row
        else:
            np.abs(np.subtract(row, before, out=step, dtype=np.float64), out=step)
            accumulated += step
        before[:] = row
        if index in held:
            window.append(torch.from_numpy(row))
    final = np.abs(before.astype(np.float64) - first)
    used = size
    if columns.stop == path.size:
        used = 1 + int(np.flatnonzero((first != 0) | (accumulated != 0)).max(initial=-1))
    return Layer(window.gram().numpy(), accumulated[:used], final[:used])


def _together(parts: list[Layer]) -> Layer:
    return Layer(
        np.sum([part.gram for part in parts], axis=0),
        np.concatenate([part.accumulated for part in parts]),
        np.concatenate([part.final for part in parts]),
    )
