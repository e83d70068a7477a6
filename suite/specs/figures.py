"""The figures of its paper that a study redraws: cells, a series, and the null beside it.

The kinds of null are told apart by `kind`; `suite.report.references` draws them.
"""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from suite.specs.checking import Checker
from suite.specs.claims import BestOfN, Claim, RatioClaim, SeriesName, ThresholdClaim
from suite.specs.models import SCALES, Cell, Name, Scale, Spec, TaskSpec, cell_id
from suite.specs.source import Node, known


class Control(Spec):
    """No line: one of the arms, without the plug-in, is what the others are held against."""

    kind: Literal["control"]


class RandomPlay(Spec):
    """The task's return of uniform actions (`random_return`)."""

    kind: Literal["random_play"]


class Selection(Spec):
    """What the best of several settings without any effect would show: the gain over random play
    of the claim's control, times the claim's null. Beside it, random play."""

    kind: Literal["selection"]
    claim: str = Field(description="a ratio over random play with null best_of_n")


class Chance(Spec):
    """Accuracy of guessing one of the task's `classes`."""

    kind: Literal["chance"]


class Level(Spec):
    """One value at every step."""

    kind: Literal["level"]
    value: float
    label: str = Field(min_length=1, description="why this value, for the legend")


class Bound(Spec):
    """The bound of a claim."""

    kind: Literal["bound"]
    claim: str = Field(description="a threshold claim")


class Beside(Spec):
    """Another series of the runs that are drawn: a null, the most that can be seen, or what the
    figure's own is compared with."""

    series: SeriesName
    label: str = Field(min_length=1, description="for the legend")
    kind: Literal["null", "ceiling", "comparison"] = "null"


class Recorded(Spec):
    """What the runs themselves recorded: the mean of these series over the runs of each line."""

    kind: Literal["recorded"]
    beside: tuple[Beside, ...] = Field(min_length=1, max_length=3)


class RandomWalk(Spec):
    """Energy that PPTB's trimming takes from random walks of as many snapshots."""

    kind: Literal["random_walk"]


KINDS = (
    "bound",
    "chance",
    "control",
    "level",
    "random_play",
    "random_walk",
    "recorded",
    "selection",
)


def _kind(null: object) -> str | None:
    """The kind of a null, known or not; None for what has none."""
    kind = null.get("kind") if isinstance(null, dict) else getattr(null, "kind", None)
    return kind if isinstance(kind, str) else None


FigureNull = Annotated[
    Annotated[Bound, Tag("bound")]
    | Annotated[Chance, Tag("chance")]
    | Annotated[Control, Tag("control")]
    | Annotated[Level, Tag("level")]
    | Annotated[RandomPlay, Tag("random_play")]
    | Annotated[RandomWalk, Tag("random_walk")]
    | Annotated[Recorded, Tag("recorded")]
    | Annotated[Selection, Tag("selection")],
    Discriminator(
        _kind,
        custom_error_type="unknown_null",
        custom_error_message=f"should have one of the kinds {', '.join(KINDS)}",
    ),
]

# What nulls that are of one quantity can be drawn beside: series and change.
_DRAWN_BESIDE: dict[str, tuple[str, str | None]] = {
    "random_play": ("return", None),
    "selection": ("return", None),
    "random_walk": ("plugin/pptb/kept_energy", "complement"),
}

MOST_ARMS = 8
"""Most cells of a task in one figure: a panel has no more colours."""


class Arms(Spec):
    """Cells that a figure compares: each task x each agent x each list of plug-ins."""

    tasks: tuple[Name, ...] = Field(min_length=1)
    agents: tuple[Name, ...] = Field(min_length=1)
    plugins: tuple[tuple[Name, ...], ...] = Field(min_length=1)

    def of_task(self, task: str) -> list[str]:
        """Ids of the cells of one task; none if it is not among the tasks."""
        if task not in self.tasks:
            return []
        return [cell_id(task, *arm) for arm in product(self.agents, self.plugins)]


class PaperFigure(Spec):
    """A figure of a paper: where it is, what it shows and what its null is, and how to redraw it.

    `series` ending in `*` is the mean over all series with that beginning. `change: complement`
    draws 1 minus the series.
    """

    source: str = Field(min_length=1, description="where the paper has it")
    shows: str = Field(min_length=1, description="what is drawn and what the null is, in our words")
    cells: tuple[Arms, ...] = Field(min_length=1)
    series: SeriesName
    quantity: str = Field(min_length=1, description="label of the vertical axis")
    axis: Literal["linear", "log"] = "linear"
    over: str = Field(default="step", min_length=1, description="label of the horizontal axis")
    change: Literal["complement"] | None = None
    null: FigureNull

    @model_validator(mode="after")
    def _null_fits(self) -> Self:
        series, change = _DRAWN_BESIDE.get(self.null.kind, (self.series, self.change))
        if (self.series, self.change) != (series, change):
            told = f"series {series} {f'with change {change}' if change else 'without change'}"
            raise ValueError(f"null {self.null.kind} goes with {told}")
        return self

    @model_validator(mode="after")
    def _arms_can_be_told_apart(self) -> Self:
        for task in self.tasks:
            if len(self.cells_of(task)) > MOST_ARMS:
                raise ValueError(
                    f"cells: {len(self.cells_of(task))} of task {task}, at most {MOST_ARMS} can be "
                    "told apart"
                )
        return self

    @property
    def tasks(self) -> list[str]:
        """The tasks, each of which has a panel."""
        return list(dict.fromkeys(task for arms in self.cells for task in arms.tasks))

    def cells_of(self, task: str) -> list[str]:
        """Ids of the cells of one task, in the order of the arms."""
        return list(dict.fromkeys(cell for arms in self.cells for cell in arms.of_task(task)))

    def least_arms(self, task: str) -> int:
        """How many cells of a task must have runs for it to be drawn: two, or the only one."""
        return min(2, len(self.cells_of(task)))


Planned = Mapping[Scale, Mapping[str, Cell]]
"""The cells of each scale by id."""


def check(
    checker: Checker,
    figure: PaperFigure,
    node: Node,
    planned: Planned,
    claims: Mapping[str, Claim],
) -> None:
    """Keep as problems what a figure names that does not exist, or that does not fit its null.

    `claims` are those of all studies by id.
    """
    before = len(checker.problems)
    _cells_exist(checker, figure, node, planned)
    if isinstance(figure.null, Selection | Bound):
        _claim_fits(checker, figure, node, claims)
    if len(checker.problems) > before:
        return
    _tasks_can_be_drawn(checker, figure, node, planned)
    _null_can_be_drawn(checker, figure, node, planned)


def _cells_exist(checker: Checker, figure: PaperFigure, node: Node, planned: Planned) -> None:
    ids = {name for cells in planned.values() for name in cells}
    tasks, agents, plugins = ({name.split("--")[part] for name in ids} for part in range(3))
    for place, arms in enumerate(figure.cells):
        here = node.at(("cells", place))
        lists = tuple("+".join(names) or "none" for names in arms.plugins)
        unknown = False
        for part, names, existing in (
            ("tasks", arms.tasks, tasks),
            ("agents", arms.agents, agents),
            ("plugins", lists, plugins),
        ):
            for i, name in enumerate(names):
                if name not in existing:
                    unknown = True
                    wrong = f"figure {figure.source!r} names {name!r} of which no scale has a cell"
                    checker.wrong(here.at((part, i)), wrong, *known(existing, name))
        if unknown:
            continue
        for cell in (cell for task in arms.tasks for cell in arms.of_task(task)):
            if cell not in ids:
                wrong = f"figure {figure.source!r} names a cell that no scale has: {cell!r}"
                checker.wrong(here, wrong, *known(ids, cell))


def _claim_fits(
    checker: Checker, figure: PaperFigure, node: Node, claims: Mapping[str, Claim]
) -> None:
    null = figure.null
    assert isinstance(null, Selection | Bound)
    fits, what = (_has_bound, "a threshold") if isinstance(null, Bound) else (_selects, SELECTS)
    fitting = [name for name, claim in claims.items() if fits(claim)]
    if null.claim not in claims:
        wrong = f"figure {figure.source!r} names a claim that does not exist: {null.claim!r}"
    elif null.claim not in fitting:
        wrong = f"claim {null.claim!r} is not {what}, as null {null.kind!r} needs"
    else:
        return
    checker.wrong(node.at(("null", "claim")), wrong, *known(fitting, null.claim))


SELECTS = "a ratio with baseline random and null best_of_n"


def _selects(claim: Claim) -> bool:
    return (
        isinstance(claim, RatioClaim)
        and claim.baseline == "random"
        and isinstance(claim.null, BestOfN)
    )


def _has_bound(claim: Claim) -> bool:
    return isinstance(claim, ThresholdClaim)


def _tasks_can_be_drawn(
    checker: Checker, figure: PaperFigure, node: Node, planned: Planned
) -> None:
    for task in figure.tasks:
        wanted = {*figure.cells_of(task)}
        if max(len(wanted & {*planned[scale]}) for scale in SCALES) < figure.least_arms(task):
            checker.wrong(
                node.at(("cells",)),
                f"figure {figure.source!r}: no scale has two of the cells {sorted(wanted)}",
                "cells that one scale has together",
                "plan them at one scale, or leave the task out",
            )


def _null_can_be_drawn(checker: Checker, figure: PaperFigure, node: Node, planned: Planned) -> None:
    for cell in _all_cells(figure, planned):
        lacking = _lacking(figure, cell)
        if lacking is not None:
            checker.wrong(
                node.at(("null",)),
                f"figure {figure.source!r}: null {figure.null.kind!r} does not fit {cell.id!r}, "
                f"which has no {lacking}",
                "a null that fits every cell",
                f"choose another null, or give {lacking}",
            )
            return


def _all_cells(figure: PaperFigure, planned: Planned) -> Iterator[Cell]:
    for task in figure.tasks:
        for name in figure.cells_of(task):
            yield next(planned[scale][name] for scale in SCALES if name in planned[scale])


def _lacking(figure: PaperFigure, cell: Cell) -> str | None:
    """What the null would have to know of a cell and can't."""
    task: TaskSpec = cell.runs[0].task
    match figure.null:
        case RandomPlay() | Selection() if task.random_return is None:
            return "random_return"
        case Chance() if "classes" not in task.arguments:
            return "argument classes"
        case RandomWalk() if all(plugin.kind != "pptb" for plugin in cell.runs[0].plugins):
            return "plug-in pptb"
    return None
