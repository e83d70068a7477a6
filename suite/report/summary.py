"""The summary in Markdown, for terminals and CI job summaries."""

from collections.abc import Mapping, Sequence

from suite.report.coverage import Ran
from suite.report.findings import Finding
from suite.report.judged import WHOSE, Judged, counts
from suite.report.numbers import interval, number, observed
from suite.report.panels import short_number
from suite.settling import Settling
from suite.specs.project import Study
from suite.stats.verdicts import STATES, Verdict, VerdictState

COLUMNS = (
    "claim",
    "whose",
    "says",
    "verdict",
    "observed [interval]",
    "null",
    "reached",
    "settled at",
    "numerics",
    "reason",
)
INTERVALS = (
    "The intervals that a claim is ever judged by, at all looks, are made to hold together with "
    "95 %; a range that is assumed and an end that is open say so."
)
SYMBOLS = {"supported": "✓", "contradicted": "✗", "inconclusive": "?", "not run": "–"}


def summary(
    ran: Sequence[Ran],
    papers: Sequence[tuple[Study, Sequence[Finding], Sequence[Judged], Mapping[str, Settling]]],
) -> str:
    """Counts, what ran, and of each paper what was found, a table of verdicts, and what would
    settle the open claims."""
    found = counts(one.verdict for _, _, judged, _ in papers for one in judged)
    lines = [
        "# rl-claims: verdicts",
        "",
        f"**The papers' own claims: {_counted(found['paper'])}.**",
    ]
    lines += ["", f"Extensions: {_counted(found['extension'])}. Ours: {_counted(found['ours'])}."]
    lines += ["", INTERVALS, ""]
    for row in ran:
        lost = f"; {row.diverged} diverged" if row.diverged else ""
        lines.append(
            f"Scale {row.scale}: {row.runs} runs of {row.cells} cells, {row.seeds} seeds each, "
            f"{short_number(row.steps)} steps{lost}."
        )
    for study, findings, judged, settled_by in papers:
        by_kind = counts(one.verdict for one in judged)
        told = [f"{WHOSE[kind]}: {_counted(by_kind[kind])}" for kind in WHOSE]
        lines += ["", f"## {study.paper}", "", "; ".join(told) + ".", ""]
        if findings:
            lines += [*(f"- {finding.told}" for finding in findings), ""]
        lines += [_row(COLUMNS), _row(["---"] * len(COLUMNS))]
        lines += [_row(_cells(one)) for one in judged]
        commands = {
            claim: found.command for claim, found in settled_by.items() if found.command is not None
        }
        if commands:
            lines += ["", "To settle what is open:", ""]
            lines += [f"- {claim}: `{command}`" for claim, command in commands.items()]
    return "\n".join(lines) + "\n"


def _counted(states: Mapping[VerdictState, int]) -> str:
    return ", ".join(f"{states[state]} {state}" for state in STATES)


def _cells(one: Judged) -> list[str]:
    """One claim in the order of COLUMNS."""
    verdict = one.verdict
    told = [observed(verdict, assumed=one.assumed)]
    told += [f"at {other.scale} {other.seen}: {observed(other)}" for other in one.differing]
    return [
        verdict.claim,
        one.whose,
        one.claim.says,
        f"{SYMBOLS[verdict.state]} {verdict.state}",
        "; ".join(told),
        _null(verdict),
        f"{verdict.scale}, {one.seeds} seeds" if verdict.scale and verdict.evidence else "–",
        one.claim.settled_at,
        ("mixed: " * (len(verdict.numerics) > 1) + ", ".join(verdict.numerics)) or "–",
        verdict.reason,
    ]


def _null(verdict: Verdict) -> str:
    null = verdict.null
    if null is None:
        return "–"
    range_ = "" if null.low is None or null.high is None else f" {interval(null.low, null.high)}"
    return f"{null.name}: {number(null.value)}{range_}"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
