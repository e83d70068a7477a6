"""Run folders: one per run key, with checkpoints while it trains and a record when it is done.

    <root>/<key>/spec.json                what is trained
                 lock                     held (flock) by the process that trains it
                 progress.json            where it stands; transient
                 checkpoint-*.safetensors one seed's row of the training state; gone when done
                 failure.json             the traceback of a run that raised
                 record.json              the result; the same bytes however it was trained
                 provenance.json          where, with what and how long
                 *.safetensors            arrays that belong to the result
                 recordings/<name>/       files written while it trained, for analyses to read
                 COMPLETE                 written last: state and digests of the result
                 analyses/<key>.json      results of analyses, each under a key of its own
                 mismatch.json            how a repetition differed from the record
    <root>/again/<key>/                   a complete run that trains once more for a recording

Nothing here is pickled, and every file appears whole or not at all.
"""

import fcntl
import hashlib
import json
import os
import shutil
import socket
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from suite.store import numerics
from suite.store.atomic import StoreError, replace, replace_bytes, storing

State = Literal["queued", "running", "interrupted", "done", "failed", "diverged", "corrupt"]


@dataclass(frozen=True)
class RunState:
    """Where a run stands.

    `queued`: nothing is there. `running`: a living process trains it. `interrupted`: none does, it
    goes on from its checkpoint (from the start when `step` is None). `failed`: training raised;
    `message` is the traceback. `done`, `diverged`: complete. `corrupt`: the files of a complete run
    are not what was written. All but `running`, `done` and `diverged` train when asked for again.
    """

    state: State
    message: str = ""
    step: int | None = None

    @property
    def complete(self) -> bool:
        """Nothing is left to train."""
        return self.state in ("done", "diverged")


@dataclass(frozen=True)
class Checkpoint:
    """One seed's row of the training state at `step`: arrays and JSON-able values by flat key."""

    step: int
    arrays: dict[str, np.ndarray]
    values: dict[str, Any]


RECORDINGS = "recordings/"  # where they lie in a run's folder


class RunLocked(Exception):
    """Another process trains this run."""


class Store:
    """The runs below one folder. Methods raise StoreError when it cannot be written or read."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, key: str) -> Path:
        """The folder of a run; it exists once the run began."""
        return self.root / key

    def recordings_folder(self, key: str) -> Path:
        """Where a run's recordings lie, each in a folder of its own name."""
        return self.folder(key) / RECORDINGS.rstrip("/")

    def again(self) -> "Store":
        """Where complete runs train once more, for recordings that they lack."""
        return Store(self.root / "again")

    def state(self, key: str) -> RunState:
        """Where a run stands. Writes nothing."""
        folder = self.folder(key)
        with storing("read", folder):
            if (folder / "COMPLETE").exists():
                return self._complete_state(key)
            if self._locked(key):
                progress = self.progress(key)
                return RunState("running", step=progress["step"] if progress else None)
            if (folder / "failure.json").exists():
                error = json.loads((folder / "failure.json").read_text())["error"]
                return RunState("failed", error)
            checkpoints = self._checkpoints(key)
            if checkpoints:
                return RunState("interrupted", step=_step(checkpoints[0]))
            if (folder / "spec.json").exists():
                return RunState("interrupted")
        return RunState("queued")

    def _complete_state(self, key: str) -> RunState:
        folder = self.folder(key)
        try:
            marker = json.loads((folder / "COMPLETE").read_text())
            for name, size in marker["bytes"].items():
                if name.startswith(RECORDINGS):
                    continue  # they may be deleted when their analyses are done
                found = (folder / name).stat().st_size
                if found != size:
                    return RunState("corrupt", f"{name} has {found} bytes, {size} were written")
            # Arrays can be large; they are compared when they are read.
            if _digest(folder / "record.json") != marker["sha256"]["record.json"]:
                return RunState("corrupt", "record.json changed after it was written")
            return RunState(marker["state"], marker["message"])
        except (ValueError, KeyError, TypeError, FileNotFoundError) as error:
            return RunState("corrupt", f"COMPLETE and its files do not go together: {error}")

    @contextmanager
    def lock(self, key: str, wait_seconds: float = 1.0) -> Iterator[None]:
        """Be the only process that trains this run; the system frees the lock of a dead process.

        Raises RunLocked when another process keeps it for `wait_seconds`.
        """
        path = self.folder(key) / "lock"
        with storing("write", path):
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            deadline = time.monotonic() + wait_seconds
            while not _try_lock(path, descriptor, fcntl.LOCK_EX):
                if time.monotonic() > deadline:
                    holder = os.read(descriptor, 200).decode(errors="replace")
                    raise RunLocked(
                        f"run {key} is being trained by {holder or 'another process'};"
                        " wait for it or end it"
                    )
                time.sleep(0.05)
            with storing("write", path):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())
            yield
            with storing("write", path):
                os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)

    def _locked(self, key: str) -> bool:
        path = self.folder(key) / "lock"
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except (FileNotFoundError, NotADirectoryError):
            return False
        try:
            return not _try_lock(path, descriptor, fcntl.LOCK_SH)
        finally:
            os.close(descriptor)

    def begin(self, key: str, spec: Mapping[str, Any]) -> None:
        """Note what is about to train, under its lock; clears a failure and a corrupt result.

        Raises ValueError when the run is complete.
        """
        if self.state(key).complete:
            raise ValueError(f"run {key} is complete")
        folder = self.folder(key)
        with storing("write", folder):
            folder.mkdir(parents=True, exist_ok=True)
            # safetensors writes under names of its own, .tmp and six letters.
            places = (folder, *self.recordings_folder(key).glob("*"))
            partial = [
                path
                for place in places
                for name in (".*.tmp", ".tmp*")
                for path in place.glob(name)
            ]
            for leftover in [*partial, folder / "COMPLETE", folder / "failure.json"]:
                leftover.unlink(missing_ok=True)
        replace_bytes(folder / "spec.json", _json(spec))

    def save_progress(self, key: str, progress: Mapping[str, Any]) -> None:
        """Note where a run stands, at least `step`; cheap, and may be lost in a power cut."""
        replace_bytes(self.folder(key) / "progress.json", _json(progress), durable=False)

    def progress(self, key: str) -> dict[str, Any] | None:
        """What `save_progress` noted last, None when nothing is there."""
        path = self.folder(key) / "progress.json"
        with storing("read", path):
            try:
                return json.loads(path.read_text())  # type: ignore[no-any-return]
            except (FileNotFoundError, NotADirectoryError, ValueError):
                return None

    def save_checkpoint(
        self, key: str, step: int, arrays: Mapping[str, np.ndarray], values: Mapping[str, Any]
    ) -> None:
        """Replace the run's checkpoint. Killed at any moment, the old or the new one is there."""
        folder = self.folder(key)
        with storing("write", folder):
            folder.mkdir(parents=True, exist_ok=True)
        before = self._checkpoints(key)
        # The digest is part of the name: a file that was cut short cannot pass for a checkpoint.
        new = folder / ".checkpoint.tmp"
        _replace_arrays(new, arrays, {"values": json.dumps(values)})
        with storing("write", new):
            path = folder / f"checkpoint-{step:012d}-{_digest(new)[:16]}.safetensors"
            os.replace(new, path)
            for old in before:
                if old != path:
                    old.unlink(missing_ok=True)

    def checkpoint_step(self, key: str) -> int | None:
        """Step of the checkpoint that `load_checkpoint` would give."""
        path = self._newest_checkpoint(key)
        return None if path is None else _step(path)

    def load_checkpoint(self, key: str) -> Checkpoint | None:
        """The newest whole checkpoint; None when there is none. Warns of each broken one."""
        path = self._newest_checkpoint(key)
        if path is None:
            return None
        with storing("read", path), safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return Checkpoint(_step(path), arrays, json.loads(file.metadata()["values"]))

    def _newest_checkpoint(self, key: str) -> Path | None:
        for path in self._checkpoints(key):
            with storing("read", path):
                try:
                    digest = _digest(path)
                except FileNotFoundError:
                    # A newer one replaced it, or the run completed, since the folder was listed.
                    return self._newest_checkpoint(key)
            if digest[:16] == path.stem.rpartition("-")[2]:
                return path
            warnings.warn(f"checkpoint {path} is damaged and not used", stacklevel=3)
        return None

    def _checkpoints(self, key: str) -> list[Path]:
        """Checkpoint files, newest first."""
        return sorted(self.folder(key).glob("checkpoint-*.safetensors"), reverse=True)

    def complete(
        self,
        key: str,
        record: Mapping[str, Any],
        provenance: Mapping[str, Any],
        files: Mapping[str, Mapping[str, np.ndarray]] | None = None,
        state: Literal["done", "diverged"] = "done",
        recordings: Sequence[str] = (),
    ) -> None:
        """Store the result and, last of all, the marker that makes the run complete.

        `files`: name to arrays, kept as `<name>.safetensors`. `recordings`: names of recordings
        whose files are there. Raises ValueError when `record` or `provenance` is no JSON
        (not-finite numbers are none).
        """
        folder = self.folder(key)
        contents = {"record.json": _json(record), "provenance.json": _json(provenance)}
        with storing("write", folder):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "COMPLETE").unlink(missing_ok=True)
        for name, arrays in (files or {}).items():
            _replace_arrays(folder / f"{name}.safetensors", arrays, None)
        for name, content in contents.items():
            replace_bytes(folder / name, content)
        # Provenance holds times, and the marker is to have the same bytes in every repetition.
        checked = ["record.json", *(f"{name}.safetensors" for name in files or {})]
        self._mark(key, state, record.get("message") or "", checked, recordings)
        for path in [*self._checkpoints(key), folder / "progress.json", folder / "failure.json"]:
            with storing("remove", path):
                path.unlink(missing_ok=True)

    def _mark(
        self, key: str, state: str, message: str, checked: Sequence[str], recordings: Iterable[str]
    ) -> None:
        """Write the marker of a run with these files and recordings."""
        folder = self.folder(key)
        names = sorted(recordings)
        recorded = [
            str(path.relative_to(folder))
            for name in names
            for path in sorted((self.recordings_folder(key) / name).iterdir())
        ]
        marker = {
            "state": state,
            "message": message,
            "recordings": names,
            "bytes": {name: (folder / name).stat().st_size for name in [*checked, *recorded]},
            "sha256": {name: _digest(folder / name) for name in [*checked, *recorded]},
        }
        replace_bytes(folder / "COMPLETE", _json(marker))

    def recordings(self, key: str) -> frozenset[str]:
        """Names of the recordings of a complete run whose files are as they were written; none of
        one that is not complete."""
        if not self.state(key).complete:
            return frozenset()
        folder, marker = self.folder(key), self._result(key, "COMPLETE")
        damaged = {
            name.split("/")[1]
            for name, size in marker["bytes"].items()
            if name.startswith(RECORDINGS) and not _has_size(folder / name, size)
        }
        return frozenset(marker.get("recordings", ())) - damaged

    def adopt(self, key: str) -> str:
        """Take over the recordings of a complete run that trained once more; "" if that went well.

        Both must have left the same record: a repetition with another one is kept where it is, is
        noted beside the run, and the reason is returned.
        """
        again = self.again()
        marker = self._result(key, "COMPLETE")
        reason = self._difference(again, key)
        if reason:
            replace_bytes(self.folder(key) / "mismatch.json", _json({"reason": reason}))
            return reason
        new = again.recordings(key)
        own = self.recordings_folder(key)
        with storing("move", own):
            own.mkdir(exist_ok=True)
            for name in new:
                shutil.rmtree(own / name, ignore_errors=True)
                os.replace(again.recordings_folder(key) / name, own / name)
            (self.folder(key) / "mismatch.json").unlink(missing_ok=True)
        checked = [name for name in marker["bytes"] if "/" not in name]
        recordings = {*self.recordings(key), *new}
        self._mark(key, marker["state"], marker["message"], checked, recordings)
        with storing("remove", again.folder(key)):
            shutil.rmtree(again.folder(key))
            (self.folder(key) / "progress.json").unlink(missing_ok=True)
        return ""

    def _difference(self, again: "Store", key: str) -> str:
        """How the record of a repetition differs; "" when both have the same bytes."""
        if again.record_digest(key) == self.record_digest(key):
            return ""
        first, second = self.record(key), again.record(key)
        series = {*first["series"], *second["series"]}
        parts = [name for name in sorted({*first, *second}) if first.get(name) != second.get(name)]
        names = sorted(n for n in series if first["series"].get(n) != second["series"].get(n))
        numeric = numerics.differences(
            numerics.of(self.provenance(key)), numerics.of(again.provenance(key))
        )
        told = f"in {', '.join(parts)}" + f" (series {', '.join(names[:3])})" * bool(names)
        why = (
            f"its numerics are others: {'; '.join(numeric)}. Train it on the first machine, or "
            f"delete {self.folder(key)} to train it anew"
            if numeric
            else "on the same numerics: it cannot be repeated, which is a fault. Compare "
            f"{self.folder(key)} with {again.folder(key)}"
        )
        return f"trained once more for its recordings it differs {told}; {why}."

    def mismatch(self, key: str) -> str:
        """How a repetition of a complete run differed from it; "" if none did."""
        path = self.folder(key) / "mismatch.json"
        with storing("read", path):
            return str(json.loads(path.read_text())["reason"]) if path.exists() else ""

    def save_analysis(
        self,
        key: str,
        name: str,
        result: Mapping[str, Any],
        arrays: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """Keep the result of an analysis of a run under a key of its own, and its arrays."""
        folder = self.folder(key) / "analyses"
        with storing("write", folder):
            folder.mkdir(exist_ok=True)
        if arrays:
            _replace_arrays(folder / f"{name}.safetensors", arrays, None)
        replace_bytes(folder / f"{name}.json", _json(result))

    def analysis(self, key: str, name: str) -> dict[str, Any] | None:
        """The result of an analysis of a run; None when it is not there or not whole."""
        path = self.folder(key) / "analyses" / f"{name}.json"
        with storing("read", path):
            try:
                return json.loads(path.read_text())  # type: ignore[no-any-return]
            except (FileNotFoundError, NotADirectoryError, ValueError):
                return None

    def fail(self, key: str, error: str) -> None:
        """Mark a run failed; `error` is the traceback. Its checkpoint stays."""
        folder = self.folder(key)
        with storing("write", folder):
            folder.mkdir(parents=True, exist_ok=True)
        replace_bytes(folder / "failure.json", _json({"error": error}))

    def record(self, key: str) -> dict[str, Any]:
        """The record of a complete run. Raises StoreError when it is not complete or not whole."""
        return self._result(key, "record.json")

    def record_digest(self, key: str) -> str:
        """SHA-256 of the record's bytes; raises as `record`."""
        return str(self._result(key, "COMPLETE")["sha256"]["record.json"])

    def provenance(self, key: str) -> dict[str, Any]:
        """The provenance of a complete run; raises as `record`."""
        return self._result(key, "provenance.json")

    def arrays(self, key: str, name: str) -> dict[str, np.ndarray]:
        """The arrays that a complete run keeps as `name`; raises as `record`."""
        digests = self._result(key, "COMPLETE")["sha256"]
        path = self.folder(key) / f"{name}.safetensors"
        with storing("read", path):
            if _digest(path) != digests.get(path.name):
                raise StoreError(f"{path} changed after it was written. Delete {path.parent}.")
            return load_file(path)

    def _result(self, key: str, name: str) -> dict[str, Any]:
        found = self.state(key)
        path = self.folder(key) / name
        if not found.complete:
            raise StoreError(
                f"run {key} has no {name}: it is {found.state}"
                f"{': ' + found.message if found.message else ''}. Train it first."
            )
        with storing("read", path):
            try:
                return json.loads(path.read_text())  # type: ignore[no-any-return]
            except ValueError as error:
                raise StoreError(f"{path} is no JSON: {error}. Delete {path.parent}.") from error


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _try_lock(path: Path, descriptor: int, kind: int) -> bool:
    try:
        with storing("lock", path):
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except StoreError as error:
        if isinstance(error.__cause__, BlockingIOError):
            return False
        raise
    return True


def _replace_arrays(
    path: Path, arrays: Mapping[str, np.ndarray], metadata: dict[str, str] | None
) -> None:
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    replace(path, lambda new: save_file(contiguous, new, metadata))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.split("-")[1])


def _json(value: Any) -> bytes:
    """Canonical bytes: sorted keys, no spaces. Raises ValueError for not-finite numbers."""
    return (
        json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False) + "\n"
    ).encode()
