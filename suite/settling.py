"""What would settle a claim that is not settled: the command to give, its seeds and its time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from suite.specs.claims import ClaimSpec, CostClaim
from suite.specs.models import SCALES, Cell
from suite.specs.planning import seconds_estimate
from suite.specs.project import Project
from suite.stats import sequential
from suite.stats.runs import Run
from suite.stats.verdicts import Verdict


@dataclass(frozen=True)
class Settling:
    """Why a claim is open, and what to do; no command where no run would help.

    `cells`: what to train, with the runs that are missing alone; empty where it is not known which
    seeds would settle it.
    """

    why: str
    command: str | None = None
    cells: tuple[Cell, ...] = ()

    @property
    def seeds(self) -> int:
        """Runs to train, over all cells."""
        return sum(len(cell.runs) for cell in self.cells)

    @property
    def seconds(self) -> float:
        """Of one core, as estimated on the machine that the constants of `suite plan` are from."""
        return sum(map(seconds_estimate, self.cells))


def settling(
    claim: ClaimSpec, verdict: Verdict, project: Project, runs: Sequence[Run]
) -> Settling | None:
    """None for a claim that is supported or contradicted."""
    if verdict.state in ("supported", "contradicted"):
        return None
    reached = -1 if verdict.scale is None else SCALES.index(verdict.scale)
    scale = SCALES[max(reached, SCALES.index(claim.settled_at))]
    planned = [cell for cell in project.cells[scale] if cell.id in claim.named()]
    unplanned = [name for name in claim.cells() if name not in {cell.id for cell in planned}]
    if unplanned:
        return Settling(f"No study plans {', '.join(unplanned)} at scale {scale}.")
    known = {run.key: run for run in runs}
    waiting = _lacking(claim, [cell for cell in planned if cell.id in claim.cells()], known)
    if waiting:
        return Settling(
            f"Planned runs at scale {scale} are missing.",
            f"suite run {' '.join(cell.id for cell in waiting)} --scale {scale}",
            tuple(waiting),
        )
    if verdict.scale != scale:
        return Settling(f"Too few of the runs at scale {scale} can be used, and all have ended.")
    hopeless = _beyond_seeds(claim, verdict)
    if hopeless:
        return Settling(f"More seeds would not settle it: {hopeless}.")
    others = [other.id for study in project.studies.values() for other in study.claims]
    return _next_looks(claim, verdict, planned, known, _selection(claim.id, others))


def _beyond_seeds(claim: ClaimSpec, verdict: Verdict) -> str | None:
    """Why no number of seeds would settle the claim; None where one might."""
    for flag in verdict.flags:
        if flag.kind == "precondition":
            return flag.says
        if flag.kind == "diverged" and not claim.counts_diverged():
            return flag.says
    too_few = any(len(cell.seeds) < claim.minimum_seeds for cell in verdict.evidence)
    return verdict.reason if verdict.seen is None and not too_few else None


def _lacking(claim: ClaimSpec, cells: Sequence[Cell], known: Mapping[str, Run]) -> list[Cell]:
    """The cells that have runs without a result, or without one of an analysis that the claim
    reads, with these runs alone."""
    left = []
    for cell in cells:
        runs = tuple(run for run in cell.runs if not _has_all(claim, known.get(run.key())))
        if runs:
            left.append(cell.model_copy(update={"runs": runs}))
    return left


def _has_all(claim: ClaimSpec, run: Run | None) -> bool:
    if run is None or run.state not in ("done", "diverged"):
        return False
    read = claim.model_dump_json()
    return not any(f'"{analysis}/' in read for analysis in run.lacking)


def _selection(claim: str, others: Sequence[str]) -> str:
    """pytest's `-k` for one claim: it takes every name that holds the claim's, unless told not to.

    Names of cells hold no claim's id.
    """
    longer = [other for other in others if claim in other and claim != other]
    return claim if not longer else "'" + " and not ".join([claim, *longer]) + "'"


def _next_looks(
    claim: ClaimSpec,
    verdict: Verdict,
    cells: Sequence[Cell],
    known: Mapping[str, Run],
    selection: str,
) -> Settling:
    """Train the seeds of coming looks until the claim is settled."""
    command = f"pytest tasks/ -k {selection} --train --until-conclusive"
    if verdict.scale != "smoke":
        command += f" --scale {verdict.scale}"
    planned = min(len(cell.runs) for cell in cells if cell.id in claim.cells())
    look = 0 if verdict.look is None else verdict.look + 1
    while sequential.seeds(planned, look) < (verdict.seeds_to_settle or 0):
        look += 1
    wanted = sequential.seeds(planned, look)
    least = min(len(cell.runs) for cell in cells)
    if sequential.seeds(least, look) > sequential.CAP * least:
        command += f" --seed-cap {sequential.seeds(least, look)}"
    if verdict.seeds_to_settle is None:
        reason = (
            "seeds that train together read one clock"
            if isinstance(claim, CostClaim)
            else "at the observed value none would, or one with more seeds than can be run"
        )
        return Settling(
            f"All seeds up to this look are there, and the next is at {wanted} seeds a cell. Which "
            f"look would settle it is not known: {reason}.",
            command,
        )
    coming = [cell.with_seeds(sequential.seeds(len(cell.runs), look)) for cell in cells]
    return Settling(
        f"All seeds up to this look are there. The look at {wanted} seeds a cell would settle it "
        "with a power of 80 %, if what was observed were true.",
        command,
        tuple(_lacking(claim, coming, known)),
    )
