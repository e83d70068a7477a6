"""Analyses of finished runs: what is missing is computed, on as many processes as are given."""

import functools
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console
from rich.progress import track

from suite.analysis.protocol import document_of
from suite.analysis.recorded import RecordedRun
from suite.analysis.registry import build_analysis
from suite.engine.work import lacks
from suite.specs.models import AnalysisSpec, Cell, RunSpec, digest
from suite.store.atomic import StoreError
from suite.store.store import Store
from suite.training.process import configure


@dataclass(frozen=True)
class Analysed:
    """How the analyses that were asked for ended."""

    computed: int
    present: int
    waiting: int  # of runs that are not complete or lack a recording
    failed: dict[str, str]  # traceback by "<analysis> of <cell> seed <seed> (<scale>)"


def missing(cells: Sequence[Cell], store: Store) -> Iterator[tuple[Cell, RunSpec, AnalysisSpec]]:
    """The analyses of complete runs, with all their recordings, that have no result."""
    for cell in cells:
        for run in cell.runs:
            if run.analyses and store.state(run.key()).complete and not lacks(run, store):
                for spec in run.analyses:
                    if store.analysis(run.key(), spec.key(run.key())) is None:
                        yield cell, run, spec


def analyse_cells(
    cells: Sequence[Cell], store: Store, jobs: int = 1, console: Console | None = None
) -> Analysed:
    """Compute the analyses that are asked for and have no result yet. Nothing is trained.

    One that raises is reported and leaves no result; the others go on. A result depends on its run
    alone, not on the process or the order.
    """
    console = console or Console()
    left = list(missing(cells, store))
    asked = sum(len(run.analyses) for cell in cells for run in cell.runs)
    ready = sum(
        store.analysis(run.key(), spec.key(run.key())) is not None
        for cell in cells
        for run in cell.runs
        for spec in run.analyses
    )
    names = [f"{s.kind} of {cell.id} seed {run.seed} ({cell.scale})" for cell, run, s in left]
    work = functools.partial(_analyse, store.root.resolve())
    runs, specs = [run for _, run, _ in left], [spec for _, _, spec in left]
    if jobs == 1 or len(left) < 2:
        errors = list(_shown(map(work, runs, specs), len(left), console))
    else:
        with ProcessPoolExecutor(min(jobs, len(left)), get_context("spawn")) as pool:
            errors = list(_shown(pool.map(work, runs, specs), len(left), console))
    failed = {name: error for name, error in zip(names, errors, strict=True) if error}
    return Analysed(len(left) - len(failed), ready, asked - ready - len(left), failed)


def digests(cells: Sequence[Cell], store: Store) -> dict[str, dict[str, str]]:
    """The digest of every result that is there, by run key and analysis."""
    found: dict[str, dict[str, str]] = {}
    for cell in cells:
        for run in cell.runs:
            for spec in run.analyses:
                result = store.analysis(run.key(), spec.key(run.key()))
                if result is not None:
                    found.setdefault(run.key(), {})[spec.kind] = digest(result)
    return found


def _analyse(root: Path, run: RunSpec, spec: AnalysisSpec) -> str:
    """Compute and keep one result; the traceback of what went wrong, or ""."""
    configure()  # the number of threads decides bits
    store, key = Store(root), run.key()
    try:
        result = build_analysis(spec).analyse(RecordedRun(run, store))
    except StoreError:
        raise
    except Exception:
        return traceback.format_exc()
    document = {
        "analysis": spec.kind,
        "settings": spec.settings,
        "version": spec.version,
        "run": key,
        **document_of(result),
    }
    store.save_analysis(key, spec.key(key), document, result.arrays)
    return ""


def _shown(results: Iterator[str], total: int, console: Console) -> Iterator[str]:
    """The results, with progress: a bar on a terminal, a line for every tenth elsewhere."""
    if console.is_terminal:
        yield from track(results, "analysing", total, console=console)
        return
    for count, result in enumerate(results, 1):
        if count == total or count * 10 // total > (count - 1) * 10 // total:
            console.print(f"analysed {count} of {total}", highlight=False)
        yield result
