"""What would settle a claim that is not settled: the command to give, its seeds and its time."""

from collections.abc import Sequence
from dataclasses import dataclass

from suite.judging import CAP
from suite.report.coverage import missing
from suite.report.judged import Judged
from suite.specs.loading import Project
from suite.specs.models import SCALES, Cell, Scale
from suite.specs.planning import seconds_estimate
from suite.stats.runs import Run


@dataclass(frozen=True)
class Settling:
    """Why a claim is open, and what to do; no command where no run would help.

    `seeds`: runs to train, over all cells. `seconds`: of one core, as `suite plan` estimates them
    on the machine that its constants are from.
    """

    why: str
    command: str | None = None
    seeds: int | None = None
    seconds: float | None = None


def settling(judged: Judged, project: Project, runs: Sequence[Run]) -> Settling | None:
    """None for a claim that is supported or contradicted."""
    claim, verdict = judged.claim, judged.verdict
    if verdict.state in ("supported", "contradicted"):
        return None
    reached = -1 if verdict.scale is None else SCALES.index(verdict.scale)
    scale = SCALES[max(reached, SCALES.index(claim.settled_at))]
    cells = [cell for cell in project.cells[scale] if cell.id in claim.cells()]
    known = {run.key: run for run in runs}
    waiting = [(cell, seeds) for cell in cells if (seeds := missing(cell, known))]
    if waiting:
        return _planned(scale, [(cell, tuple(seeds)) for cell, seeds in waiting])
    broken = [flag.says for flag in verdict.flags if flag.kind == "precondition"]
    if broken:
        return Settling(f"More seeds would not settle it: {broken[0]}.")
    diverged = [flag.says for flag in verdict.flags if flag.kind == "diverged"]
    if diverged and not claim.counts_diverged():
        return Settling(f"More seeds would not settle it: {diverged[0]}.")
    others = [other.id for study in project.studies.values() for other in study.claims]
    return _more_seeds(judged, cells, _selection(claim.id, others))


def _planned(scale: Scale, waiting: Sequence[tuple[Cell, Sequence[int]]]) -> Settling:
    """Train what the plan has and the store has not."""
    left = [
        cell.model_copy(update={"runs": tuple(run for run in cell.runs if run.seed in seeds)})
        for cell, seeds in waiting
    ]
    return Settling(
        why=f"Planned runs at scale {scale} are missing.",
        command=f"suite run {' '.join(cell.id for cell in left)} --scale {scale}",
        seeds=sum(len(cell.runs) for cell in left),
        seconds=sum(seconds_estimate(cell) for cell in left),
    )


def _selection(claim: str, others: Sequence[str]) -> str:
    """pytest's `-k` for one claim: it takes every name that holds the claim's, unless told not to.

    Names of cells hold no claim's id.
    """
    longer = [other for other in others if claim in other and claim != other]
    return claim if not longer else "'" + " and not ".join([claim, *longer]) + "'"


def _more_seeds(judged: Judged, cells: Sequence[Cell], selection: str) -> Settling:
    """Train seeds beyond the plan until the interval clears its bound."""
    verdict = judged.verdict
    command = f"pytest tasks/ -k {selection} --train --until-conclusive"
    if verdict.scale != "smoke":
        command += f" --scale {verdict.scale}"
    present = min((len(cell.seeds) for cell in verdict.evidence), default=0)
    if verdict.seeds_to_settle is None:
        return Settling(
            "All planned seeds are there. How many more would settle it is not known: at the "
            "observed value none would, or more than can be run.",
            command,
        )
    if verdict.seeds_to_settle > CAP * min(len(cell.runs) for cell in cells):
        command += f" --seed-cap {verdict.seeds_to_settle}"
    more = verdict.seeds_to_settle - present
    return Settling(
        why=f"All planned seeds are there. About {verdict.seeds_to_settle} seeds a cell would "
        f"settle it at the observed value, {more} more than now.",
        command=command,
        seeds=more * len(cells),
        seconds=sum(more * seconds_estimate(cell) / len(cell.runs) for cell in cells),
    )
