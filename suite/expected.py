"""Verdicts that a repository stands by, and how those found now compare with them.

`reports/expected_verdicts.yaml` holds one state per claim and scale, with the look it was taken at
and whether committed evidence alone gives it. What varies between machines stays out of comparisons
and out of rewritten entries, so that the file changes in version control when a verdict does.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from suite.specs.checking import Checker
from suite.specs.models import SCALES, Scale, Spec
from suite.specs.source import Node, known, read_yaml
from suite.stats.verdicts import Verdict, VerdictState

PATH = Path("reports") / "expected_verdicts.yaml"
RECORD = "suite verify --record"
HEAD = f"""\
# Verdicts that this repository stands by: `{RECORD}` writes them, `pytest tasks/` compares.
# rests_on: evidence comes out in every clone; runs are compared where they are trained.
# {{}} is a claim without any run.
"""


class Entry(Spec):
    """The verdict on a claim at one scale. `numerics` are those of the runs when it was recorded
    for the first time like this."""

    state: VerdictState
    look: int | None = Field(default=None, ge=0, description="counted from 0; none before it")
    rests_on: Literal["evidence", "runs"]
    numerics: tuple[str, ...] = ()


Entries = Mapping[Scale, Entry]


@dataclass(frozen=True)
class Recorded:
    """A claim's entries by scale, and where they stand."""

    study: str
    entries: Entries
    line: int


Expected = Mapping[str, Recorded]


Kind = Literal["expected", "changed", "new", "not compared"]
"""How a verdict compares with what is recorded. `new`: nothing is recorded at its scale, or more
runs than the recorded ones decide what was open. `not compared`: the recorded one needs runs that
are not here."""


@dataclass(frozen=True)
class Comparison:
    """How a claim's verdict compares with what is recorded: as a whole (`changed` when one scale
    is, else at the scale it is judged at), what differs, and what is recorded, both in words."""

    kind: Kind
    differing: str = ""
    recorded: str | None = None


def read(root: Path) -> Expected | None:
    """The recorded claims of a project by id; None without a file.

    Raises SpecError with file and line for everything in it that means nothing.
    """
    if not (root / PATH).exists():
        return None
    document = read_yaml(root / PATH, PATH.as_posix())
    checker = Checker()
    found: dict[str, Recorded] = {}
    for study, claims in _children(checker, document, "the file").items():
        for claim, scales in _children(checker, claims, f"study {study!r}").items():
            if claim in found:
                wrong = f"claim {claim!r} again, first on line {found[claim].line}"
                checker.wrong(scales, wrong, "each claim once", "remove one of them")
            found[claim] = Recorded(study, _entries(checker, claim, scales), scales.line)
    checker.stop_if_wrong()
    return found


def _children(checker: Checker, node: Node, what: str) -> dict[str, Node]:
    return dict(node.value) if checker.is_mapping(node, what) else {}


def _entries(checker: Checker, claim: str, node: Node) -> Entries:
    entries: dict[Scale, Entry] = {}
    for name, child in _children(checker, node, f"claim {claim!r}").items():
        scale = next((scale for scale in SCALES if scale == name), None)
        if scale is None:
            checker.wrong(child, f"unknown scale {name!r} of {claim!r}", *known(SCALES, name))
        elif entry := checker.model(Entry, child, f"{claim} at {scale}"):
            entries[scale] = entry
    return entries


def write(root: Path, expected: Expected) -> None:
    """Write the file: by study and claim, one line an entry."""
    lines = []
    for study in sorted({recorded.study for recorded in expected.values()}):
        lines.append(f"{study}:")
        for claim in sorted(name for name, one in expected.items() if one.study == study):
            entries = expected[claim].entries
            lines.append(f"  {claim}:" if entries else f"  {claim}: {{}}")
            lines += [f"    {s}: {_flow(entries[s])}" for s in SCALES if s in entries]
    (root / PATH).parent.mkdir(exist_ok=True)
    (root / PATH).write_text(HEAD + "\n".join(lines or ["{}"]) + "\n", encoding="utf-8")


def _flow(entry: Entry) -> str:
    fields = [f"state: {entry.state}", f"rests_on: {entry.rests_on}"]
    if entry.look is not None:
        fields.insert(1, f"look: {entry.look}")
    if entry.numerics:
        fields.append(f"numerics: {json.dumps(entry.numerics)}")
    return f"{{{', '.join(fields)}}}"


def compare(
    entries: Entries | None,
    verdict: Verdict,
    at_scale: Callable[[Scale], Verdict],
    only: Scale | None = None,
    *,
    limited: bool = False,
) -> Comparison:
    """Compare a claim's verdict with its entries (None: the file does not have it) at every scale,
    or at the `only` one that was counted.

    `at_scale` gives the verdict from the runs of one scale alone. With `limited` not all runs that
    there are were counted, so that an entry on evidence may lack some too.
    """
    if entries is None:
        return Comparison("new")
    states: dict[Scale, VerdictState] = {other.scale: other.state for other in verdict.other_scales}
    if verdict.scale is not None:
        states[verdict.scale] = verdict.state
    kinds: dict[Scale, Kind] = {}
    differing = []
    for scale in SCALES if only is None else (only,):
        entry, state = entries.get(scale), states.get(scale, "not run")
        if entry is not None and entry.state != state:
            now = verdict if scale == verdict.scale else at_scale(scale)
            kinds[scale], told = _differing(entry, now, limited)
            differing.append(f"{scale}: {told}")
        elif entry is not None:
            kinds[scale] = "expected"
        elif scale in states:
            kinds[scale] = "new"
            differing.append(f"{scale}: {state}, not recorded")
    order: tuple[Kind, ...] = ("changed", "not compared", "new", "expected")
    kind: Kind = next((one for one in order if one in kinds.values()), "expected")
    if kind != "changed" and verdict.scale is not None:
        kind = kinds[verdict.scale]
    recorded = ", ".join(f"{scale}: {entry.state}" for scale, entry in entries.items())
    return Comparison(kind, "; ".join(differing), recorded or "not run")


def _differing(entry: Entry, now: Verdict, limited: bool) -> tuple[Kind, str]:
    """An entry whose state is not that of the verdict at its scale."""
    before, after = _reached(entry.state, entry.look), _reached(now.state, now.look)
    told = f"recorded {_at(entry.state, entry.look)}, now {_at(now.state, now.look)}"
    if after < before and (limited or entry.rests_on == "runs"):
        lacking = "are not counted" if limited else "are not here"
        return "not compared", f"recorded {_at(entry.state, entry.look)}, from runs that {lacking}"
    if after > before and entry.state in ("not run", "inconclusive"):
        return "new", f"{told}, from more runs"
    if now.numerics and entry.numerics and now.numerics != entry.numerics:
        told += f", numerics {', '.join(entry.numerics)} then and {', '.join(now.numerics)} now"
    return "changed", told


def _reached(state: VerdictState, look: int | None) -> int:
    """How far the runs behind a state go: no run of some cell, not all planned, a look."""
    if state == "not run":
        return -2
    return -1 if look is None else look


def _at(state: VerdictState, look: int | None) -> str:
    if state == "not run":
        return state
    return f"{state} before the first look" if look is None else f"{state} at look {look}"


@dataclass(frozen=True)
class Recording:
    """What is to be recorded, and the ids of claims that this changes, adds, drops or leaves as
    they are because their runs are not here."""

    expected: Expected
    changed: tuple[str, ...]
    added: tuple[str, ...]
    dropped: tuple[str, ...]
    kept: tuple[str, ...]


def record(
    claims: Iterable[tuple[str, str]],
    found: Mapping[str, Mapping[Scale, Verdict]],
    committed: Mapping[str, Mapping[Scale, Verdict]],
    before: Expected,
) -> Recording:
    """Entries for `claims`, given as (study, claim): what all runs say (`found`) at each scale, and
    whether committed evidence alone (`committed`) says the same.

    An entry that stays as it was keeps its numerics, and one whose runs are not here stays.
    """
    expected: dict[str, Recorded] = {}
    changed, kept = [], []
    for study, claim in claims:
        old = before[claim].entries if claim in before else {}
        entries: dict[Scale, Entry] = {}
        for scale in SCALES:
            new = _entry(found[claim].get(scale), committed[claim].get(scale))
            if scale in old and _lacks_runs(old[scale], new):
                kept.append(claim)
                entries[scale] = old[scale]
            elif new is not None:
                entries[scale] = _with_old_numerics(new, old.get(scale))
        expected[claim] = Recorded(study, entries, 0)
        states = [{s: one.state for s, one in side.items()} for side in (old, entries)]
        if claim in before and states[0] != states[1]:
            changed.append(claim)
    return Recording(
        expected,
        tuple(changed),
        tuple(claim for claim in expected if claim not in before),
        tuple(claim for claim in before if claim not in expected),
        tuple(dict.fromkeys(kept)),
    )


def _entry(found: Verdict | None, committed: Verdict | None) -> Entry | None:
    """Where more runs than the committed ones say the same, the committed ones are recorded."""
    if found is None:
        return None
    if committed is not None and committed.state == found.state:
        return _of(committed, "evidence")
    return _of(found, "runs")


def _of(verdict: Verdict, rests_on: Literal["evidence", "runs"]) -> Entry:
    return Entry(
        state=verdict.state, look=verdict.look, rests_on=rests_on, numerics=verdict.numerics
    )


def _lacks_runs(old: Entry, new: Entry | None) -> bool:
    # Fewer runs than those of some cells only, which are "not run" too, is none at all.
    reached = -3 if new is None else _reached(new.state, new.look)
    return old.rests_on == "runs" and reached < _reached(old.state, old.look)


def _with_old_numerics(new: Entry, old: Entry | None) -> Entry:
    same = old is not None and new == old.model_copy(update={"numerics": new.numerics})
    return old if same and old is not None else new
