"""The table of verdicts that closes a session of pytest."""

from collections.abc import Iterable
from typing import Any


def table(reports: Iterable[Any]) -> list[str]:
    """A line for each judged claim and one that counts; none where no claim was judged."""
    rows = _rows(reports)
    if not rows:
        return []
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = []
    for *cells, reason in rows:
        padded = [f"{text:<{width}}" for text, width in zip(cells, widths, strict=True) if width]
        lines.append("  ".join([*padded, reason]))
    states = [verdict for _, verdict, *_ in rows]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(sorted(states)))
    kinds = [kind for *_, kind, _ in rows]
    return [*lines, f"{counts}; {kinds.count('changed')} changed" if any(kinds) else counts]


def _rows(reports: Iterable[Any]) -> list[tuple[str, str, str, str, str]]:
    """Claim, verdict, scale, how it compares with the recorded one ("" without any) and reason of
    the judged claims, in the order of the studies.

    Under xdist the reports come from the workers; they are all that the controller knows.
    """
    found = {}
    for report in reports:
        told = dict(getattr(report, "user_properties", ()))
        if "claim" in told and getattr(report, "when", "") == "call":
            kind, reason = told.get("compared", ""), told["reason"]
            if "differing" in told and kind != "expected":
                reason = f"{told['differing']}; {reason}"
            row = (told["claim"], told["verdict"], told.get("scale", "-"), kind, reason)
            found[report.location[:2], told["claim"]] = row
    return [found[place] for place in sorted(found)]
