"""Writing files so that a reader sees the old or the new one, never a part.

A file is written under a temporary name in the same folder, flushed to the disk, then renamed.
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

FULL = {errno.ENOSPC, errno.EDQUOT}
FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


class StoreError(Exception):
    """The store cannot be written or read; the message says where, why and what to do."""


@contextmanager
def storing(what: str, path: Path) -> Iterator[None]:
    """Turn an operating system error of the block into a StoreError: cannot `what` `path`."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise StoreError(f"cannot {what} {path}: {error}. {_advice(error)}") from error


def _advice(error: Exception) -> str:
    kept = "finished runs are kept and unfinished ones go on from their last checkpoint"
    number = error.errno if isinstance(error, OSError) else None
    # safetensors names the system's error in its text only.
    if number in FULL or "os error 28" in str(error) or "os error 122" in str(error):
        return f"The disk is full: free some space and run again; {kept}."
    if number in FORBIDDEN:
        return f"Make the store writable or use another one, and run again; {kept}."
    return f"Put the store in a folder that can be read and written, and run again; {kept}."


def temporary(path: Path) -> Path:
    """The name under which this process writes what becomes `path`."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def replace(path: Path, write: Callable[[Path], None], *, durable: bool = True) -> None:
    """Let `write` fill a temporary file, then make it `path`.

    `durable` waits until the file and its name are on the disk; without it a power cut may lose the
    file or leave it empty. Raises StoreError; nothing but the old `path` is left then.
    """
    new = temporary(path)
    with storing("write", path):
        try:
            write(new)
            if durable:
                _flush(new)
            os.replace(new, path)
            if durable:
                _flush(path.parent)
        except BaseException:
            new.unlink(missing_ok=True)
            raise


def replace_bytes(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Make `path` a file with this content; see `replace`."""
    replace(path, lambda new: _write(new, content), durable=durable)


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
