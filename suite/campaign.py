"""The open claims in the order of what they still need, trained until a given time is used up."""

import signal
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from suite.engine.analyse import analyse_cells
from suite.engine.duration import Pace
from suite.engine.run import run_cells
from suite.settling import settling
from suite.specs.models import Cell
from suite.specs.planning import seconds_estimate
from suite.specs.project import Project
from suite.stats.collecting import collect_runs
from suite.stats.runs import Run
from suite.stats.studies import judge_all
from suite.stats.verdicts import Verdict
from suite.store.evidence import export
from suite.store.store import Store


@dataclass(frozen=True)
class Need:
    """What an open claim still needs: cells with the runs to train, and the seconds of one core
    that they take here."""

    claim: str
    why: str
    cells: tuple[Cell, ...]
    seconds: float


def needs(
    project: Project, runs: Sequence[Run], verdicts: Sequence[Verdict], pace: Pace
) -> list[Need]:
    """Of every open claim that training may settle, the cheapest first.

    Left out are those of which it is not known how many more seeds would settle them.
    """
    by_claim = {verdict.claim: verdict for verdict in verdicts}
    found = []
    for study in project.studies.values():
        for claim in study.claims:
            settled_by = settling(claim, by_claim[claim.id], project, runs)
            if settled_by is not None and settled_by.cells:
                cells = settled_by.cells
                seconds = sum(
                    pace.of(cell.id, cell.runs[0]) * seconds_estimate(cell) for cell in cells
                )
                found.append(Need(claim.id, settled_by.why, cells, seconds))
    return sorted(found, key=lambda need: need.seconds)


def campaign(
    project: Project,
    store: Store,
    evidence: Path,
    pace: Pace,
    seconds: float,
    jobs: int,
    console: Console,
) -> None:
    """Train, analyse and keep as evidence what the cheapest open claim needs, again and again, for
    `seconds` of wall clock.

    Runs that the end of the time interrupts keep their last checkpoint; the next campaign goes on
    with them. What has failed once is not tried again. Runs of scale smoke are not kept as
    evidence: the pipeline trains them everywhere.
    """
    ends = time.monotonic() + seconds
    tried: set[str] = set()
    while True:
        runs = collect_runs(project, store, evidence)
        left = [
            need
            for need in needs(project, runs, judge_all(project, runs), pace)
            if not _keys(need) <= tried
        ]
        if not left:
            console.print("no open claim is left that training would settle")
            return
        need = left[0]
        tried |= _keys(need)
        count, left_over = sum(len(cell.runs) for cell in need.cells), ends - time.monotonic()
        console.print(
            f"{need.claim}: {count} runs, about {need.seconds / 60:.0f} min of one core; "
            f"{max(0.0, left_over) / 60:.0f} min are left"
        )
        try:
            with _interrupted_at(ends):
                run_cells(need.cells, store, jobs=jobs, console=console)
                analyse_cells(need.cells, store, jobs, console)
        except KeyboardInterrupt:
            if time.monotonic() < ends:
                raise
            console.print("the time is used up; the same command goes on")
            return
        finally:
            _keep(need, store, evidence, project.series_read())
        runs = collect_runs(project, store, evidence)
        (verdict,) = [one for one in judge_all(project, runs) if one.claim == need.claim]
        console.print(f"{need.claim}: {verdict.state}. {verdict.reason}")


def _keys(need: Need) -> set[str]:
    return {run.key() for cell in need.cells for run in cell.runs}


def _keep(need: Need, store: Store, evidence: Path, whole: Collection[str]) -> None:
    for cell in need.cells:
        for run in cell.runs:
            if cell.scale != "smoke" and store.state(run.key()).complete:
                export(store, run.key(), evidence, run.analyses, whole)


@contextmanager
def _interrupted_at(ends: float) -> Iterator[None]:
    """As Ctrl-C would, at a time of the monotonic clock; by an alarm, as processes in the
    background may ignore interrupts. In the main thread."""
    before = signal.signal(signal.SIGALRM, _interrupt)
    signal.setitimer(signal.ITIMER_REAL, max(0.001, ends - time.monotonic()))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
