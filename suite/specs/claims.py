"""What a paper says, as data: cells, a figure, a direction or bound, a null, and what it needs.

The kinds of claim are told apart by `kind`; the rule that judges each kind is in
`suite.stats.verdicts`. A claim names cells by id (`task--agent--plugins`).
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from suite.specs.models import Scale, Spec

CellId = Annotated[str, Field(pattern=r"^[^\s/]+--[^\s/]+--[^\s/]+$", description="a cell's id")]
CellIds = Annotated[tuple[CellId, ...], Field(min_length=1)]


class SeriesFigure(Spec):
    """A number taken from a series of a run: its first, last, largest or mean value, or growth.

    `growth` is last over first, `largest_growth` is largest over first. With `series` ending in
    `*` the mean over all series with that beginning is taken.
    """

    series: str = Field(min_length=1, description="series name, e.g. 'weight_norm/q/hidden1'")
    take: Literal["first", "last", "max", "mean", "growth", "largest_growth"]


class SecondsShare(Spec):
    """Part of a run's wall clock: `seconds` over `share_of` in the run's provenance."""

    seconds: str = Field(min_length=1, description="entry of `seconds`, e.g. 'plugin/pptb'")
    share_of: str = "total"


class SecondsPerCall(Spec):
    """Wall seconds of one call: `seconds` of the provenance over the last value of a series."""

    seconds: str = Field(min_length=1, description="entry of `seconds`, e.g. 'plugin/pptb'")
    calls: str = Field(min_length=1, description="series that counts the calls")


ReturnFigure = Literal["score", "auc", "final_return"]
RETURN_FIGURES: tuple[ReturnFigure, ...] = ("score", "auc", "final_return")
NamedFigure = Annotated[
    str,
    Field(
        pattern=r"^[a-z][a-z0-9_]*$",
        description="score, auc or final_return of series `return`, or a figure of the record",
    ),
]
Figure = NamedFigure | SeriesFigure
Clock = SecondsShare | SecondsPerCall


class Null(Spec):
    """What would be seen without the effect: a named null model's value and where it is from."""

    name: str = Field(min_length=1)
    value: float
    source: str = Field(min_length=1)
    must_be_beaten: bool = Field(
        default=False, description="supported only if the observed value lies beyond the null"
    )


class Precondition(Spec):
    """What must hold before the claim's comparison means anything: a bound on a mean figure."""

    says: str = Field(min_length=1)
    where: CellIds
    figure: Figure
    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("a precondition has exactly one of at_least and at_most")
        return self


class Claim(Spec):
    """What claims of all kinds have."""

    id: str = Field(pattern=r"^[a-z]+-C[0-9]+(-[a-z0-9]+)*$", description="e.g. 'pptb-C10-score'")
    source: str = Field(min_length=1, description="where the paper says it")
    says: str = Field(min_length=1, description="the claim in our words")
    reported: str = Field(min_length=1, description="what the paper prints, or that it does not")
    falsified_if: str = Field(min_length=1, description="what would speak against the claim")
    settled_at: Scale = Field(description="smallest scale whose runs can settle the claim")
    needs: str = Field(default="", description="what a smaller scale lacks, in words")
    minimum_seeds: int = Field(default=3, ge=2, description="per cell")
    preconditions: tuple[Precondition, ...] = ()
    null: Null | None = None
    diverged_as: float | None = Field(
        default=None,
        description="the figure of a diverged seed, and the largest value that counts; "
        "None: a diverged seed leaves the claim unsettled",
    )

    def cells(self) -> tuple[str, ...]:
        """Ids of all cells that the claim names, without repeats, in order of appearance."""
        named = [*self.compared(), *(c for p in self.preconditions for c in p.where)]
        return tuple(dict.fromkeys(named))

    def compared(self) -> tuple[str, ...]:
        """Ids of the cells whose figures the claim compares."""
        raise TypeError(f"{type(self).__name__} is not a kind of claim")


def _aligned(treatment: tuple[str, ...], control: tuple[str, ...]) -> None:
    if len(treatment) != len(control):
        raise ValueError(
            f"treatment names {len(treatment)} cells and what it is held against {len(control)}: "
            "give one for each treatment, in the same order of tasks"
        )
    for left, right in zip(treatment, control, strict=True):
        if left.split("--")[0] != right.split("--")[0]:
            raise ValueError(f"{left!r} and {right!r} are of different tasks")


class DifferenceClaim(Claim):
    """Treatment minus control lies beyond a margin, over tasks.

    With `reference`, each task's figures are in units of what the reference cell gains over random
    play, (x - random) / (reference - random) (PPTB paper, aggregates; human-normalised scores).
    """

    kind: Literal["difference"]
    figure: Figure
    treatment: CellIds
    control: CellIds
    paired: bool = Field(description="seeds with the same number are compared with each other")
    direction: Literal["greater", "less"]
    margin: float = 0.0
    falsifier: float | None = Field(
        default=None, description="contradicted beyond this value; None: the margin"
    )
    aggregate: Literal["mean", "iqm"] = "mean"
    reference: tuple[CellId, ...] = Field(default=(), description="one cell per task, or none")

    @model_validator(mode="after")
    def _check(self) -> Self:
        _aligned(self.treatment, self.control)
        if self.reference:
            _aligned(self.treatment, self.reference)
        if self.falsifier is not None:
            wrong = (
                self.falsifier > self.margin
                if self.direction == "greater"
                else self.falsifier < self.margin
            )
            if wrong:
                raise ValueError(f"falsifier {self.falsifier} lies on the supported side")
        return self

    def compared(self) -> tuple[str, ...]:
        return self.treatment + self.control + self.reference


class RatioClaim(Claim):
    """Treatment over control lies beyond a bound, averaged over tasks.

    With `baseline: random` each task's return at random play is taken off both first (PPTB paper,
    aggregates of Tables 1 and 2).
    """

    kind: Literal["ratio"]
    figure: Figure
    treatment: CellIds
    control: CellIds
    paired: bool
    direction: Literal["greater", "less"]
    bound: float = 1.0
    baseline: Literal["zero", "random"] = "zero"

    @model_validator(mode="after")
    def _check(self) -> Self:
        _aligned(self.treatment, self.control)
        return self

    def compared(self) -> tuple[str, ...]:
        return self.treatment + self.control


class OrderingClaim(Claim):
    """A figure falls (or rises) from each cell of a list to the next."""

    kind: Literal["ordering"]
    figure: Figure
    levels: tuple[CellId, ...] = Field(min_length=2)
    paired: bool
    direction: Literal["decreasing", "increasing"]
    margin: float = Field(default=0.0, ge=0.0, description="least step between neighbours")

    def compared(self) -> tuple[str, ...]:
        return self.levels


class ThresholdClaim(Claim):
    """A figure lies above (or below) a bound in every named cell."""

    kind: Literal["threshold"]
    figure: Figure
    measured: CellIds
    direction: Literal["above", "below"]
    bound: float

    def compared(self) -> tuple[str, ...]:
        return self.measured


class GapMargin(Spec):
    """A margin seen in the same runs: a fraction of the mean of `upper` minus that of `lower`."""

    fraction: float = Field(gt=0.0)
    upper: CellId
    lower: CellId


class EquivalenceClaim(Claim):
    """Treatment and control differ by less than a margin, in every pair."""

    kind: Literal["equivalence"]
    figure: Figure
    treatment: CellIds
    control: CellIds
    paired: bool
    margin: Annotated[float, Field(gt=0.0)] | GapMargin

    @model_validator(mode="after")
    def _check(self) -> Self:
        _aligned(self.treatment, self.control)
        return self

    def compared(self) -> tuple[str, ...]:
        gap = (self.margin.upper, self.margin.lower) if isinstance(self.margin, GapMargin) else ()
        return self.treatment + self.control + gap


class CostClaim(Claim):
    """Wall-clock readings lie below a bound."""

    kind: Literal["cost"]
    clock: Clock
    measured: CellIds
    bound: float = Field(gt=0.0)

    def compared(self) -> tuple[str, ...]:
        return self.measured


ClaimSpec = Annotated[
    DifferenceClaim | RatioClaim | OrderingClaim | ThresholdClaim | EquivalenceClaim | CostClaim,
    Field(discriminator="kind"),
]
