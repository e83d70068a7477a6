"""What a paper says, as data: cells, a figure, a direction or bound, a null, and what it needs.

The kinds of claim are told apart by `kind`; the rule that judges each kind is in
`suite.stats.rules`. A claim names cells by id (`task--agent--plugins`).
"""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from suite.specs.models import Scale, Spec

CellId = Annotated[str, Field(pattern=r"^[^\s/]+--[^\s/]+--[^\s/]+$", description="a cell's id")]
CellIds = Annotated[tuple[CellId, ...], Field(min_length=1)]
FEWEST_DRAWS = 6  # values whose median has an interval of 95 % for every shape


SeriesName = Annotated[
    str,
    Field(
        min_length=1,
        description="series name, e.g. 'weight_norms/norm/q/hidden1' of analysis weight_norms",
    ),
]


def is_named(name: str, pattern: str) -> bool:
    """Whether a series has the name given, or begins with it where that ends in `*`."""
    start = pattern.removesuffix("*")
    return name == pattern or (start != pattern and name.startswith(start))


class SeriesFigure(Spec):
    """A number taken from a series of a run: its first, last, largest or mean value, or growth.

    `growth` is last over first, `largest_growth` is largest over first, `rise` is the mean of the
    last quarter of its points less that of the first, `first_half` the mean of the first half of
    its points, `half_way` the training step at which it has first gone half of the way from its
    first to its largest value. With `series` ending in `*` the mean over all series with that
    beginning is taken.
    """

    series: SeriesName
    take: Literal[
        "first", "last", "max", "mean", "growth", "largest_growth", "rise", "first_half", "half_way"
    ]


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
        pattern=r"^[a-z][a-z0-9_]*(/[A-Za-z0-9_.]+)*$",
        description="score, auc or final_return of series `return`, a figure of the record, or "
        "`analysis/figure`",
    ),
]
Figure = NamedFigure | SeriesFigure
Clock = SecondsShare | SecondsPerCall


class _NullModel(Spec):
    """What nulls of all names have."""

    must_be_beaten: bool = Field(
        default=False,
        description="supported only if the observed value lies beyond the null's 95 % range, or "
        "beyond its value where it has no range",
    )


class LiteralNull(_NullModel):
    """What would be seen without the effect, as numbers with their source."""

    name: str = Field(min_length=1)
    value: float
    low: float | None = None
    high: float | None = None
    source: str = Field(min_length=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        ends = [end for end in (self.low, self.value, self.high) if end is not None]
        if ends != sorted(ends):
            raise ValueError(f"low, value and high are {ends}, not in this order")
        return self


class BestOfN(_NullModel):
    """The best of n settings without any effect, drawn from the control's seeds, against a fresh
    draw of the control (PPTB notes 3.5)."""

    name: Literal["best_of_n"]
    n: int = Field(ge=2, le=1000, description="settings that were tried")


class SnapshotAverage(_NullModel):
    """Cells that load the mean of the last snapshots, in the place of the treatment."""

    name: Literal["snapshot_average"]
    cells: CellIds


class RandomWalk(_NullModel):
    """A path of equal, independent steps in a space of many more dimensions than snapshots, with
    an offset of the start and a drift in units of its displacement (PPTB notes 2.1)."""

    name: Literal["random_walk"]
    quantity: Literal[
        "singular_value_ratio",
        "information",
        "dimensionality",
        "sign_changes",
        "coordinate_detour",
        "coordinate_monotonicity",
        "parameter_detour",
    ]
    snapshots: int = Field(ge=3, le=2000)
    component: int = Field(default=1, ge=1, description="singular value or coordinate, from 1")
    share: float = Field(default=0.99, gt=0.0, le=1.0, description="of `dimensionality`: beta")
    offset: float = Field(default=0.0, ge=0.0)
    drift: float = Field(default=0.0, ge=0.0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.component > self.snapshots:
            raise ValueError(f"component {self.component} of {self.snapshots} snapshots")
        if self.quantity == "parameter_detour" and (self.offset or self.drift):
            raise ValueError("offset and drift do not go with quantity parameter_detour")
        return self


class RandomSubspace(_NullModel):
    """Squared length of a unit vector's part in a random subspace: Beta(k/2, (n-k)/2)."""

    name: Literal["random_subspace"]
    subspace: int = Field(ge=1, description="its dimensions, k")
    dimensions: int = Field(ge=2, description="of the whole space, n")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.subspace >= self.dimensions:
            raise ValueError(f"subspace {self.subspace} of {self.dimensions} dimensions: too large")
        return self


class TimeShuffled(_NullModel):
    """The correlation of two series when one is shuffled in time."""

    name: Literal["time_shuffled"]


class PlainTime(_NullModel):
    """The correlation of the second series with time itself."""

    name: Literal["plain_time"]


class EquivalenceMargin(_NullModel):
    """The margin of an equivalence claim, from which on treatment and control would differ."""

    name: Literal["equivalence_margin"]


_NAMES: dict[str, type[_NullModel]] = {
    "best_of_n": BestOfN,
    "equivalence_margin": EquivalenceMargin,
    "plain_time": PlainTime,
    "random_subspace": RandomSubspace,
    "random_walk": RandomWalk,
    "snapshot_average": SnapshotAverage,
    "time_shuffled": TimeShuffled,
}


def _null_tag(null: object) -> str | None:
    """A name of the table, 'literal' for a null with numbers, None for anything else."""
    if isinstance(null, _NullModel):
        return next((name for name, kind in _NAMES.items() if kind is type(null)), "literal")
    if not isinstance(null, dict):
        return None
    if null.get("name") in list(_NAMES):
        return str(null["name"])
    return "literal" if {"value", "source"} & set(null) else None


Null = Annotated[
    Annotated[LiteralNull, Tag("literal")]
    | Annotated[BestOfN, Tag("best_of_n")]
    | Annotated[EquivalenceMargin, Tag("equivalence_margin")]
    | Annotated[PlainTime, Tag("plain_time")]
    | Annotated[RandomSubspace, Tag("random_subspace")]
    | Annotated[RandomWalk, Tag("random_walk")]
    | Annotated[SnapshotAverage, Tag("snapshot_average")]
    | Annotated[TimeShuffled, Tag("time_shuffled")],
    Discriminator(
        _null_tag,
        custom_error_type="unknown_null",
        custom_error_message="should have a name with a value and its source, or one of the names "
        + ", ".join(_NAMES),
    ),
]


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


_FREE_NULLS = (LiteralNull, RandomWalk, RandomSubspace)
KindOfClaim = Literal["paper", "extension", "ours"]


class Claim(Spec):
    """What claims of all kinds have."""

    nulls: ClassVar[tuple[type[_NullModel], ...]] = ()
    """Nulls that are computed from runs and fit the kind."""

    id: str = Field(
        pattern=r"^[a-z]+-[A-Z]+[0-9]+(-[a-z0-9]+)*$", description="e.g. 'pptb-C10-score'"
    )
    source: str = Field(min_length=1, description="where the paper says it")
    says: str = Field(min_length=1, description="the claim in our words")
    reported: str = Field(min_length=1, description="what the paper prints, or that it does not")
    kind_of_claim: KindOfClaim = Field(
        description="whose it is: the paper's own statement at its kind of task, an extension (the "
        "same statement on another task or agent), or ours (a control, a null, a consequence)"
    )
    settled_at: Scale = Field(description="smallest scale whose runs can settle the claim")
    settled_because: str = Field(
        min_length=1, description="why that scale can, and what a smaller one lacks"
    )
    checked: str = Field(
        default="",
        description="where it comes out against the paper: what was checked to exclude a fault of "
        "the suite, and what else may explain it",
    )
    minimum_seeds: int = Field(default=3, ge=2, description="per cell")
    preconditions: tuple[Precondition, ...] = ()
    null: Null | None = None

    @model_validator(mode="after")
    def _null_fits(self) -> Self:
        if self.null is not None and not isinstance(self.null, (*_FREE_NULLS, *self.nulls)):
            fitting = [name for name, null in _NAMES.items() if null in self.nulls]
            fitting += ["random_walk", "random_subspace", "one with a value and its source"]
            raise ValueError(f"null {self.null.name!r} does not fit; {', '.join(fitting)} would")
        return self

    def cells(self) -> tuple[str, ...]:
        """Ids of all cells that the claim needs, without repeats, in order of appearance."""
        named = [*self.compared(), *(c for p in self.preconditions for c in p.where)]
        return tuple(dict.fromkeys(named))

    def counts_diverged(self) -> bool:
        """Whether a diverged seed has a place in the comparison; else it leaves the claim open."""
        return False

    def named(self) -> tuple[str, ...]:
        """Ids of all cells that the claim or its null names, without repeats."""
        null = self.null.cells if isinstance(self.null, SnapshotAverage) else ()
        return tuple(dict.fromkeys((*self.cells(), *null)))

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


def _null_aligned(treatment: tuple[str, ...], null: Null | None) -> None:
    if isinstance(null, SnapshotAverage):
        tasks = [[cell.split("--")[0] for cell in cells] for cells in (treatment, null.cells)]
        if tasks[0] != tasks[1]:
            raise ValueError("null: one cell for each treatment, in the same order of tasks")


class DifferenceClaim(Claim):
    """Treatment minus control lies beyond a margin, over tasks.

    With `reference`, each task's figures are in units of what the reference cell gains over random
    play, (x - random) / (reference - random) (PPTB paper, aggregates; human-normalised scores).
    """

    nulls = (BestOfN, SnapshotAverage)
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
        if isinstance(self.null, BestOfN) and self.aggregate == "iqm":
            raise ValueError("null 'best_of_n' is computed for aggregate mean only")
        _null_aligned(self.treatment, self.null)
        return self

    def compared(self) -> tuple[str, ...]:
        return self.treatment + self.control + self.reference


class RatioClaim(Claim):
    """Treatment over control lies beyond a bound, averaged over tasks.

    With `baseline: random` each task's return at random play is taken off both first (PPTB paper,
    aggregates of Tables 1 and 2).
    """

    nulls = (BestOfN, SnapshotAverage)
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
        _null_aligned(self.treatment, self.null)
        return self

    def compared(self) -> tuple[str, ...]:
        return self.treatment + self.control


class Gains(Spec):
    """What plug-ins gain in a return, treatment over control above random play, averaged over
    tasks."""

    figure: ReturnFigure
    treatment: CellIds
    control: CellIds

    @model_validator(mode="after")
    def _check(self) -> Self:
        _aligned(self.treatment, self.control)
        return self


class GainsClaim(Claim):
    """One gain is larger than another: in another figure, or on other tasks.

    Seeds with the same number are compared with each other.
    """

    kind: Literal["gains"]
    more: Gains
    than: Gains

    def compared(self) -> tuple[str, ...]:
        more, than = self.more, self.than
        return more.treatment + more.control + than.treatment + than.control


class AcrossClaim(Claim):
    """What several cells have together differs between two lists of them: their mean or median
    figure, or the range from the smallest to the largest, of each seed. One cell against the median
    of others tells whether it is among the upper half.

    The cells are of one task; seeds with the same number are compared with each other.
    """

    kind: Literal["across"]
    figure: Figure
    summary: Literal["mean", "median", "range"] = Field(
        description="of a seed's figures in the cells of a list"
    )
    treatment: CellIds
    control: CellIds
    direction: Literal["greater", "less"]

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name, cells in (("treatment", self.treatment), ("control", self.control)):
            if self.summary == "range" and len(set(cells)) < 2:
                raise ValueError(f"{name}: a range needs two cells or more")
        if len({cell.split("--")[0] for cell in self.compared()}) > 1:
            raise ValueError("treatment and control: cells of one task")
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
    """The figure of a typical seed lies above (or below) a bound in every named cell, or in a
    typical cell of these."""

    kind: Literal["threshold"]
    figure: Figure
    measured: CellIds
    direction: Literal["above", "below"]
    bound: float
    typical: Literal["seed", "cell"] = Field(
        default="seed",
        description="seed: the median over the seeds of every cell; cell: the median over cells of "
        "their median seeds, for cells whose settings were drawn at random",
    )
    diverged: Literal["largest", "smallest"] | None = Field(
        default=None,
        description="a diverged seed counts as larger, or smaller, than every value; None: it "
        "leaves the claim open",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.typical == "cell" and len(set(self.measured)) < FEWEST_DRAWS:
            raise ValueError(
                f"typical: cell of {len(set(self.measured))} cells, whose median has no interval "
                f"of 95 %: name {FEWEST_DRAWS} or more"
            )
        return self

    def counts_diverged(self) -> bool:
        return self.diverged is not None

    def compared(self) -> tuple[str, ...]:
        return self.measured


class GapMargin(Spec):
    """A margin seen in the same runs: a fraction of the mean of `upper` minus that of `lower`."""

    fraction: float = Field(gt=0.0)
    upper: CellId
    lower: CellId


class EquivalenceClaim(Claim):
    """A typical seed differs by less than a margin between treatment and control, in every pair.

    Seeds with the same number are compared with each other.
    """

    nulls = (EquivalenceMargin,)
    kind: Literal["equivalence"]
    figure: Figure
    treatment: CellIds
    control: CellIds
    margin: Annotated[float, Field(gt=0.0)] | GapMargin

    @model_validator(mode="after")
    def _check(self) -> Self:
        _aligned(self.treatment, self.control)
        if self.null is not None and self.null.must_be_beaten:
            raise ValueError("null: must_be_beaten has no meaning for an equivalence")
        return self

    def compared(self) -> tuple[str, ...]:
        gap = (self.margin.upper, self.margin.lower) if isinstance(self.margin, GapMargin) else ()
        return self.treatment + self.control + gap


class SeriesPair(Spec):
    """Two series of a run, correlated over their common steps: one coefficient a seed."""

    series: tuple[SeriesName, SeriesName]


class FigurePair(Spec):
    """Two figures of a run, correlated over the runs of all measured cells together."""

    figures: tuple[Figure, Figure]


class CorrelationClaim(Claim):
    """The correlation of two series, or of two figures, lies above (or below) a bound."""

    nulls = (TimeShuffled, PlainTime)
    kind: Literal["correlation"]
    pair: SeriesPair | FigurePair
    method: Literal["pearson", "spearman"]
    measured: CellIds
    direction: Literal["above", "below"]
    bound: float = Field(default=0.0, gt=-1.0, lt=1.0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if isinstance(self.null, TimeShuffled | PlainTime) and isinstance(self.pair, FigurePair):
            raise ValueError(f"null {self.null.name!r} needs a pair of series")
        return self

    def compared(self) -> tuple[str, ...]:
        return self.measured


class CostClaim(Claim):
    """Wall-clock readings lie below a bound."""

    kind: Literal["cost"]
    clock: Clock
    measured: CellIds
    bound: float = Field(gt=0.0)

    def compared(self) -> tuple[str, ...]:
        return self.measured


ClaimSpec = Annotated[
    DifferenceClaim
    | RatioClaim
    | GainsClaim
    | AcrossClaim
    | OrderingClaim
    | ThresholdClaim
    | EquivalenceClaim
    | CorrelationClaim
    | CostClaim,
    Field(discriminator="kind"),
]


def series_read(part: object) -> Iterator[str]:
    """Names, as `is_named` takes them, of the series that a claim or a part of it reads; without
    those that `score`, `auc` and `final_return` are computed from."""
    match part:
        case SeriesFigure():
            yield part.series
        case SeriesPair():
            yield from part.series
        case SecondsPerCall():
            yield part.calls
        case Spec():
            for _, value in part:
                yield from series_read(value)
        case tuple():
            for value in part:
                yield from series_read(value)
