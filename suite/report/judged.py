"""Claims with their verdicts, as the tables show them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from suite.report.numbers import confidence
from suite.specs.claims import ClaimSpec, KindOfClaim
from suite.specs.project import Project, Study
from suite.stats import wording
from suite.stats.nulls import ResolvedNull
from suite.stats.verdicts import STATES, AtScale, Comparison, Verdict, VerdictState

WHOSE: dict[KindOfClaim, str] = {
    "paper": "the paper's own",
    "extension": "extension",
    "ours": "ours",
}
"""Whose statement a claim is, in words."""

Counts = dict[KindOfClaim, dict[VerdictState, int]]


def counts(verdicts: Iterable[Verdict]) -> Counts:
    """How many verdicts there are of each kind of claim in each state."""
    found: Counts = {kind: dict.fromkeys(STATES, 0) for kind in WHOSE}
    for verdict in verdicts:
        found[verdict.kind_of_claim][verdict.state] += 1
    return found


@dataclass(frozen=True)
class Judged:
    """A claim with its verdict."""

    claim: ClaimSpec
    verdict: Verdict

    @property
    def whose(self) -> str:
        """Whose statement it is."""
        return WHOSE[self.verdict.kind_of_claim]

    @property
    def supported_if(self) -> str:
        """The rule for support, in words."""
        return wording.supported_if(self.claim)

    @property
    def contradicted_if(self) -> str:
        """The rule against it, in words."""
        return wording.contradicted_if(self.claim)

    @property
    def seeds(self) -> str:
        """Fewest and most usable seeds of a compared cell that count at this look."""
        counts = sorted({len(cell.seeds) for cell in self.verdict.evidence})
        return "–".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))

    @property
    def looked(self) -> str:
        """The look and the confidence of its intervals, in words."""
        verdict = self.verdict
        sure = f"each interval of {confidence(verdict.confidence)}"
        if verdict.look is None:
            return f"before the first look, for which planned seeds are missing; {sure}"
        times = f"{1 << verdict.look} times as many seeds as planned"
        seeds = "the planned seeds" if verdict.look == 0 else times
        return f"look {verdict.look + 1}, with {seeds}; {sure}"

    @property
    def certainty(self) -> str:
        """The p-value and what correction for the other claims leaves of it, in words."""
        verdict = self.verdict
        if verdict.p_value is None:
            return ""
        value = "< 0.001" if verdict.p_value < 0.001 else f"= {verdict.p_value:.2g}"
        told = f"p {value} for support"
        if verdict.survives_correction is None:
            return told
        holds = "holds" if verdict.survives_correction else "does not hold"
        return f"{told}; {holds} after correction for the study's other claims"

    @property
    def deciding(self) -> Comparison | None:
        """The comparison whose values the verdict shows."""
        shown = (self.verdict.observed, self.verdict.low, self.verdict.high)
        matching = [c for c in self.verdict.comparisons if (c.observed, c.low, c.high) == shown]
        return matching[0] if matching else None

    @property
    def assumed(self) -> bool:
        """Whether the range that the verdict shows is assumed, not seen."""
        return self.deciding is not None and self.deciding.assumed

    @property
    def differing(self) -> tuple[AtScale, ...]:
        """Scales that decide the claim otherwise than the one it is judged at."""
        if not any(flag.kind == "scales differ" for flag in self.verdict.flags):
            return ()
        return tuple(
            other
            for other in self.verdict.other_scales
            if other.seen in ("supported", "contradicted") and other.seen != self.verdict.seen
        )


def judged_by_study(
    project: Project, verdicts: Sequence[Verdict]
) -> list[tuple[Study, list[Judged]]]:
    """Every claim of every study with its verdict; a claim without one is an error (KeyError)."""
    by_claim = {verdict.claim: verdict for verdict in verdicts}
    return [
        (study, [Judged(claim, by_claim[claim.id]) for claim in study.claims])
        for study in project.studies.values()
    ]


@dataclass(frozen=True)
class Strip:
    """Positions in per cent of an interval, its bounds and the null on one small axis.

    Open ends lie at the axis's own; `interval` is None where both are open.
    """

    interval: tuple[float, float] | None
    observed: float
    bounds: tuple[float, ...]
    null: float | None
    null_range: tuple[float, float] | None
    wanted: tuple[float, float]
    """From where to where the interval must lie."""

    @classmethod
    def of(cls, comparison: Comparison, null: ResolvedNull | None) -> "Strip":
        bounds = [b for b in (comparison.above, comparison.below) if b is not None]
        value, low, high = (null.value, null.low, null.high) if null else (None, None, None)
        nulls = [n for n in (value, low, high) if n is not None]
        seen = [comparison.low, comparison.observed, comparison.high]
        shown = [*(end for end in seen if end is not None), *bounds, *nulls]
        start, width = min(shown), max(shown) - min(shown) or 1.0

        def at(value: float) -> float:
            return round(6 + 88 * (value - start) / width, 2)

        low_end = 0.0 if comparison.low is None else at(comparison.low)
        high_end = 100.0 if comparison.high is None else at(comparison.high)
        none_seen = comparison.low is None and comparison.high is None
        # Diverged seeds lie beyond all others, on the side where the interval is open.
        beyond = 100.0 if comparison.high is None else 0.0
        return cls(
            interval=None if none_seen else (low_end, high_end),
            observed=beyond if comparison.observed is None else at(comparison.observed),
            bounds=tuple(at(bound) for bound in bounds),
            null=None if value is None else at(value),
            null_range=None if low is None or high is None else (at(low), at(high)),
            wanted=(
                0.0 if comparison.above is None else at(comparison.above),
                100.0 if comparison.below is None else at(comparison.below),
            ),
        )
