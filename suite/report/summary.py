"""The summary in Markdown, for terminals and CI job summaries."""

from collections.abc import Mapping, Sequence

from suite.report.coverage import Ran
from suite.report.judged import Judged
from suite.report.panels import short_number
from suite.report.settling import Settling
from suite.specs.loading import Study
from suite.stats.verdicts import STATES

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
        lines.append(
            f"Scale {row.scale}: {row.runs} runs of {row.cells} cells, {row.seeds} seeds each, "
            f"{short_number(row.steps)} steps."
        )
    for study, judged, settled_by in papers:
        lines += ["", f"## {study.paper}", "", "| claim | says | verdict | scale | reason |"]
        lines.append("|---|---|---|---|---|")
        for one in judged:
            verdict = one.verdict
            cells = (
                verdict.claim,
                one.claim.says,
                f"{SYMBOLS[verdict.state]} {verdict.state}",
                verdict.scale or "–",
                verdict.reason,
            )
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        commands = {
            claim: found.command for claim, found in settled_by.items() if found.command is not None
        }
        if commands:
            lines += ["", "To settle what is open:", ""]
            lines += [f"- {claim}: `{command}`" for claim, command in commands.items()]
    return "\n".join(lines) + "\n"
