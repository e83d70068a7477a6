"""Files of rows that grow while a run trains, and are cut back to where a checkpoint knows them."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from suite.store.atomic import StoreError, replace_bytes, storing

BUFFER = 1_000_000  # bytes that wait to be written


class Rows:
    """An append-only file of rows of one type and shape, with its layout in a JSON file beside it.

    Nothing is opened or written before `begin` or `resume`. `names` name the columns, if they have
    names. Methods raise StoreError when the files cannot be written or read.
    """

    def __init__(
        self, path: Path, dtype: str, shape: tuple[int, ...], names: Sequence[str] = ()
    ) -> None:
        self.path = path
        self.dtype = np.dtype(dtype).newbyteorder("<")
        self.shape = shape
        self.names = tuple(names)
        self.count = 0
        self._size = self.dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        # One piece of memory for all rows: asking for it at each of them costs more than copying.
        self._waiting = np.empty((BUFFER // max(self._size, 1) + 1, *shape), self.dtype)
        self._written = 0

    def begin(self) -> None:
        """Start with no row; what an earlier attempt left is dropped."""
        layout = {"dtype": self.dtype.str, "shape": list(self.shape), "names": list(self.names)}
        with storing("write", self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.unlink(missing_ok=True)
        replace_bytes(_layout(self.path), (json.dumps(layout) + "\n").encode())
        self.count = self._written = 0

    def resume(self, count: int) -> None:
        """Go on after the first `count` rows; those that follow are dropped.

        Raises StoreError when fewer rows are there.
        """
        with storing("read", self.path):
            found = self.path.stat().st_size if self.path.exists() else 0
            if found < count * self._size:
                raise StoreError(
                    f"{self.path} has {found} bytes, the checkpoint knows of "
                    f"{count * self._size}. Delete {self.path.parents[2]} to train it anew."
                )
            if found > count * self._size:
                os.truncate(self.path, count * self._size)
        self.count = self._written = count

    def append(self, row: np.ndarray) -> None:
        """Add one row; it is in the file for sure after the next `flush`."""
        if row.shape != self.shape:
            raise ValueError(f"a row of {self.path.name} has shape {self.shape}, not {row.shape}")
        self._waiting[self.count - self._written] = row
        self.count += 1
        if self.count - self._written == len(self._waiting):
            self._write(durable=False)

    def flush(self) -> None:
        """Wait until all rows are on the disk."""
        self._write(durable=True)

    def _write(self, durable: bool) -> None:
        with storing("write", self.path), self.path.open("ab") as file:
            file.write(self._waiting[: self.count - self._written].data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        self._written = self.count


def read_rows(path: Path) -> np.ndarray:
    """The rows `[n, *shape]` of a file of `Rows`, mapped into memory, not read."""
    with storing("read", path):
        layout = json.loads(_layout(path).read_text())
        dtype, shape = np.dtype(layout["dtype"]), tuple(layout["shape"])
        size = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        count = path.stat().st_size // size if size else 0
        if count == 0:
            return np.empty((0, *shape), dtype)
        return np.memmap(path, dtype, "r", shape=(count, *shape))


def column_names(path: Path) -> tuple[str, ...]:
    """The names of the columns of a file of `Rows`."""
    with storing("read", path):
        return tuple(json.loads(_layout(path).read_text())["names"])


def _layout(path: Path) -> Path:
    return path.with_suffix(".json")
