"""The summary in Markdown, for terminals and CI job summaries."""

from collections.abc import Mapping, Sequence

from suite.report.coverage import Ran
from suite.report.judged import Judged
from suite.report.panels import short_number
from suite.report.settling import Settling
from suite.specs.loading import Study
from suite.stats.verdicts import STATES, in_words

COLUMNS = ("claim", "says", "verdict", "observed [95 %]", "null", "reached", "reason")
SYMBOLS = {"supported": "✓", "contradicted": "✗", "inconclusive": "?", "not run": "–"}


def summary(
    ran: Sequence[Ran],
    papers: Sequence[tuple[Study, Sequence[Judged], Mapping[str, Settling]]],
) -> str:
    """Counts, what ran, a table of verdicts per paper, and what would settle the open claims."""
    states = [one.verdict.state for _, judged, _ in papers for one in judged]
    lines = ["# rl-claims: verdicts", ""]
    lines.append(", ".join(f"{states.count(state)} {state}" for state in STATES) + ".")
    for row in ran:
        lost = f"; {row.diverged} diverged" if row.diverged else ""
        lines.append(
            f"Scale {row.scale}: {row.runs} runs of {row.cells} cells, {row.seeds} seeds each, "
            f"{short_number(row.steps)} steps{lost}."
        )
    for study, judged, settled_by in papers:
        lines += ["", f"## {study.paper}", ""]
        lines += [_row(COLUMNS), _row(["---"] * len(COLUMNS))]
        lines += [_row(_cells(one)) for one in judged]
        commands = {
            claim: found.command for claim, found in settled_by.items() if found.command is not None
        }
        if commands:
            lines += ["", "To settle what is open:", ""]
            lines += [f"- {claim}: `{command}`" for claim, command in commands.items()]
    return "\n".join(lines) + "\n"


def _cells(one: Judged) -> list[str]:
    """One claim in the order of COLUMNS."""
    verdict, null = one.verdict, one.verdict.null
    return [
        verdict.claim,
        one.claim.says,
        f"{SYMBOLS[verdict.state]} {verdict.state}",
        _interval(verdict.observed, verdict.low, verdict.high),
        "–" if null is None else f"{null.name}: {_interval(null.value, null.low, null.high)}",
        f"{verdict.scale}, {one.seeds} seeds" if verdict.scale and verdict.evidence else "–",
        verdict.reason,
    ]


def _interval(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return "–"
    told = in_words(value)
    return told if low is None or high is None else f"{told} [{in_words(low)}, {in_words(high)}]"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
