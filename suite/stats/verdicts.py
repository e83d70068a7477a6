"""From a claim and runs to a verdict.

Common to claims of all kinds (the rule of each kind is in `suite.stats.rules`):

- Runs of different scales never mix. A claim is judged at the largest scale at which its cells
  have their minimum of usable seeds, else at the largest at which any of them has a run.
- **not run**: a cell that the claim names has no run in any state at that scale. Below
  `settled_at`, a claim that averages over tasks is looked at on the tasks that have runs.
- **inconclusive** without a comparison: too few usable seeds, a figure that a run lacks, or a
  diverged seed that the claim gives no figure for.
- **supported**: every comparison supports. An interval has 95 %, so without an effect a claim of
  normal figures is supported in at most 2.5 % of cases. The observed value must also lie beyond
  the range of a null that must be beaten.
- **contradicted**: one comparison contradicts.
- **inconclusive** otherwise, and whenever a precondition does not hold or the scale is below
  `settled_at`; the observed value and its interval are still given.
- Seeds that failed, diverged or are missing, stale and corrupt runs, and environments or renderers
  other than the paper's are flags of the verdict; all but the last two are also part of its reason.

A verdict depends on the claim and the set of runs, not on their order.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import TYPE_CHECKING, Literal

import numpy as np

from suite.specs.claims import ClaimSpec, DifferenceClaim, RatioClaim, SnapshotAverage
from suite.specs.models import SCALES, Scale, Spec
from suite.stats.columns import UnsettledError, read, values_of
from suite.stats.intervals import CONFIDENCE, NoIntervalError, Precision
from suite.stats.nulls import ResolvedNull, beaten, resolve
from suite.stats.power import seeds_to_settle
from suite.stats.rules import Bounds, compare, decide, deciding, statistic
from suite.stats.runs import NoFigureError, Run

if TYPE_CHECKING:
    # Loading a project imports every agent; judging needs none of them.
    from suite.specs.loading import Project

VerdictState = Literal["supported", "contradicted", "inconclusive", "not run"]
STATES: tuple[VerdictState, ...] = ("supported", "contradicted", "inconclusive", "not run")
FlagKind = Literal[
    "tasks missing",
    "seeds missing",
    "failed",
    "diverged",
    "corrupt",
    "stale",
    "environment",
    "renderer",
    "precondition",
    "scale below",
]


PAPER_RENDERER = "gl"
"""Papers that learn from pixels have dm_control's own renderer."""


class Flag(Spec):
    """Something a reader must know about the evidence behind a verdict."""

    kind: FlagKind
    says: str


class Comparison(Spec):
    """One comparison of a claim: it supports when its interval lies between `above` and `below`."""

    label: str
    observed: float
    low: float
    high: float
    method: str
    above: float | None
    below: float | None
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
    that a compared cell had. `paper` is what the paper reports, in words.

    `p_value` is the least error rate of the two-sided intervals at which every comparison supports,
    whatever the state; `survives_correction` is filled in by `suite.stats.correction` for supported
    claims. `seeds_to_settle` is the number of seeds per cell that would decide the claim with a
    power of 80 % if what was observed were true.
    """

    claim: str
    state: VerdictState
    reason: str
    statistic: str
    observed: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float = CONFIDENCE
    comparisons: tuple[Comparison, ...] = ()
    p_value: float | None = None
    survives_correction: bool | None = None
    null: ResolvedNull | None = None
    paper: str = ""
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


def expectations(project: "Project") -> Expectations:
    """What the plan asks of every cell at every scale."""
    return {
        (cell.id, scale): Expected(tuple(run.seed for run in cell.runs), cell.runs[0].budget)
        for scale in SCALES
        for cell in project.cells[scale]
    }


def judge(
    claim: ClaimSpec,
    runs: Sequence[Run],
    expected: Expectations | None = None,
    confidence: float = CONFIDENCE,
) -> Verdict:
    """The verdict on a claim from all runs known, of any cell, scale and state.

    `expected` gives planned seeds and budgets by (cell id, scale): with it missing seeds are seen,
    and the verdict says how much of the paper's budget was reached. `confidence` is that of each
    two-sided interval, for looks before all seeds are in (`suite.stats.sequential`).
    """
    plans = expected or {}
    counted = _counted(claim, runs)
    present = [run for run in counted if run.state not in ("queued", "corrupt")]
    unusable = _stale(claim, runs) + _corrupt(claim, runs)
    scale = _scale(claim, present)
    verdict = Verdict(
        claim=claim.id,
        state="not run",
        reason="none of its cells has a run" + _told(unusable),
        statistic=statistic(claim),
        confidence=confidence,
        null=resolve(claim, {}),
        paper=claim.reported,
        flags=tuple(unusable),
    )
    if scale is None:
        return verdict
    cells = {run.cell for run in present if run.scale == scale}
    absent = [cell for cell in claim.cells() if cell not in cells]
    partial = _of_present_tasks(claim, cells) if _below(claim, scale) else None
    here = [run for run in counted if run.scale == scale]
    evidence = _evidence(partial or claim, here, scale, plans)
    if absent and partial is not None:
        evidence.flags.append(Flag(kind="tasks missing", says=_absent(claim, absent)))
    evidence.flags += unusable
    verdict = verdict.model_copy(
        update={
            "scale": scale,
            "share_of_paper": _share_of_paper(partial or claim, evidence, plans),
            "evidence": tuple(
                _cell_evidence(claim, cell, evidence)
                for cell in dict.fromkeys((partial or claim).compared())
            ),
            "null": resolve(partial or claim, evidence.runs),
            "flags": tuple(evidence.flags),
        }
    )
    if absent and partial is None:
        reason = f"{_absent(claim, absent)} at scale {scale}" + _told(evidence.flags)
        return verdict.model_copy(update={"reason": reason})
    verdict = _compared(partial or claim, verdict, evidence)
    if _below(claim, scale):
        verdict = _not_settled(claim, verdict)
    reason = verdict.reason + _told(evidence.flags)
    return verdict.model_copy(update={"reason": reason})


def _compared(claim: ClaimSpec, verdict: Verdict, evidence: _Evidence) -> Verdict:
    """The verdict if the scale were large enough."""
    try:
        _check_seeds(claim, evidence)
        columns = read(claim, evidence.runs)
        bounds = compare(claim, columns, Precision(verdict.confidence))
        broken = _broken_precondition(claim, evidence)
    except (UnsettledError, NoFigureError, NoIntervalError) as error:
        return verdict.model_copy(update={"state": "inconclusive", "reason": str(error)})
    null, nearest = verdict.null, deciding(bounds)
    state: VerdictState = decide(bounds, beaten=beaten(null, nearest))
    reason = _seen(nearest)
    flags = verdict.flags
    if null is not None and state == "inconclusive" and decide(bounds) == "supported":
        reason += f", but not beyond the null, {_told_null(null)}"
    settling = None
    if state == "inconclusive" and broken is None and not _below(claim, evidence.scale):
        settling = seeds_to_settle(
            claim,
            columns,
            confidence=verdict.confidence,
            beaten=lambda drawn: beaten(null, deciding(drawn)),
        )
    if broken is not None:
        flags += (Flag(kind="precondition", says=broken),)
        state = "inconclusive"
        reason = f"precondition not met: {broken}; seen nevertheless: {reason}"
    return verdict.model_copy(
        update={
            "state": state,
            "reason": reason,
            "observed": _rounded(nearest.interval.observed),
            "low": _rounded(nearest.interval.low),
            "high": _rounded(nearest.interval.high),
            "p_value": _p_value(bounds),
            "comparisons": tuple(_comparison(bound) for bound in bounds),
            "flags": flags,
            "seeds_to_settle": settling,
        }
    )


def _not_settled(claim: ClaimSpec, verdict: Verdict) -> Verdict:
    """The verdict as it stands below the scale that settles the claim."""
    share = verdict.share_of_paper
    reached = "" if share is None else f", {100 * share:.2g} % of the paper's budget"
    flag = Flag(kind="scale below", says=f"ran at {verdict.scale}{reached}")
    needs = f" ({claim.needs})" if claim.needs else ""
    reason = f"needs scale {claim.settled_at}{needs}; {flag.says}: {verdict.reason}"
    return verdict.model_copy(
        update={
            "state": "inconclusive",
            "reason": reason,
            "flags": (*verdict.flags, flag),
        }
    )


def _absent(claim: ClaimSpec, cells: Sequence[str]) -> str:
    named = ", ".join(cells[:3])
    if len(cells) <= 3:
        return f"no run of {named}"
    return f"no run of {len(cells)} of its {len(claim.cells())} cells, among them {named}"


def _below(claim: ClaimSpec, scale: Scale) -> bool:
    return SCALES.index(scale) < SCALES.index(claim.settled_at)


def _of_present_tasks(claim: ClaimSpec, cells: Collection[str]) -> ClaimSpec | None:
    """The claim on those of its tasks that have runs; None when no task is complete.

    Only claims that average over tasks have such parts.
    """
    if not isinstance(claim, DifferenceClaim | RatioClaim):
        return claim if set(claim.cells()) <= set(cells) else None
    sides = {"treatment": claim.treatment, "control": claim.control}
    if isinstance(claim, DifferenceClaim) and claim.reference:
        sides["reference"] = claim.reference
    whole = [all(cell in cells for cell in row) for row in zip(*sides.values(), strict=True)]
    if not any(whole):
        return None
    kept: dict[str, object] = {side: tuple(compress(c, whole)) for side, c in sides.items()}
    if isinstance(claim.null, SnapshotAverage):
        update = {"cells": tuple(compress(claim.null.cells, whole))}
        kept["null"] = claim.null.model_copy(update=update)
    kept["preconditions"] = tuple(
        condition.model_copy(update={"where": where})
        for condition in claim.preconditions
        if (where := tuple(cell for cell in condition.where if cell in cells))
    )
    return claim.model_copy(update=kept)


def _comparison(bound: Bounds) -> Comparison:
    seen = bound.interval
    return Comparison(
        label=bound.label,
        observed=_rounded(seen.observed),
        low=_rounded(seen.low),
        high=_rounded(seen.high),
        method=seen.method,
        above=bound.above if np.isfinite(bound.above) else None,
        below=bound.below if np.isfinite(bound.below) else None,
        supports=bound.supports,
        contradicts=bound.contradicts,
    )


def in_words(value: float) -> str:
    """Three significant digits, and whole numbers from a thousand to a million."""
    return f"{value:,.0f}" if 1e3 <= abs(value) < 1e6 else f"{value:.3g}"


def _seen(bound: Bounds) -> str:
    """What was seen and where it lies, as a reason."""
    seen = bound.interval
    where = f"{bound.label}: " if bound.label else ""
    if np.isfinite(bound.above) and np.isfinite(bound.below):
        wanted = f"between {in_words(bound.above)} and {in_words(bound.below)}"
    elif np.isfinite(bound.above):
        wanted = f"above {in_words(bound.above)}"
    else:
        wanted = f"below {in_words(bound.below)}"
    if seen.high < bound.contradicted_below:
        lies = f"lies below {in_words(bound.contradicted_below)}"
    elif seen.low > bound.contradicted_above:
        lies = f"lies above {in_words(bound.contradicted_above)}"
    else:
        lies = f"lies {wanted}" if bound.supports else f"does not lie wholly {wanted}"
    return f"{where}{in_words(seen.observed)}{_range(seen.low, seen.high)} {lies}"


def side_by_side(verdict: Verdict) -> str:
    """What was observed, what the null is, and what the paper reports, in one line."""
    observed = "nothing"
    if verdict.observed is not None and verdict.low is not None and verdict.high is not None:
        observed = f"{in_words(verdict.observed)}{_range(verdict.low, verdict.high)}"
    null = "no effect" if verdict.null is None else _told_null(verdict.null)
    return f"observed: {observed}; null: {null}; paper: {verdict.paper}"


def _told_null(null: ResolvedNull) -> str:
    if null.value is None:
        return f"{null.name}: {null.source}"
    range_ = "" if null.low is None or null.high is None else _range(null.low, null.high)
    return f"{null.name}: {in_words(null.value)}{range_}"


def _range(low: float, high: float) -> str:
    return f" [{in_words(low)}, {in_words(high)}]"


def _p_value(bounds: Sequence[Bounds]) -> float | None:
    found = [bound.p_value() for bound in bounds]
    values = [value for value in found if value is not None]
    return _rounded(max(values)) if len(values) == len(found) else None


def _counted(claim: ClaimSpec, runs: Sequence[Run]) -> list[Run]:
    """The claim's runs that are not stale, in whatever state, in an order of their own.

    Raises ValueError for a key seen twice.
    """
    mine = [run for run in runs if run.cell in claim.named() and not run.stale]
    if len({run.key for run in mine}) < len(mine):
        raise ValueError("a run is given twice; collect runs with `collect_runs`")
    return sorted(mine, key=lambda run: (run.cell, run.scale, run.seed, run.key))


def _stale(claim: ClaimSpec, runs: Sequence[Run]) -> list[Flag]:
    stale = sorted({(r.key, r.stale) for r in runs if r.stale and r.cell in claim.cells()})
    if not stale:
        return []
    return [Flag(kind="stale", says=f"{len(stale)} stale runs not counted ({stale[0][1]})")]


def _corrupt(claim: ClaimSpec, runs: Sequence[Run]) -> list[Flag]:
    """Of every scale: what a corrupt file held may have decided at which scale to judge."""
    corrupt = {r.message for r in runs if r.state == "corrupt" and r.cell in claim.named()}
    return [Flag(kind="corrupt", says=f"corrupt: {message}") for message in sorted(corrupt)]


def _scale(claim: ClaimSpec, runs: Sequence[Run]) -> Scale | None:
    for scale in reversed(SCALES):
        usable = [run.cell for run in runs if run.scale == scale and _usable(claim, run)]
        part = _of_present_tasks(claim, usable) if _below(claim, scale) else claim
        if part and all(usable.count(cell) >= claim.minimum_seeds for cell in part.cells()):
            return scale
    return next((s for s in reversed(SCALES) if any(run.scale == s for run in runs)), None)


def _usable(claim: ClaimSpec, run: Run) -> bool:
    return run.state == "done" or (run.state == "diverged" and claim.diverged_as is not None)


def _evidence(
    claim: ClaimSpec, runs: Sequence[Run], scale: Scale, plans: Expectations
) -> _Evidence:
    evidence = _Evidence(scale, {})
    for cell in claim.named():
        here = [run for run in runs if run.cell == cell]
        evidence.runs[cell] = [run for run in here if _usable(claim, run)]
        evidence.flags += _state_flags(cell, here, plans.get((cell, scale)))
    replaced = {
        (run.spec["task"]["environment"], run.spec["task"].get("paper_environment", ""))
        for rows in evidence.runs.values()
        for run in rows
    }
    evidence.flags += [
        Flag(kind="environment", says=f"environment {used}, the paper has {wanted}")
        for used, wanted in sorted(replaced)
        if wanted and wanted != used
    ]
    renderers = {
        run.spec["task"].get("arguments", {}).get("renderer")
        for rows in evidence.runs.values()
        for run in rows
    }
    evidence.flags += [
        Flag(kind="renderer", says=f"pictures by {name}, the paper's by {PAPER_RENDERER} (OpenGL)")
        for name in sorted(renderers - {None, PAPER_RENDERER})
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
    known = {run.seed for run in runs} | set(planned.seeds if planned else ())
    ended = {run.seed for run in runs if run.state in ("done", "diverged", "failed", "corrupt")}
    missing = sorted(known - ended)
    if missing:
        flags.append(Flag(kind="seeds missing", says=f"missing: {_seeds(cell, missing)}"))
    return flags


def _seeds(cell: str, seeds: Sequence[int]) -> str:
    return f"{cell} seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def _check_seeds(claim: ClaimSpec, evidence: _Evidence) -> None:
    if claim.diverged_as is None and any(flag.kind == "diverged" for flag in evidence.flags):
        raise UnsettledError("a diverged seed has no figure to compare")
    for cell in claim.cells():
        count = len(evidence.runs[cell])
        if count < claim.minimum_seeds:
            raise UnsettledError(
                f"{cell} has {count} usable seeds and the claim needs {claim.minimum_seeds}"
            )


def _broken_precondition(claim: ClaimSpec, evidence: _Evidence) -> str | None:
    for condition in claim.preconditions:
        for cell in condition.where:
            mean = float(values_of(claim, evidence.runs[cell], condition.figure).mean())
            low = condition.at_least is not None and mean < condition.at_least
            high = condition.at_most is not None and mean > condition.at_most
            if low or high:
                return f"{condition.says} ({cell}: {in_words(mean)})"
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
    return "".join(
        f"; {flag.says}" for flag in flags if flag.kind not in ("environment", "renderer")
    )


def _rounded(value: float) -> float:
    """Ten significant digits: free of the last bits' noise."""
    return float(f"{value:.10g}")
