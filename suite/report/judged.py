"""Claims with their verdicts, as the tables show them."""

from collections.abc import Sequence
from dataclasses import dataclass

from suite.specs.claims import ClaimSpec
from suite.specs.loading import Project, Study
from suite.stats.nulls import ResolvedNull
from suite.stats.verdicts import Comparison, Verdict


@dataclass(frozen=True)
class Judged:
    """A claim with its verdict."""

    claim: ClaimSpec
    verdict: Verdict

    @property
    def seeds(self) -> str:
        """Fewest and most usable seeds of a compared cell."""
        counts = sorted({len(cell.seeds) for cell in self.verdict.evidence})
        return "–".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))

    @property
    def certainty(self) -> str:
        """The p-value and what correction for the other claims leaves of it, in words."""
        verdict = self.verdict
        if verdict.p_value is None:
            return ""
        told = "p < 0.001" if verdict.p_value < 0.001 else f"p = {verdict.p_value:.2g}"
        if verdict.survives_correction is None:
            return told
        holds = "holds" if verdict.survives_correction else "does not hold"
        return f"{told}; {holds} after correction for the study's other claims"

    @property
    def deciding(self) -> Comparison | None:
        """The comparison whose values the verdict shows."""
        seen = (self.verdict.observed, self.verdict.low, self.verdict.high)
        matching = [c for c in self.verdict.comparisons if (c.observed, c.low, c.high) == seen]
        return matching[0] if matching else None


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
    """Positions in per cent of an interval, its bounds and the null on one small axis."""

    low: float
    high: float
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

        return cls(
            low=0.0 if comparison.low is None else at(comparison.low),
            high=100.0 if comparison.high is None else at(comparison.high),
            observed=100.0 if comparison.observed is None else at(comparison.observed),
            bounds=tuple(at(bound) for bound in bounds),
            null=None if value is None else at(value),
            null_range=None if low is None or high is None else (at(low), at(high)),
            wanted=(
                0.0 if comparison.above is None else at(comparison.above),
                100.0 if comparison.below is None else at(comparison.below),
            ),
        )
