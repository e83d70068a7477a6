"""What ran, what did not and why, how long it took, and on which machines."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML

from suite.specs.models import SCALES, Cell, RunSpec, Scale, canonical
from suite.specs.planning import updates
from suite.specs.project import Project
from suite.stats.runs import Run
from suite.store import numerics


@dataclass(frozen=True)
class Ran:
    """Runs that count at one scale; `seeds` are the fewest and most of a cell."""

    scale: Scale
    runs: int
    cells: int
    seeds: str
    steps: int
    diverged: int


@dataclass(frozen=True)
class Unfinished:
    """Runs of a cell that have no result, and why."""

    cell: str
    scale: Scale
    seeds: tuple[int, ...]
    reason: str


@dataclass(frozen=True)
class Untouched:
    """A scale at which some cells have not begun."""

    scale: Scale
    cells: tuple[str, ...]
    steps: int


@dataclass(frozen=True)
class Cost:
    """Wall clock of one cell at one scale, over its done seeds.

    `update`: seconds of a learn call and seed, plug-ins left out; None where nothing was learned.
    """

    cell: str
    scale: Scale
    seeds: int
    seconds: float
    steps_per_second: float
    update: float | None
    shares: Mapping[str, float]


def ran(done: Sequence[Run]) -> list[Ran]:
    """The scales that have runs, smallest first."""
    told = []
    for scale in SCALES:
        here = [run for run in done if run.scale == scale]
        if here:
            cells = {run.cell for run in here}
            seeds = sorted({sum(run.cell == cell for run in here) for cell in cells})
            told.append(
                Ran(
                    scale=scale,
                    runs=len(here),
                    cells=len(cells),
                    seeds="–".join(str(n) for n in dict.fromkeys((seeds[0], seeds[-1]))),
                    steps=sum(run.budget for run in here),
                    diverged=sum(run.state == "diverged" for run in here),
                )
            )
    return told


def missing(cell: Cell, runs: Mapping[str, Run]) -> dict[int, str]:
    """Seeds of a planned cell that have no result, with the reason; `runs` by key."""
    reasons = {}
    for spec in cell.runs:
        run = runs.get(spec.key())
        if run is None:
            reasons[spec.seed] = "not started"
        elif run.state not in ("done", "diverged"):
            reasons[spec.seed] = _reason(run)
    return reasons


def _reason(run: Run) -> str:
    if run.state == "queued":
        return "not started"
    return f"{run.state}: {run.message}" if run.message else run.state


def unfinished(project: Project, runs: Sequence[Run]) -> list[Unfinished]:
    """Cells that have begun at a scale and are not complete there, and other runs that are known
    and have no result."""
    known = {run.key: run for run in runs}
    found = []
    planned = set()
    for scale in SCALES:
        for cell in project.cells[scale]:
            planned |= {spec.key() for spec in cell.runs}
            reasons = missing(cell, known)
            if _has_not_begun(cell, reasons):
                continue
            for reason in dict.fromkeys(reasons.values()):
                seeds = tuple(seed for seed, why in reasons.items() if why == reason)
                found.append(Unfinished(cell.id, scale, seeds, reason))
    for run in runs:
        if run.key not in planned and not run.stale and run.state not in ("done", "diverged"):
            found.append(Unfinished(run.cell, run.scale, (run.seed,), _reason(run)))
    return found


def untouched(project: Project, runs: Sequence[Run]) -> list[Untouched]:
    """Scales with cells that have not begun."""
    known = {run.key: run for run in runs}
    found = []
    for scale in SCALES:
        cells = [c for c in project.cells[scale] if _has_not_begun(c, missing(c, known))]
        if cells:
            steps = sum(cell.steps for cell in cells)
            found.append(Untouched(scale, tuple(cell.id for cell in cells), steps))
    return found


def _has_not_begun(cell: Cell, reasons: Mapping[int, str]) -> bool:
    return list(reasons.values()) == ["not started"] * len(cell.runs)


def costs(done: Sequence[Run]) -> list[Cost]:
    """What training each cell took; cells without timings are left out."""
    by_cell: dict[tuple[str, Scale], list[Run]] = {}
    for run in done:
        if run.state == "done" and run.provenance.get("seconds", {}).get("total"):
            by_cell.setdefault((run.cell, run.scale), []).append(run)
    found = []
    for (cell, scale), runs in sorted(by_cell.items(), key=lambda item: item[0]):
        spent: dict[str, float] = {}
        for run in runs:
            for part, seconds in run.provenance["seconds"].items():
                spent[part] = spent.get(part, 0.0) + seconds
        total = spent.pop("total")
        learn_calls = sum(
            updates(RunSpec.model_validate_json(json.dumps(run.spec))) for run in runs
        )
        found.append(
            Cost(
                cell=cell,
                scale=scale,
                seeds=len(runs),
                seconds=total,
                steps_per_second=sum(run.budget for run in runs) / total,
                update=spent["update"] / learn_calls if learn_calls and "update" in spent else None,
                shares={part: spent[part] / total for part in sorted(spent)},
            )
        )
    return found


def settings(done: Sequence[Run]) -> dict[tuple[str, Scale], str]:
    """The resolved spec of each cell and scale as YAML, without the seed."""
    specs = {
        (run.cell, run.scale): {name: run.spec[name] for name in sorted(run.spec) if name != "seed"}
        for run in done
    }
    found = {}
    for cell, spec in specs.items():
        written = io.StringIO()
        YAML().dump(spec, written)
        found[cell] = written.getvalue()
    return found


def alike(done: Sequence[Run]) -> list[list[Run]]:
    """Runs of one cell, scale, budget, machine and code, together."""
    groups: dict[str, list[Run]] = {}
    for run in done:
        versions = run.spec.get("versions", {})
        shared = [run.cell, run.scale, run.budget, versions, machine(run), dict(run.numerics)]
        groups.setdefault(canonical(shared), []).append(run)
    return list(groups.values())


def machine(run: Run) -> dict[str, Any]:
    """Provenance that runs of one machine and commit share, less their numerics."""
    return {
        name: value
        for name, value in run.provenance.items()
        if name not in ("seconds", "companions", "numerics") and value is not None
    }


def machines(done: Sequence[Run]) -> list[dict[str, Any]]:
    """The machines and commits of runs, each once."""
    unique = {canonical(machine(run)): machine(run) for run in done}
    return [unique[text] for text in sorted(unique)]


def all_numerics(done: Sequence[Run]) -> dict[str, dict[str, str]]:
    """The numerics of runs by digest, each once."""
    found = {numerics.digest(run.numerics): run.numerics for run in done}
    return {name: found[name] for name in sorted(found)}


def is_recorded(entries: Mapping[str, str]) -> bool:
    """Whether every entry of numerics is known; not so for runs from before they were recorded."""
    return numerics.NOT_RECORDED not in entries.values()
