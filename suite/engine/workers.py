"""What a process of a Dask cluster does: it shows that it can train for a store, and trains.

Nothing here imports what trains: a worker that starts is soon ready to be checked.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from suite.engine.work import Shard, Train, work
from suite.running_code import running_code
from suite.store.atomic import storing


class Refused(Exception):
    """This process must not train for an engine; the message says why and what to do."""


class Unchecked(Exception):
    """This process is not the one that was checked; it took over the address of that one."""


class Busy(Exception):
    """Another process trains a run of the shard; the message names run and process."""


class Stopped(BaseException):
    """Nobody waits for this shard any more."""


@dataclass(frozen=True)
class Terms:
    """What an engine asks of a worker."""

    code: Mapping[str, str]  # `running_code()` of the engine's process
    token: Path  # a file that the engine wrote into the store's folder; it holds its own name


@contextmanager
def terms(root: Path) -> Iterator[Terms]:
    """What workers must fulfil to train for the store at `root`; its token is there meanwhile."""
    token = root / f".shared-{uuid4().hex}"
    with storing("write", token):
        token.write_text(token.name)
    try:
        yield Terms(running_code(), token)
    finally:
        token.unlink(missing_ok=True)


# Tokens of the engines for which this process was checked.
_checked: set[str] = set()


def check(terms: Terms) -> None:
    """Raises Refused when this process runs other code than the engine or has another folder."""
    here = running_code()
    differences = [
        f"{name} {here.get(name, 'not installed')} there, {terms.code.get(name, 'none')} here"
        for name in dict.fromkeys([*terms.code, *here])
        if here.get(name) != terms.code.get(name)
    ]
    if differences:
        raise Refused(
            f"it runs another version of the code ({'; '.join(differences)}). Install the same"
            " version and its constraints.txt there and restart the worker"
        )
    try:
        shared = terms.token.read_text() == terms.token.name
    except OSError:
        shared = False
    if not shared:
        raise Refused(
            f"it does not share the store's folder {terms.token.parent}. Mount that folder there"
            " under the same path and restart the worker"
        )
    _checked.add(terms.token.name)


def train_on_worker(
    shard: Shard, token: str, train: Train, root: Path, device: str, checkpoint_seconds: float
) -> None:
    """`work` in a Dask worker; it ends early when the engine that wants the shard went away
    or the worker closes.

    Warnings become the engine's: nobody may see what a worker prints. Nothing is returned: a result
    would be lost with the worker. Raises Unchecked, Busy and StoreError.
    """
    from distributed import Status, get_worker

    if token not in _checked:
        raise Unchecked
    worker = get_worker()
    task_key = worker.get_current_task()

    def stop_when_unwanted() -> None:
        task = worker.state.tasks.get(task_key)
        if task is None or task.state == "cancelled" or worker.status == Status.closing:
            raise Stopped

    with warnings.catch_warnings():
        # What is logged as "warn" each client warns of.
        warnings.showwarning = lambda message, *_, **__: worker.log_event("warn", str(message))
        busy = work(shard, root, train, device, checkpoint_seconds, stop_when_unwanted)
    if busy:
        raise Busy(busy)
