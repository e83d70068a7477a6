"""What was found on a paper: a study's sentences with the verdicts of the claims that they name."""

from collections.abc import Mapping
from dataclasses import dataclass

from suite.report.judged import Judged
from suite.report.numbers import observed
from suite.specs.findings import claims_in, parts


@dataclass(frozen=True)
class Finding:
    """A sentence: texts, and between each two of them a claim with its verdict."""

    texts: tuple[str, ...]
    judged: tuple[Judged, ...]

    @classmethod
    def of(cls, sentence: str, judged: Mapping[str, Judged]) -> "Finding":
        """A sentence of a study, with all claims by id."""
        return cls(tuple(parts(sentence)), tuple(judged[x] for x in claims_in(sentence)))

    @property
    def told(self) -> str:
        """The whole sentence, each claim as what was observed and its state."""
        ends = [
            f"{observed(one.verdict, assumed=one.assumed)} ({one.verdict.state})"
            for one in self.judged
        ]
        return "".join(a + b for a, b in zip(self.texts, [*ends, ""], strict=True))
