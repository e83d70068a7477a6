"""From a claim and runs to a verdict.

Common to claims of all kinds (the rule of each kind is in `suite.stats.rules`):

- Runs of different scales never mix. A claim is judged at the largest scale at which every cell
  that it names has its minimum of usable seeds, else at the largest at which it has any run.
- **not run**: a cell that the claim names has no run in any state at that scale.
- **inconclusive** without a comparison: too few usable seeds, a figure that a run lacks, or a
  diverged seed that the claim gives no figure for.
- **supported**: every comparison supports. An interval has 95 %, so without an effect a claim is
  supported in at most 2.5 % of cases. A null that must be beaten must also lie behind the observed
  value.
- **contradicted**: one comparison contradicts.
- **inconclusive** otherwise, and whenever a precondition does not hold or the scale is below
  `settled_at`; the observed value and its interval are still given.
- Seeds that failed, diverged or are missing, stale runs, and environments other than the paper's
  are flags of the verdict; all but the last are also part of its reason.

A verdict depends on the claim and the set of runs, not on their order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from suite.specs.claims import ClaimSpec, Null
from suite.specs.models import SCALES, Scale, Spec
from suite.stats.intervals import NoIntervalError
from suite.stats.rules import Bounds, UnsettledError, compare, statistic, values_of
from suite.stats.runs import NoFigureError, Run

VerdictState = Literal["supported", "contradicted", "inconclusive", "not run"]
STATES: tuple[VerdictState, ...] = ("supported", "contradicted", "inconclusive", "not run")
FlagKind = Literal[
    "seeds missing", "failed", "diverged", "stale", "environment", "precondition", "scale below"
]
MANY_SEEDS = 1000


class Flag(Spec):
    """Something a reader must know about the evidence behind a verdict."""

    kind: FlagKind
    says: str


class Comparison(Spec):
    """One comparison of a claim, with the outcome of its rule."""

    label: str
    observed: float
    low: float
    high: float
    method: str
    supports: bool
    contradicts: bool


class CellEvidence(Spec):
    """The usable runs of one cell: seeds and keys in the same order, and the mean of the figure."""

    cell: str
    seeds: tuple[int, ...]
    keys: tuple[str, ...]
    mean: float | None


class Verdict(Spec):
    """What the evidence says about a claim.

    `observed`, `low` and `high` are those of the deciding comparison: the first that contradicts,
    else the one nearest to its bound. `share_of_paper` is the smallest part of the paper's budget
    that a compared cell had. `seeds_to_settle` is a rough number of seeds per cell.
    """

    claim: str
    state: VerdictState
    reason: str
    statistic: str
    observed: float | None = None
    low: float | None = None
    high: float | None = None
    comparisons: tuple[Comparison, ...] = ()
    null: Null | None = None
    flags: tuple[Flag, ...] = ()
    scale: Scale | None = None
    share_of_paper: float | None = None
    evidence: tuple[CellEvidence, ...] = ()
    seeds_to_settle: int | None = None


@dataclass(frozen=True)
class Expected:
    """What the plan asks of a cell at a scale."""

    seeds: tuple[int, ...]
    budget: int


Expectations = Mapping[tuple[str, Scale], Expected]


@dataclass
class _Evidence:
    """Usable runs by cell at one scale, sorted by seed, and what is wrong with the rest."""

    scale: Scale
    runs: dict[str, list[Run]]
    flags: list[Flag] = field(default_factory=list)


def judge(claim: ClaimSpec, runs: Sequence[Run], expected: Expectations | None = None) -> Verdict:
    """The verdict on a claim from all runs known, of any cell, scale and state.

    `expected` gives planned seeds and budgets by (cell id, scale): with it missing seeds are seen,
    and the verdict says how much of the paper's budget was reached.
    """
    plans = expected or {}
    present = _present(claim, runs)
    stale = _stale(claim, runs)
    scale = _scale(claim, present)
    if scale is None:
        reason = "none of its cells has a run" + _told(stale)
        return Verdict(
            claim=claim.id,
            state="not run",
            reason=reason,
            statistic=statistic(claim),
            null=claim.null,
            flags=tuple(stale),
        )
    evidence = _evidence(claim, [run for run in present if run.scale == scale], scale, plans)
    evidence.flags += stale
    verdict = Verdict(
        claim=claim.id,
        state="inconclusive",
        reason="",
        statistic=statistic(claim),
        null=claim.null,
        flags=tuple(evidence.flags),
        scale=scale,
        share_of_paper=_share_of_paper(claim, evidence, plans),
        evidence=tuple(_cell_evidence(claim, cell, evidence) for cell in claim.compared()),
    )
    told = _told(evidence.flags)
    here = {run.cell for run in present if run.scale == scale}
    absent = [cell for cell in claim.cells() if cell not in here]
    if absent:
        reason = f"no run of {', '.join(absent)} at scale {scale}" + told
        return verdict.model_copy(update={"state": "not run", "reason": reason})
    try:
        _check_seeds(claim, evidence)
        bounds = compare(claim, evidence.runs)
        broken = _broken_precondition(claim, evidence)
    except (UnsettledError, NoFigureError, NoIntervalError) as error:
        return verdict.model_copy(update={"reason": str(error) + told})
    return _decide(claim, verdict, bounds, broken, told)


def _decide(
    claim: ClaimSpec, verdict: Verdict, bounds: Sequence[Bounds], broken: str | None, told: str
) -> Verdict:
    deciding = next((b for b in bounds if b.contradicts), min(bounds, key=Bounds.slack))
    state: VerdictState = "inconclusive"
    reason = _seen(deciding, "does not clear")
    flags = list(verdict.flags)
    if deciding.contradicts:
        state, reason = "contradicted", _seen(deciding, "lies on the other side of")
    elif all(bound.supports for bound in bounds):
        state, reason = "supported", _seen(deciding, "lies beyond")
        if (
            claim.null is not None
            and claim.null.must_be_beaten
            and not _beats(deciding, claim.null)
        ):
            state = "inconclusive"
            reason += f", but not beyond the null, {claim.null.name}: {claim.null.value:g}"
    settling = _seeds_to_settle(bounds, verdict) if state == "inconclusive" else None
    if broken is not None:
        flags.append(Flag(kind="precondition", says=broken))
        state, settling = "inconclusive", None
        reason = f"precondition not met: {broken}; seen nevertheless: {reason}"
    if SCALES.index(verdict.scale or "smoke") < SCALES.index(claim.settled_at):
        share = verdict.share_of_paper
        reached = "" if share is None else f", {100 * share:.2g} % of the paper's budget"
        flags.append(Flag(kind="scale below", says=f"ran at {verdict.scale}{reached}"))
        needs = f" ({claim.needs})" if claim.needs else ""
        state, settling = "inconclusive", None
        reason = f"needs scale {claim.settled_at}{needs}; ran at {verdict.scale}{reached}: {reason}"
    return verdict.model_copy(
        update={
            "state": state,
            "reason": reason + told,
            "observed": _rounded(deciding.interval.observed),
            "low": _rounded(deciding.interval.low),
            "high": _rounded(deciding.interval.high),
            "comparisons": tuple(_comparison(bound) for bound in bounds),
            "flags": tuple(flags),
            "seeds_to_settle": settling,
        }
    )


def _comparison(bound: Bounds) -> Comparison:
    seen = bound.interval
    return Comparison(
        label=bound.label,
        observed=_rounded(seen.observed),
        low=_rounded(seen.low),
        high=_rounded(seen.high),
        method=seen.method,
        supports=bound.supports,
        contradicts=bound.contradicts,
    )


def _seen(bound: Bounds, verb: str) -> str:
    seen = bound.interval
    where = f"{bound.label}: " if bound.label else ""
    edges = [f"{edge:.4g}" for edge in (bound.above, bound.below) if np.isfinite(edge)]
    return (
        f"{where}{seen.observed:.4g} [{seen.low:.4g}, {seen.high:.4g}] {verb} {' and '.join(edges)}"
    )


def _beats(bound: Bounds, null: Null) -> bool:
    observed = bound.interval.observed
    return observed > null.value if np.isfinite(bound.above) else observed < null.value


def _seeds_to_settle(bounds: Sequence[Bounds], verdict: Verdict) -> int | None:
    """Seeds per cell at which every interval would clear its bound if the observed values stayed;
    None where one is on the wrong side, or for more than MANY_SEEDS."""
    factors = [bound.seeds_factor() for bound in bounds]
    known = [factor for factor in factors if factor is not None]
    if len(known) < len(factors):
        return None
    present = min(len(cell.seeds) for cell in verdict.evidence)
    seeds = int(np.ceil(present * max(known)))
    return seeds if present < seeds <= MANY_SEEDS else None


def _present(claim: ClaimSpec, runs: Sequence[Run]) -> list[Run]:
    """The claim's runs that count, in an order of their own; ValueError for a key seen twice."""
    mine = [run for run in runs if run.cell in claim.cells() and not run.stale]
    if len({run.key for run in mine}) < len(mine):
        raise ValueError("a run is given twice; collect runs with `collect_runs`")
    return sorted(mine, key=lambda run: (run.cell, run.scale, run.seed, run.key))


def _stale(claim: ClaimSpec, runs: Sequence[Run]) -> list[Flag]:
    stale = sorted({(r.key, r.stale) for r in runs if r.stale and r.cell in claim.cells()})
    if not stale:
        return []
    return [Flag(kind="stale", says=f"{len(stale)} stale runs not counted ({stale[0][1]})")]


def _scale(claim: ClaimSpec, runs: Sequence[Run]) -> Scale | None:
    for scale in reversed(SCALES):
        usable = [run.cell for run in runs if run.scale == scale and _usable(claim, run)]
        if all(usable.count(cell) >= claim.minimum_seeds for cell in claim.cells()):
            return scale
    return next((s for s in reversed(SCALES) if any(run.scale == s for run in runs)), None)


def _usable(claim: ClaimSpec, run: Run) -> bool:
    return run.state == "done" or (run.state == "diverged" and claim.diverged_as is not None)


def _evidence(
    claim: ClaimSpec, runs: Sequence[Run], scale: Scale, plans: Expectations
) -> _Evidence:
    evidence = _Evidence(scale, {})
    for cell in claim.cells():
        here = [run for run in runs if run.cell == cell]
        evidence.runs[cell] = [run for run in here if _usable(claim, run)]
        evidence.flags += _state_flags(cell, here, plans.get((cell, scale)))
    replaced = {
        (run.spec["task"]["environment"], run.spec["task"].get("paper_environment", ""))
        for rows in evidence.runs.values()
        for run in rows
    }
    evidence.flags += [
        Flag(kind="environment", says=f"{used} stands for the paper's {wanted}")
        for used, wanted in sorted(replaced)
        if wanted and wanted != used
    ]
    return evidence


def _state_flags(cell: str, runs: Sequence[Run], planned: Expected | None) -> list[Flag]:
    flags = []
    kinds: tuple[Literal["failed", "diverged"], ...] = ("failed", "diverged")
    for kind in kinds:
        those = [run for run in runs if run.state == kind]
        if those:
            message = next((f" ({run.message})" for run in those if run.message), "")
            says = f"{kind}: {_seeds(cell, [run.seed for run in those])}{message}"
            flags.append(Flag(kind=kind, says=says))
    ended = {run.seed for run in runs if run.state in ("done", "diverged", "failed")}
    missing = sorted(set(planned.seeds) - ended) if planned else []
    if missing:
        flags.append(Flag(kind="seeds missing", says=f"missing: {_seeds(cell, missing)}"))
    return flags


def _seeds(cell: str, seeds: Sequence[int]) -> str:
    return f"{cell} seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def _check_seeds(claim: ClaimSpec, evidence: _Evidence) -> None:
    if claim.diverged_as is None and any(flag.kind == "diverged" for flag in evidence.flags):
        raise UnsettledError("a diverged seed has no figure to compare")
    for cell, runs in evidence.runs.items():
        if len(runs) < claim.minimum_seeds:
            raise UnsettledError(
                f"{cell} has {len(runs)} usable seeds and the claim needs {claim.minimum_seeds}"
            )


def _broken_precondition(claim: ClaimSpec, evidence: _Evidence) -> str | None:
    for condition in claim.preconditions:
        for cell in condition.where:
            mean = float(values_of(claim, evidence.runs[cell], condition.figure).mean())
            low = condition.at_least is not None and mean < condition.at_least
            high = condition.at_most is not None and mean > condition.at_most
            if low or high:
                return f"{condition.says} ({cell}: {mean:.4g})"
    return None


def _share_of_paper(claim: ClaimSpec, evidence: _Evidence, plans: Expectations) -> float | None:
    shares = [
        evidence.runs[cell][0].budget / plans[cell, "paper"].budget
        for cell in claim.compared()
        if (cell, "paper") in plans and evidence.runs[cell]
    ]
    return _rounded(min(shares)) if shares else None


def _cell_evidence(claim: ClaimSpec, cell: str, evidence: _Evidence) -> CellEvidence:
    runs = evidence.runs[cell]
    try:
        mean = _rounded(float(values_of(claim, runs).mean())) if runs else None
    except NoFigureError:
        # The comparison meets the same error and makes it the verdict's reason.
        mean = None
    return CellEvidence(
        cell=cell,
        seeds=tuple(run.seed for run in runs),
        keys=tuple(run.key for run in runs),
        mean=mean,
    )


def _told(flags: Sequence[Flag]) -> str:
    return "".join(f"; {flag.says}" for flag in flags if flag.kind != "environment")


def _rounded(value: float) -> float:
    """Ten significant digits: free of the last bits' noise."""
    return float(f"{value:.10g}")
