"""What figures show: runs of one task, scale and budget as lines over steps, one line per cell."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import stats

from suite.specs.claims import is_named
from suite.specs.figures import MOST_ARMS
from suite.stats.intervals import CONFIDENCE
from suite.stats.runs import Run

LINES = MOST_ARMS
"""Most lines of a panel: more cannot be told apart."""

WIDE = 1000.0
"""Largest over smallest value from which on a diagnostic has a logarithmic axis."""

POINTS = 80
"""Most points of a line, about 300 CSS pixels long: more would only make the page larger."""

MAIN_SERIES = {
    "return": "mean evaluation return",
    "online_accuracy": "online accuracy per task",
    "dead_fraction": "fraction of dead units",
}
"""What is learned, by series; the first that a run has is shown."""


@dataclass(frozen=True)
class Line:
    """One cell: steps [E], curves [S, E] of done seeds, their mean and its 95 % t interval [E].

    `keys` are the keys of the runs of `seeds`. Values may be NaN.
    """

    label: str
    colour: int
    steps: np.ndarray
    curves: np.ndarray
    seeds: tuple[int, ...]
    diverged: tuple[int, ...]
    keys: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """The seeds in words."""
        lost = f"; {', '.join(map(str, self.diverged))} diverged" if self.diverged else ""
        return f"seeds {', '.join(map(str, self.seeds))}{lost}"

    @property
    def counted(self) -> str:
        """How many seeds there are, in words."""
        lost = f"; {len(self.diverged)} diverged" if self.diverged else ""
        return f"{len(self.seeds)} seeds{lost}"

    @property
    def mean(self) -> np.ndarray:
        return np.asarray(self.curves.mean(axis=0))

    @property
    def ends(self) -> tuple[float, float]:
        """First and last finite mean; NaN where there is none."""
        finite = self.mean[np.isfinite(self.mean)]
        return (float(finite[0]), float(finite[-1])) if finite.size else (np.nan, np.nan)

    def interval(self) -> tuple[np.ndarray, np.ndarray] | None:
        """None for one seed."""
        count = len(self.curves)
        if count < 2:
            return None
        reach = stats.t.ppf((1 + CONFIDENCE) / 2, count - 1)
        half = reach * self.curves.std(axis=0, ddof=1) / count**0.5
        return self.mean - half, self.mean + half


ReferenceKind = Literal["null", "bound", "ceiling", "comparison"]


@dataclass(frozen=True)
class Reference:
    """What lines are held against: values [E] at steps [E], with a band [E] where it has one.

    `colour` is that of the line it belongs to, where it belongs to one of several.
    """

    label: str
    kind: ReferenceKind
    steps: np.ndarray
    values: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    colour: int | None = None

    @property
    def told(self) -> str:
        """Its values in words."""
        finite = self.values[np.isfinite(self.values)]
        first, last = (short_number(value).replace("-", "−") for value in finite[[0, -1]])
        return f"{self.label}: {first if first == last else f'{first} to {last}'}"


@dataclass(frozen=True)
class Panel:
    """One figure: a quantity over training steps, a line per cell, and what to hold it against."""

    id: str
    title: str
    quantity: str
    note: str
    lines: tuple[Line, ...]
    references: tuple[Reference, ...] = ()
    logarithmic: bool = False
    diagnostic: bool = False
    """Whether means and intervals are drawn alone, at half as many points."""
    over: str = "step"
    """Label of the horizontal axis."""

    def drawable(self, values: np.ndarray) -> np.ndarray:
        """NaN where the axis can show nothing."""
        return drawable(values) if self.logarithmic else values

    @property
    def constant(self) -> bool:
        """Every line stays at one value, the same for all seeds: a sentence says as much."""
        return all(np.ptp(line.curves) == 0 for line in self.lines)

    def alternative(self) -> str:
        """The figure in words, for those who can't see it."""
        told = [
            f"{line.label}, {line.counted if self.diagnostic else line.told}: "
            f"from {line.ends[0]:.4g} to {line.ends[1]:.4g}"
            for line in self.lines
        ]
        told += [f"{reference.kind}, {reference.told}" for reference in self.references]
        steps = f"{self.lines[0].steps[0]:,.0f} to {self.lines[0].steps[-1]:,.0f}"
        over = "steps" if self.over == "step" else self.over
        return f"{self.quantity} over {over} {steps}. {'; '.join(told)}."


def short_number(value: float) -> str:
    """1500 as 1.5k, 3000000 as 3M."""
    for size, sign in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{sign}"
    return f"{value:.3g}"


Group = tuple[str, str, int]
"""Task, scale and budget."""
Cells = Mapping[str, Sequence[Run]]
"""Runs by cell."""


def grouped(runs: Iterable[Run]) -> dict[Group, dict[str, list[Run]]]:
    """Complete runs by task, scale and budget, then by cell; a stale run is none."""
    groups: dict[Group, dict[str, list[Run]]] = {}
    for run in runs:
        if run.state in ("done", "diverged") and not run.stale:
            group = (run.cell.split("--")[0], run.scale, run.budget)
            groups.setdefault(group, {}).setdefault(run.cell, []).append(run)
    return groups


def level(label: str, value: float, line: Line, kind: ReferenceKind = "null") -> Reference:
    """A reference at one value, over the steps of a line."""
    return Reference(label, kind, line.steps[[0, -1]], np.full(2, value))


def random_play(lines: Sequence[Line], cells: Cells) -> list[Reference]:
    """The task's return of uniform actions, where it is known."""
    value = next(iter(cells.values()))[0].spec["task"].get("random_return")
    return [] if value is None else [level("random play", value, lines[0])]


def group_title(group: Group) -> str:
    """Task, scale and budget in words."""
    task, scale, budget = group
    return f"{task}, {scale}, {short_number(budget)} steps"


def learning_panels(cells: Cells, group: Group) -> list[Panel]:
    """The main series of a group's cells; none for a series of one point."""
    for name, quantity in MAIN_SERIES.items():
        panels = _panels(cells, group, name, quantity, "", [name])
        if panels and name == "return":
            nulls = tuple(random_play(panels[0].lines, cells))
            return [replace(panel, references=nulls) for panel in panels]
        if panels:
            return panels
    return []


def diagnostic_panels(cells: Cells, group: Group) -> list[Panel]:
    """Losses, dead units and what plug-ins record, a mean over layers each, and the diagnostics of
    analyses."""
    names = sorted({name for runs in cells.values() for run in runs for name in run.series})
    kinds = {kind for runs in cells.values() for run in runs for kind in run.analyses}
    panels = []
    for shown in [*_recorded(names), *_found(names, kinds)]:
        quantity = shown.name.replace("_", " ").replace("plugin/", "").replace("/", ": ")
        note = f"mean over {shown.mean_over}" if len(shown.series) > 1 else ""
        panels += [
            replace(panel, logarithmic=_is_wide(panel.lines), diagnostic=True, over=shown.over)
            for panel in _panels(cells, group, shown.name, quantity, note, shown.series)
        ]
    return panels


@dataclass(frozen=True)
class _Shown:
    """Series of one diagnostic."""

    name: str
    series: tuple[str, ...]
    mean_over: str
    over: str = "step"


def _recorded(names: Iterable[str]) -> list[_Shown]:
    """What trainings recorded: losses, and by layer what plug-ins did and units that are dead."""
    families: dict[str, list[str]] = {}
    for name in names:
        parts = name.split("/")
        if parts[0] == "loss":
            families[name] = [name]
        elif parts[0] == "plugin":
            families.setdefault("/".join(parts[:3]), []).append(name)
        elif parts[0] == "dead_fraction" and len(parts) > 1:
            families.setdefault("dead_fraction of hidden units", []).append(name)
    return [_Shown(family, tuple(series), "layers") for family, series in families.items()]


def _found(names: Sequence[str], kinds: Set[str]) -> Iterator[_Shown]:
    """The diagnostics of analyses that runs have."""
    # Analyses import PyTorch, which takes seconds.
    from suite.analysis.registry import ANALYSES, diagnostics

    # Evidence may be of an analysis that is not installed here.
    for kind in sorted(kinds & ANALYSES.keys()):
        for wanted in diagnostics(ANALYSES[kind]):
            named = f"{kind}/{wanted.series}"
            series = tuple(name for name in names if is_named(name, named))
            if series and wanted.mean_over:
                yield _Shown(named.removesuffix("/*"), series, wanted.mean_over, wanted.over)
            else:
                yield from (_Shown(name, (name,), "", wanted.over) for name in series)


def _is_wide(lines: Sequence[Line]) -> bool:
    values = np.concatenate([line.curves.ravel() for line in lines])
    values = values[np.isfinite(values)]
    return bool(values.size and values.min() > 0 and values.max() > WIDE * values.min())


def lines_of(
    cells: Cells,
    labels: Mapping[str, str],
    series: Collection[str],
    change: Callable[[np.ndarray], np.ndarray] | None = None,
) -> list[Line]:
    """A line for each cell that has one of the series, in the order of the cells.

    A cell's values are the mean over those of `series` that it has, after `change`.
    """
    return [
        line
        for i, (cell, runs) in enumerate(cells.items())
        if (line := _line(labels[cell], i % LINES, runs, series, change)) is not None
    ]


def drawn_points(steps: np.ndarray, most: int = POINTS) -> np.ndarray:
    """Indices of at most so many evaluations, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, len(steps) - 1, most).round().astype(int))


def drawable(values: np.ndarray) -> np.ndarray:
    """NaN where a logarithmic axis can show nothing: what is not positive, or is rounding."""
    return np.where(values > 1e-12, values, np.nan)


def _panels(
    cells: Cells,
    group: Group,
    name: str,
    quantity: str,
    note: str,
    series: Collection[str],
) -> list[Panel]:
    in_order = dict(sorted(cells.items(), key=_plain_first))
    lines = lines_of(in_order, labels_of(cells), series)
    task, scale, budget = group
    panels = []
    for part, start in enumerate(range(0, len(lines), LINES)):
        panels.append(
            Panel(
                id=panel_id(task, scale, str(budget), name, str(part)),
                title=group_title(group),
                quantity=quantity,
                note=note,
                lines=tuple(lines[start : start + LINES]),
            )
        )
    return panels


def panel_id(*parts: str) -> str:
    """An id for the page."""
    return "-".join(parts).replace("/", "-").replace("_", "-").replace(" ", "-").replace("*", "")


def _line(
    label: str,
    colour: int,
    runs: Sequence[Run],
    series: Collection[str],
    change: Callable[[np.ndarray], np.ndarray] | None,
) -> Line | None:
    done = [run for run in runs if run.state == "done"]
    names = [name for name in sorted(done[0].series) if name in series] if done else []
    if not names:
        return None
    steps = done[0].series[names[0]].steps
    # A seed evaluated at other steps (an older budget, say) can't be averaged with the rest.
    same = [
        run
        for run in done
        if all(n in run.series and np.array_equal(run.series[n].steps, steps) for n in names)
    ]
    if len(steps) < 2 or not same:
        return None
    curves = np.stack([np.mean([run.series[n].values for n in names], axis=0) for run in same])
    return Line(
        label=label,
        colour=colour,
        steps=steps,
        curves=curves if change is None else change(curves),
        seeds=tuple(run.seed for run in same),
        diverged=tuple(run.seed for run in runs if run.state == "diverged"),
        keys=tuple(run.key for run in same),
    )


def _plain_first(item: tuple[str, Sequence[Run]]) -> tuple[bool, str]:
    return not item[0].endswith("--none"), item[0]


def labels_of(cells: Iterable[str]) -> dict[str, str]:
    """What tells cells of one task apart: plug-ins, and the agent when there are several."""
    parts = {cell: cell.split("--")[1:] for cell in cells}
    several = len({agent for agent, _ in parts.values()}) > 1
    same_plugins = len({plugins for _, plugins in parts.values()}) == 1
    return {
        cell: (agent if same_plugins else f"{agent} · {plugins}") if several else plugins
        for cell, (agent, plugins) in parts.items()
    }
