"""From a claim and runs to a verdict.

Common to claims of all kinds (the rule of each kind is in `suite.stats.rules`):

- Runs of different scales never mix. A claim is judged at the largest scale at which all planned
  seeds have ended and its cells have their minimum of usable ones, else at the largest that has
  runs. What the other scales say stands beside it, and a flag says when they do not agree.
- It is judged at looks (`suite.stats.sequential`): with the planned seeds once all of them have
  ended, with the first 2, 4, 8, ... times as many once these have. Seeds beyond the last look do
  not count yet, and before the first one nothing is decided.
- **not run**: a cell that the claim names has no run in any state at that scale. Below
  `settled_at`, a claim that averages over tasks is looked at on the tasks that have runs.
- **inconclusive** without a comparison: too few usable seeds, a figure that a run lacks, no spread
  to make an interval from, or a diverged seed that has no place in the comparison.
- **supported**: every comparison supports. All looks together have an error rate of 5 %, both ways.
  The observed value must also lie beyond the range of a null that must be beaten.
- **contradicted**: one comparison contradicts.
- **inconclusive** otherwise, and whenever a precondition does not hold or the scale is below
  `settled_at`; the observed value and its interval are still given.
- Seeds that failed, diverged or are missing, stale and corrupt runs, runs of unlike numerics, and
  environments or renderers other than the paper's are flags of the verdict; all but the last two
  are also part of its reason.

A verdict depends on the claim and the set of runs, not on their order.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from suite.specs.claims import (
    ClaimSpec,
    DifferenceClaim,
    KindOfClaim,
    RatioClaim,
    SnapshotAverage,
)
from suite.specs.models import SCALES, Scale, Spec
from suite.stats import sequential
from suite.stats.columns import UnsettledError, read, values_of
from suite.stats.intervals import NoIntervalError, Precision
from suite.stats.nulls import ResolvedNull, beaten, resolve
from suite.stats.power import seeds_to_settle
from suite.stats.rules import Bounds, Decision, compare, decide, deciding
from suite.stats.runs import NoFigureError, Run
from suite.stats.wording import statistic
from suite.store import numerics

if TYPE_CHECKING:
    # Loading a project imports every agent; judging needs none of them.
    from suite.specs.project import Project

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
    "scales differ",
    "numerics",
]


PAPER_RENDERER = "gl"
"""Papers that learn from pixels have dm_control's own renderer."""


class Flag(Spec):
    """Something a reader must know about the evidence behind a verdict."""

    kind: FlagKind
    says: str


class Comparison(Spec):
    """One comparison of a claim: it supports when its interval lies between `above` and `below`.

    Ends are None where they are open or infinite. An `assumed` range is not seen and decides
    nothing; a `condition` must support before the others mean anything.
    """

    label: str
    observed: float | None
    low: float | None
    high: float | None
    method: str
    assumed: bool
    condition: bool
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


class AtScale(Spec):
    """What another scale says: its state, and what was `seen`, whatever that scale can settle."""

    scale: Scale
    state: VerdictState
    seen: Decision | None
    observed: float | None
    low: float | None
    high: float | None


class Verdict(Spec):
    """What the evidence says about a claim.

    `observed`, `low` and `high` are those of the deciding comparison: a condition that is not
    clear, else the first that contradicts, else the one nearest to its bound; an end that is open
    is None. `confidence` is that of each interval at this `look` (counted from 0; None before the
    first), chosen so that all looks together have 95 %. `seen` is what the comparisons say alone,
    whatever precondition or scale keep from being decided. `share_of_paper` is the smallest part of
    the paper's budget that a compared cell had. `paper` is what the paper reports, in words.

    `p_value` is the least error rate of the two-sided intervals at which every comparison supports,
    whatever the state; `survives_correction` is filled in by `suite.stats.correction` for supported
    claims. `seeds_to_settle` is the number of seeds per cell, at a coming look, that would decide
    the claim with a power of 80 % if what was observed were true.

    `numerics` names the numerics of the compared runs (`suite.store.numerics`); more than one means
    that they mix. `analyses` has the versions of the analyses whose results were read.
    """

    claim: str
    kind_of_claim: KindOfClaim
    state: VerdictState
    reason: str
    statistic: str
    observed: float | None = None
    low: float | None = None
    high: float | None = None
    look: int | None = None
    confidence: float = sequential.confidence(0)
    seen: Decision | None = None
    comparisons: tuple[Comparison, ...] = ()
    p_value: float | None = None
    survives_correction: bool | None = None
    null: ResolvedNull | None = None
    paper: str = ""
    flags: tuple[Flag, ...] = ()
    scale: Scale | None = None
    other_scales: tuple[AtScale, ...] = ()
    share_of_paper: float | None = None
    evidence: tuple[CellEvidence, ...] = ()
    numerics: tuple[str, ...] = ()
    analyses: dict[str, int] = Field(default={})
    seeds_to_settle: int | None = None


@dataclass(frozen=True)
class Expected:
    """What the plan asks of a cell at a scale."""

    seeds: tuple[int, ...]
    budget: int


Expectations = Mapping[tuple[str, Scale], Expected]


@dataclass
class _Evidence:
    """Usable runs by cell at one scale that count at a look, sorted by seed, and what is wrong
    with the rest. `planned` is the least number of planned seeds of a cell."""

    scale: Scale
    look: int | None
    planned: int
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
    environments: Mapping[str, str] | None = None,
    power: bool = True,
) -> Verdict:
    """The verdict on a claim from all runs known, of any cell, scale and state.

    `expected` gives planned seeds and budgets by (cell id, scale): with it missing seeds are seen,
    looks are known, and the verdict says how much of the paper's budget was reached. The seeds of a
    cell without a plan count as planned. `environments` gives those of the claim's paper by task,
    where tasks stand in for others: flags name them. Without `power` the verdict lacks
    `seeds_to_settle`, which takes more time than all the rest.
    """
    plans = expected or {}
    counted = _counted(claim, runs)
    present = [run for run in counted if run.state not in ("queued", "corrupt")]
    unusable = _stale(claim, runs) + _corrupt(claim, runs)
    if not present:
        return _not_run(claim).model_copy(
            update={
                "reason": "none of its cells has a run" + _told(unusable),
                "flags": tuple(unusable),
            }
        )
    found = {
        scale: _judged_at(claim, counted, scale, plans, environments or {}, unusable, power)
        for scale in SCALES
        if any(run.scale == scale for run in present)
    }
    # A scale that is still being trained does not take the place of one that can be judged.
    ended = [run for run in present if found[run.scale].look is not None]
    judged = _scale(claim, ended or present)
    others = tuple(_at_scale(found[scale]) for scale in found if scale != judged)
    verdict = found[judged].model_copy(update={"other_scales": others})
    return _scales_told(verdict)


def _not_run(claim: ClaimSpec) -> Verdict:
    return Verdict(
        claim=claim.id,
        kind_of_claim=claim.kind_of_claim,
        state="not run",
        reason="",
        statistic=statistic(claim),
        null=resolve(claim, {}),
        paper=claim.reported,
    )


def _judged_at(
    claim: ClaimSpec,
    counted: Sequence[Run],
    scale: Scale,
    plans: Expectations,
    environments: Mapping[str, str],
    unusable: Sequence[Flag],
    power: bool,
) -> Verdict:
    """The verdict from the runs of one scale."""
    here = [run for run in counted if run.scale == scale]
    cells = {run.cell for run in here if run.state not in ("queued", "corrupt")}
    absent = [cell for cell in claim.cells() if cell not in cells]
    partial = _of_present_tasks(claim, cells) if _below(claim, scale) else None
    evidence = _evidence(partial or claim, here, scale, plans, environments)
    if absent and partial is not None:
        evidence.flags.append(Flag(kind="tasks missing", says=_absent(claim, absent)))
    evidence.flags += unusable
    compared = tuple(dict.fromkeys((partial or claim).compared()))
    verdict = _not_run(claim).model_copy(
        update={
            "scale": scale,
            "look": evidence.look,
            "confidence": sequential.confidence(evidence.look or 0),
            "share_of_paper": _share_of_paper(partial or claim, evidence, plans),
            "evidence": tuple(_cell_evidence(claim, cell, evidence) for cell in compared),
            "numerics": _numerics(compared, evidence),
            "analyses": _analyses(claim, compared, evidence),
            "null": resolve(partial or claim, evidence.runs),
            "flags": tuple(evidence.flags),
        }
    )
    if absent and partial is None:
        reason = f"{_absent(claim, absent)} at scale {scale}" + _told(evidence.flags)
        return verdict.model_copy(update={"reason": reason})
    verdict = _compared(partial or claim, verdict, evidence, power)
    if _below(claim, scale):
        verdict = _not_settled(claim, verdict)
    reason = verdict.reason + _told(evidence.flags)
    return verdict.model_copy(update={"reason": reason})


def _at_scale(verdict: Verdict) -> AtScale:
    assert verdict.scale is not None
    return AtScale(
        scale=verdict.scale,
        state=verdict.state,
        seen=verdict.seen,
        observed=verdict.observed,
        low=verdict.low,
        high=verdict.high,
    )


def _scales_told(verdict: Verdict) -> Verdict:
    """With a flag where another scale has seen the claim decided otherwise than this one."""
    differing = [
        other
        for other in verdict.other_scales
        if other.seen in ("supported", "contradicted") and other.seen != verdict.seen
    ]
    if not differing:
        return verdict
    told = " and ".join(
        f"at {other.scale} it is {other.seen}, {_value(other.observed, other.low, other.high)}"
        for other in differing
    )
    flag = Flag(kind="scales differ", says=f"scales differ: {told}")
    return verdict.model_copy(
        update={"flags": (*verdict.flags, flag), "reason": f"{verdict.reason}; {flag.says}"}
    )


def _compared(claim: ClaimSpec, verdict: Verdict, evidence: _Evidence, power: bool) -> Verdict:
    """The verdict if the scale were large enough."""
    try:
        _check_seeds(claim, evidence)
        columns = read(claim, evidence.runs)
        bounds = compare(claim, columns, Precision(verdict.confidence))
        broken = _broken_precondition(claim, evidence)
    except (UnsettledError, NoFigureError, NoIntervalError) as error:
        return verdict.model_copy(update={"state": "inconclusive", "reason": str(error)})
    null, nearest = verdict.null, deciding(bounds)
    seen = decide(bounds, beaten=beaten(null, nearest))
    state: VerdictState = seen
    reason = _seen(nearest, verdict.confidence)
    flags = verdict.flags
    if null is not None and seen == "inconclusive" and decide(bounds) == "supported":
        reason += f", but not beyond the null, {_told_null(null)}"
    settling = None
    open_yet = seen == "inconclusive" and broken is None and not _below(claim, evidence.scale)
    if power and open_yet:
        settling = seeds_to_settle(
            claim,
            columns,
            planned=evidence.planned,
            look=-1 if evidence.look is None else evidence.look,
            beaten=lambda drawn: beaten(null, deciding(drawn)),
        )
    if broken is not None:
        flags += (Flag(kind="precondition", says=broken),)
        state = "inconclusive"
        reason = f"precondition not met: {broken}; seen nevertheless: {reason}"
    if evidence.look is None:
        state = "inconclusive"
        reason = f"decided when all planned seeds have ended; seen so far: {reason}"
    return verdict.model_copy(
        update={
            "state": state,
            "seen": seen,
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
    reason = (
        f"needs scale {claim.settled_at} ({claim.settled_because}); {flag.says}: {verdict.reason}"
    )
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
        assumed=bound.assumed,
        condition=bound.condition,
        above=bound.above if np.isfinite(bound.above) else None,
        below=bound.below if np.isfinite(bound.below) else None,
        supports=bound.supports,
        contradicts=bound.contradicts,
    )


def in_words(value: float) -> str:
    """Three significant digits, and whole numbers from a thousand to a million."""
    if np.isinf(value):
        return "infinity" if value > 0 else "-infinity"
    return f"{value:,.0f}" if 1e3 <= abs(value) < 1e6 else f"{value:.3g}"


def _seen(bound: Bounds, confidence: float) -> str:
    """What was seen and where it lies, as a reason."""
    seen, against = bound.interval, bound.against or bound.interval
    where = f"{bound.label}: " if bound.label else ""
    if np.isfinite(bound.above) and np.isfinite(bound.below):
        wanted = f"between {in_words(bound.above)} and {in_words(bound.below)}"
    elif np.isfinite(bound.above):
        wanted = f"above {in_words(bound.above)}"
    else:
        wanted = f"below {in_words(bound.below)}"
    observed = f"{where}{in_words(seen.observed)}"
    if seen.open:
        return (
            f"{observed}; so few seeds allow no interval of {100 * confidence:.3g} %, whatever "
            f"they show; it has to lie {wanted}"
        )
    range_ = f" [{in_words(seen.low)}, {in_words(seen.high)}]"
    if bound.assumed:
        return f"{observed}{range_}, a range that is {seen.method}; clocks so few decide nothing"
    if bound.contradicts and against.high < bound.contradicted_below:
        lies = f"lies below {in_words(bound.contradicted_below)}"
    elif bound.contradicts:
        lies = f"lies above {in_words(bound.contradicted_above)}"
    else:
        lies = f"lies {wanted}" if bound.supports else f"does not lie wholly {wanted}"
    return f"{observed}{range_} {lies}"


def side_by_side(verdict: Verdict) -> str:
    """What was observed, what the null is, and what the paper reports, in one line."""
    observed = "nothing" if verdict.seen is None else _of(verdict)
    null = "no effect" if verdict.null is None else _told_null(verdict.null)
    return f"observed: {observed}; null: {null}; paper: {verdict.paper}"


def _of(verdict: Verdict) -> str:
    return _value(verdict.observed, verdict.low, verdict.high)


def _value(observed: float | None, low: float | None, high: float | None) -> str:
    """A value with its interval; an end that is None is open, and without both there is none.

    A value that is None is infinite, towards its open end.
    """
    infinite = "infinity" if high is None else "-infinity"
    told = infinite if observed is None else in_words(observed)
    if low is None and high is None:
        return f"{told} (no interval)"
    ends = (
        ("-infinity" if low is None else in_words(low)),
        ("infinity" if high is None else in_words(high)),
    )
    return f"{told} [{', '.join(ends)}]"


def _told_null(null: ResolvedNull) -> str:
    if null.value is None:
        return f"{null.name}: {null.source}"
    if null.low is None or null.high is None:
        return f"{null.name}: {in_words(null.value)}"
    return f"{null.name}: {_value(null.value, null.low, null.high)}"


def _p_value(bounds: Sequence[Bounds]) -> float | None:
    found = [bound.p_value() for bound in bounds]
    values = [value for value in found if value is not None]
    return float(f"{max(values):.10g}") if len(values) == len(found) else None


def _counted(claim: ClaimSpec, runs: Sequence[Run]) -> list[Run]:
    """The claim's runs that are not stale, in whatever state, in an order of their own.

    Raises ValueError for a key seen twice.
    """
    named = claim.named()
    mine = [run for run in runs if run.cell in named and not run.stale]
    if len({run.key for run in mine}) < len(mine):
        raise ValueError("a run is given twice; collect runs with `collect_runs`")
    return sorted(mine, key=lambda run: (run.cell, run.scale, run.seed, run.key))


def _stale(claim: ClaimSpec, runs: Sequence[Run]) -> list[Flag]:
    cells = claim.cells()
    stale = sorted({(r.key, r.stale) for r in runs if r.stale and r.cell in cells})
    if not stale:
        return []
    return [Flag(kind="stale", says=f"{len(stale)} stale runs not counted ({stale[0][1]})")]


def _corrupt(claim: ClaimSpec, runs: Sequence[Run]) -> list[Flag]:
    """Of every scale: what a corrupt file held may have decided at which scale to judge."""
    corrupt = {r.message for r in runs if r.state == "corrupt" and r.cell in claim.named()}
    return [Flag(kind="corrupt", says=f"corrupt: {message}") for message in sorted(corrupt)]


def _scale(claim: ClaimSpec, runs: Sequence[Run]) -> Scale:
    for scale in reversed(SCALES):
        usable = [run.cell for run in runs if run.scale == scale and _usable(claim, run)]
        part = _of_present_tasks(claim, usable) if _below(claim, scale) else claim
        if part and all(usable.count(cell) >= claim.minimum_seeds for cell in part.cells()):
            return scale
    return next(scale for scale in reversed(SCALES) if any(run.scale == scale for run in runs))


def _usable(claim: ClaimSpec, run: Run) -> bool:
    return run.state == "done" or (run.state == "diverged" and claim.counts_diverged())


def _evidence(
    claim: ClaimSpec,
    runs: Sequence[Run],
    scale: Scale,
    plans: Expectations,
    environments: Mapping[str, str],
) -> _Evidence:
    by_cell = {cell: [run for run in runs if run.cell == cell] for cell in claim.named()}
    planned = {cell: _planned(by_cell[cell], plans.get((cell, scale))) for cell in by_cell}
    look = _look([(by_cell[cell], planned[cell]) for cell in claim.cells()])
    counting = {cell: sequential.seeds(planned[cell], look or 0) for cell in by_cell}
    evidence = _Evidence(scale, look, min(planned[cell] for cell in claim.cells()), {})
    for cell, here in by_cell.items():
        usable = [run for run in here if run.seed < counting[cell] and _usable(claim, run)]
        evidence.runs[cell] = usable
        evidence.flags += _state_flags(cell, here, plans.get((cell, scale)))
    replaced = {
        (task["environment"], environments[task["name"]])
        for rows in evidence.runs.values()
        for run in rows
        if (task := run.spec["task"])["name"] in environments
    }
    evidence.flags += [
        Flag(kind="environment", says=f"environment {used}, the paper has {wanted}")
        for used, wanted in sorted(replaced)
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


def _planned(runs: Sequence[Run], plan: Expected | None) -> int:
    """How many seeds are planned: 0, 1, ..."""
    return 1 + max((plan.seeds if plan else tuple(run.seed for run in runs)), default=-1)


def _look(cells: Sequence[tuple[Sequence[Run], int]]) -> int | None:
    """The last look for which all seeds of all cells, given as (runs, planned seeds), have ended;
    None before the first."""
    ended = [
        ({run.seed for run in runs if run.state in ("done", "diverged", "failed")}, planned)
        for runs, planned in cells
    ]
    look = None
    following = 0
    while all(
        planned > 0 and seeds >= set(range(sequential.seeds(planned, following)))
        for seeds, planned in ended
    ):
        look, following = following, following + 1
    return look


def _numerics(cells: Sequence[str], evidence: _Evidence) -> tuple[str, ...]:
    """Names of the numerics of the compared runs; a flag says where they mix."""
    found = {
        numerics.digest(run.numerics): run.numerics for cell in cells for run in evidence.runs[cell]
    }
    names = sorted(found)
    if len(names) > 1:
        differing = "; ".join(
            difference
            for name in names[1:]
            for difference in numerics.differences(found[names[0]], found[name])
        )
        says = f"its runs have {len(names)} numerics ({', '.join(names)}): {differing}"
        evidence.flags.append(Flag(kind="numerics", says=says))
    return tuple(names)


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
    if not claim.counts_diverged() and any(flag.kind == "diverged" for flag in evidence.flags):
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


def _analyses(claim: ClaimSpec, cells: Sequence[str], evidence: _Evidence) -> dict[str, int]:
    """Versions of the analyses that the claim names, as the compared runs have them."""
    text = claim.model_dump_json()
    versions = {
        name: v for c in cells for run in evidence.runs[c] for name, v in run.analyses.items()
    }
    return {name: versions[name] for name in sorted(versions) if f'"{name}/' in text}


def _cell_evidence(claim: ClaimSpec, cell: str, evidence: _Evidence) -> CellEvidence:
    runs = evidence.runs[cell]
    try:
        values = values_of(claim, runs) if runs else None
        # Of two figures there is no one mean.
        mean = _rounded(float(values.mean())) if values is not None and values.ndim == 1 else None
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


def _rounded(value: float) -> float | None:
    """Ten significant digits, free of the last bits' noise; None for what is infinite."""
    return float(f"{value:.10g}") if np.isfinite(value) else None
