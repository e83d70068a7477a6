"""All runs that there are: planned, kept as evidence, or left in the store by earlier specs."""

import re
from collections.abc import Sequence
from pathlib import Path

from suite.specs.models import SCALES, Cell
from suite.specs.project import Project
from suite.stats.collecting import collect_runs, staleness
from suite.stats.runs import Run
from suite.store.evidence import from_store, read
from suite.store.store import Store

_PLANNED = re.compile(r"(?P<cell>.+):(?P<seed>\d+)@(?P<scale>\w+)")
_SHOWN = 8  # candidates that an error lists


class UnknownRunError(Exception):
    """No run, or more than one, goes by this name; the message says what is allowed."""


def known_runs(project: Project, store: Store, evidence: Path) -> list[Run]:
    """The runs of `collect_runs`, and complete ones of the store that no study plans (stale)."""
    runs = collect_runs(project, store, evidence)
    planned = {run.key for run in runs}
    folders = sorted(store.root.iterdir()) if store.root.is_dir() else []
    left = [folder.name for folder in folders if folder.is_dir() and folder.name not in planned]
    cells: dict[tuple[str, str], Cell] = {
        (cell.id, cell.scale): cell for scale in SCALES for cell in project.cells[scale]
    }
    earlier = [Run.of(record, stale=staleness(record, cells)) for record in from_store(store, left)]
    return runs + earlier


def find_run(name: str, runs: Sequence[Run], store: Store) -> tuple[Run, bool]:
    """The run that `name` means, and whether its numbers are rounded as evidence is.

    `name` is a run key or its beginning, `cell:seed@scale`, a file of evidence, or a run folder of
    any store. Raises UnknownRunError when none or several fit, StoreError for unreadable files.
    """
    path = Path(name)
    if path.suffix == ".json" and path.is_file():
        return Run.of(read(path)), True
    if "/" in name and path.is_dir():
        records = from_store(Store(path.parent), [path.name])
        if not records:
            state = Store(path.parent).state(path.name).state
            raise UnknownRunError(f"{name} holds no complete run: it is {state}; train it first")
        return Run.of(records[0]), False
    found = _named(name, runs)
    if len(found) != 1:
        several = f"{len(found)} runs are called {name!r}" if found else f"no run {name!r}"
        shown = ", ".join(f"{run.key} ({run.name()}, {run.state})" for run in found[:_SHOWN])
        raise UnknownRunError(
            f"{several}{': ' if shown else ''}{shown}; give a key or its beginning, "
            "cell:seed@scale, a file of reports/evidence/ or a run folder; "
            "`suite status` shows cells, scales and states"
        )
    return found[0], bool(found[0].series) and not store.state(found[0].key).complete


def _named(name: str, runs: Sequence[Run]) -> list[Run]:
    planned = _PLANNED.fullmatch(name)
    if planned is None:
        return [run for run in runs if run.key.startswith(name)]
    wanted = (planned["cell"], int(planned["seed"]), planned["scale"])
    found = [run for run in runs if (run.cell, run.seed, run.scale) == wanted]
    # Stale ones have to be asked for by key where a present one goes by the same name.
    return [run for run in found if not run.stale] or found
