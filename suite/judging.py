"""A project's claims and cells one by one, with training before, as `pytest` asks for them.

`suite.stats.studies` judges all claims from what is there.
"""

import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from suite.engine.analyse import analyse_cells
from suite.engine.run import run_cells
from suite.specs.claims import ClaimSpec
from suite.specs.loading import load_project
from suite.specs.models import SCALES, Cell, Scale
from suite.specs.project import Project
from suite.stats import sequential
from suite.stats.collecting import collect_runs
from suite.stats.runs import Run
from suite.stats.verdicts import Verdict, expectations, judge
from suite.store.store import Store

# With these a claim stays inconclusive however many seeds are added.
BEYOND_SEEDS = {"scale below", "precondition", "diverged", "tasks missing"}


@dataclass(frozen=True)
class CellState:
    """How a cell stands: all its runs are there, one is wrong, or some are not there."""

    state: Literal["trained", "failed", "not run"]
    scale: Scale | None
    reason: str
    traceback: str = ""  # of the first run that raised


class Judging:
    """A project's claims and cells, at one scale or at the largest that has what is needed.

    `seeds` are the seeds of each cell that are trained and counted, in place of the planned ones;
    verdicts still wait for the looks that follow from the plan (`suite.stats.sequential`). With
    `train`, runs that are missing at the scale (`smoke` if none is given) are trained first, each
    once, in this process. With `until_conclusive`, a claim's cells get the seeds of the next look,
    up to `seed_cap` (4 times the planned number if it is None) and to `seeds`, for as long as it
    stays inconclusive.

    Raises SpecError and ExtensionError for a project that cannot be loaded.
    """

    def __init__(
        self,
        root: Path,
        scale: Scale | None = None,
        seeds: int | None = None,
        train: bool = False,
        until_conclusive: bool = False,
        seed_cap: int | None = None,
    ) -> None:
        planned = load_project(root)
        self.project = _with_seeds(planned, seeds)
        self._expected = expectations(planned)
        self.scale: Scale | None = "smoke" if train and scale is None else scale
        self.seeds = seeds
        self.train = train
        self.until_conclusive = until_conclusive
        self.seed_cap = seed_cap
        self._store = Store(root / "runs")
        self._evidence = root / "reports" / "evidence"
        self._runs: list[Run] | None = None
        self._attempted: set[str] = set()

    def verdict(self, claim: ClaimSpec) -> Verdict:
        """The verdict on a claim, after training what it lacks if that is wanted."""
        cells = self._planned(claim)
        if self.train:
            self._train(list(cells.values()))
        verdict = self._judge(claim, self._collected())
        if not (self.until_conclusive and set(claim.cells()) <= set(cells)):
            return verdict
        planned = {
            name: len(self._expected[name, cell.scale].seeds) for name, cell in cells.items()
        }
        # Seeds beyond those that count would be trained for nothing.
        cap = min(
            self.seed_cap or sequential.CAP * min(planned.values()), self.seeds or sys.maxsize
        )
        look = 0
        while _more_seeds_may_settle(claim, verdict, sequential.seeds(min(planned.values()), look)):
            look += 1
            wanted = {name: sequential.seeds(seeds, look) for name, seeds in planned.items()}
            if min(wanted.values()) > cap:
                break
            self._train([cells[name].with_seeds(wanted[name]) for name in cells])
            verdict = self._judge(claim, self._collected())
        return verdict

    def at_scale(self, claim: ClaimSpec, scale: Scale) -> Verdict:
        """What the runs of one scale alone say about a claim, from what is there; without its
        power."""
        runs = [run for run in self._collected() if run.scale == scale]
        return self._judge(claim, runs, power=False)

    def cell(self, name: str) -> CellState:
        """How a cell stands, after training what it lacks if that is wanted."""
        scales: tuple[Scale, ...] = (self.scale,) if self.scale else SCALES
        planned = {
            scale: cell for scale in scales for cell in self.project.cells[scale] if cell.id == name
        }
        if self.train:
            self._train(list(planned.values()))
        runs = [run for run in self._collected() if run.cell == name and run.scale in planned]
        wrong = [run for run in runs if self._is_wrong(run)]
        if wrong:
            raised = [self._store.state(run.key).message for run in wrong if run.state == "failed"]
            return CellState("failed", None, "; ".join(map(_told, wrong)), "".join(raised[:1]))
        lacking: dict[Scale, str] = {}
        for scale, cell in planned.items():
            done = {run.seed for run in runs if run.scale == scale and _counts(run)}
            missing = [run.seed for run in cell.runs if run.seed not in done]
            if missing:
                others = [run for run in runs if run.scale == scale and run.seed in missing]
                lacking[scale] = f"{scale} lacks seeds {', '.join(map(str, missing))}" + "".join(
                    f"; {_told(run)}" for run in others if run.stale or run.state != "queued"
                )
        trained = [scale for scale in planned if scale not in lacking]
        if trained:
            count = len(planned[trained[-1]].runs)
            return CellState("trained", trained[-1], f"{count} seeds at {trained[-1]}")
        reason = "; ".join(lacking.values()) or f"no study has it at scale {self.scale}"
        return CellState("not run", None, reason)

    def _judge(self, claim: ClaimSpec, runs: Sequence[Run], power: bool = True) -> Verdict:
        environments = self.project.environments_of(claim.id)
        return judge(claim, runs, self._expected, environments, power)

    def _planned(self, claim: ClaimSpec) -> dict[str, Cell]:
        """The claim's cells at the scale that is asked for."""
        if self.scale is None:
            return {}
        cells = {cell.id: cell for cell in self.project.cells[self.scale]}
        return {name: cells[name] for name in claim.named() if name in cells}

    def _train(self, cells: list[Cell]) -> None:
        """Train and analyse what is missing, each run once: one that fails is not tried again."""
        lacking = {run.key for run in self._collected() if _counts(run) and run.lacking}
        present = {run.key for run in self._collected() if _counts(run)} - lacking
        left = []
        for cell in cells:
            runs = [run for run in cell.runs if run.key() not in present | self._attempted]
            if runs:
                left.append(cell.model_copy(update={"runs": tuple(runs)}))
                self._attempted |= {run.key() for run in runs}
        if left:
            with _torch_as_it_was():
                run_cells(left, self._store)
                failed = analyse_cells(left, self._store).failed
            for name, error in failed.items():
                warnings.warn(f"{name}: {error}", stacklevel=2)
            self._runs = None

    def _collected(self) -> list[Run]:
        if self._runs is None:
            firsts = {
                (cell.id, scale): cell.first_seed
                for scale in SCALES
                for cell in self.project.cells[scale]
            }
            self._runs = [
                run
                for run in collect_runs(self.project, self._store, self._evidence)
                if self.scale in (None, run.scale)
                and (
                    self.seeds is None
                    or run.seed < firsts.get((run.cell, run.scale), 0) + self.seeds
                )
            ]
        return self._runs

    def _is_wrong(self, run: Run) -> bool:
        """Failed, corrupt, or diverged where every claim on the cell takes that for a fault."""
        if run.state == "diverged" and not run.stale:
            claims = [claim for study in self.project.studies.values() for claim in study.claims]
            return not any(c.counts_diverged() and run.cell in c.cells() for c in claims)
        return run.state in ("failed", "corrupt") and not run.stale


def _with_seeds(project: Project, seeds: int | None) -> Project:
    if seeds is None:
        return project
    cells = {
        scale: tuple(cell.with_seeds(seeds) for cell in planned)
        for scale, planned in project.cells.items()
    }
    return replace(project, cells=cells)


def _counts(run: Run) -> bool:
    return run.state in ("done", "diverged") and not run.stale


def _told(run: Run) -> str:
    if run.stale:
        return f"seed {run.seed} is stale ({run.stale})"
    return f"{run.state} at {run.scale}: seed {run.seed}" + (
        f" ({run.message})" * bool(run.message)
    )


def _more_seeds_may_settle(claim: ClaimSpec, verdict: Verdict, seeds: int) -> bool:
    if verdict.state != "inconclusive" or BEYOND_SEEDS & {flag.kind for flag in verdict.flags}:
        return False
    # Without a comparison something other than seeds is missing, once there are enough of them.
    return verdict.seen is not None or seeds < claim.minimum_seeds


@contextmanager
def _torch_as_it_was() -> Iterator[None]:
    """Training sets up its whole process; other tests of the session must not notice."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_flush_denormal(False)
