"""The figures of the papers, redrawn from our runs, each with its null beside it.

A figure names what it redraws, the cells (tasks x agents x plug-ins) and the series. It is drawn
for each task that has runs of two of its arms, at the largest scale that has them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from suite.report.judged import Judged
from suite.report.panels import (
    Cells,
    Line,
    Panel,
    Reference,
    group_title,
    grouped,
    level,
    lines_of,
    panel_id,
    random_play,
)
from suite.specs.claims import ThresholdClaim
from suite.specs.models import SCALES
from suite.stats.runs import Run

ByClaim = Mapping[str, Judged]
References = Callable[[Sequence[Line], Cells, ByClaim], list[Reference]]


def control(lines: Sequence[Line], cells: Cells, judged: ByClaim) -> list[Reference]:
    """No line: the first arm, without the plug-in, is what the others are held against."""
    return []


def play(lines: Sequence[Line], cells: Cells, judged: ByClaim) -> list[Reference]:
    """The task's return of uniform actions."""
    return random_play(lines, cells)


def selection(lines: Sequence[Line], cells: Cells, judged: ByClaim) -> list[Reference]:
    """What the best of several settings without any effect would show: the first arm's mean,
    its gain over random play times the null of the claim on areas."""
    claim = judged.get("pptb-C10-auc")
    null = None if claim is None else claim.verdict.null
    found = random_play(lines, cells)
    if null is None or null.value is None or not found:
        return found
    base, start = lines[0], found[0].values[0]
    gain = base.mean - start
    if not (gain > 0).any():
        return found
    # Below random play there is no gain to select.
    gain = np.where(gain > 0, gain, np.nan)
    bands = [None if end is None else start + end * gain for end in (null.low, null.high)]
    return [*found, Reference(null.name, "null", base.steps, start + null.value * gain, *bands)]


def chance(lines: Sequence[Line], cells: Cells, judged: ByClaim) -> list[Reference]:
    """Accuracy of guessing one of the classes."""
    classes = next(iter(cells.values()))[0].spec["task"]["arguments"]["classes"]
    return [level("guessing", 1 / classes, lines[0])]


def half(lines: Sequence[Line], cells: Cells, judged: ByClaim) -> list[Reference]:
    """Coordinates of a normal vector are negative with probability one half."""
    return [level("as many as at the start on average", 0.5, lines[0])]


def unchanged(lines: Sequence[Line], cells: Cells, judged: ByClaim) -> list[Reference]:
    """A norm that stays what it was at the start."""
    return [level("as at the start", 1.0, lines[0])]


def bounds(*claims: str) -> References:
    """The bounds of threshold claims."""

    def found(lines: Sequence[Line], cells: Cells, judged: ByClaim) -> list[Reference]:
        references = []
        stated = [judged[name].claim for name in claims if name in judged]
        for claim in stated:
            assert isinstance(claim, ThresholdClaim), f"{claim.id} is not a threshold claim"
            label = f"{claim.direction} this line: {claim.id}"
            references.append(level(label, claim.bound, lines[0], "bound"))
        return references

    return found


def random_walk(lines: Sequence[Line], cells: Cells, judged: ByClaim) -> list[Reference]:
    """Energy that trimming takes from a random walk of as many snapshots: one from zero, which
    loses most, and one whose norm grows from the start of the run as the policy's did."""
    line = lines[0]
    runs = [run for run in next(iter(cells.values())) if run.state == "done"]
    rank = next(p["settings"]["trim_rank"] for p in runs[0].spec["plugins"] if p["kind"] == "pptb")
    held = runs[0].series["plugin/pptb/snapshots"].values.astype(int)
    starts = {"random walk from zero": np.zeros(len(held))}
    growth = _squared_norm_growth(runs)
    if growth is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            starts["random walk whose norm grows as the policy's"] = 1 / np.sqrt(growth)
    found = []
    for name, start in starts.items():
        lost = [walk_energy_lost(n, rank, s) for n, s in zip(held, start, strict=True)]
        values = _positive(np.array(lost))
        if np.isfinite(values).any():
            found.append(Reference(name, "null", line.steps, values))
    return found


def _squared_norm_growth(runs: Sequence[Run]) -> np.ndarray | None:
    """[E] growth of the policy's squared weight norm since the start, over that at the start."""
    policy = {
        name for name in runs[0].series if name.startswith(("weight_norm/actor/", "weight_norm/q/"))
    }
    if not policy:
        return None
    layers = [[run.series[name].values ** 2 for name in sorted(policy)] for run in runs]
    squares = np.sum(layers, axis=1).mean(axis=0)
    return np.asarray(squares / squares[0] - 1)


def walk_energy_lost(snapshots: int, rank: int, start: float) -> float:
    """Share of the newest snapshot's energy outside the `rank` leading directions of a random walk.

    `start` is the distance of its start from zero in units of its displacement, NaN gives NaN; the
    dimension is taken as large, so that the Gram matrix of the walk is min(i, j) + start^2 n (PCA
    of random walks: Antognini and Sohl-Dickstein, NeurIPS 2018).
    """
    if not np.isfinite(start):
        return np.nan
    steps = np.arange(1, snapshots + 1)
    gram = np.minimum.outer(steps, steps) + start**2 * snapshots
    values, vectors = np.linalg.eigh(gram)
    left_out = slice(0, max(snapshots - rank, 0))
    return float((vectors[-1, left_out] ** 2 * values[left_out]).sum() / gram[-1, -1])


def _positive(values: np.ndarray) -> np.ndarray:
    """NaN where nothing can be shown on a logarithmic axis: no move yet, or rounding."""
    return np.where(values > 1e-12, values, np.nan)


def _lost(kept: np.ndarray) -> np.ndarray:
    return _positive(1.0 - kept)


@dataclass(frozen=True)
class PaperFigure:
    """A figure of a paper: where it is, what it shows and what the null is, and how to redraw it.

    `series` ending in `*` is the mean over all series with that beginning. `change` is applied to
    values [S, E].
    """

    study: str
    source: str
    shows: str
    tasks: tuple[str, ...]
    agents: tuple[str, ...]
    plugins: tuple[str, ...]
    series: str
    quantity: str
    references: References
    arms: int = 2
    change: Callable[[np.ndarray], np.ndarray] | None = None
    logarithmic: bool = False

    def cells_of(self, task: str) -> list[str]:
        """Ids of the cells of one task, in the order of the arms."""
        arms = product(self.agents, self.plugins)
        return [f"{task}--{agent}--{plugins}" for agent, plugins in arms]

    def label(self, cell: str) -> str:
        """What tells the arms apart."""
        _, agent, plugins = cell.split("--")
        return agent if len(self.plugins) == 1 else plugins


MUJOCO = ("halfcheetah", "hopper", "walker2d", "ant")
PIXELS = (
    "dmc_cartpole_swingup_pixels",
    "dmc_finger_spin_pixels",
    "dmc_walker_walk_pixels",
    "dmc_cheetah_run_pixels",
    "dmc_cartpole_swingup_pixels_small",
)
GAMES = ("breakout", "space_invaders", "seaquest", "asterix", "freeway")
LABELS = ("none", "ln_plain", "rms_plain", "proj_only", "nap")
CONTROL = ("none", "ln", "proj_only", "nap_const", "nap_linear")

FIGURES = (
    PaperFigure(
        study="ladder",
        source="Fig. 10 and Table 1",
        shows="Return of TD3 with PPTB and without. Null: what the best of 12 settings without "
        "any effect would show over TD3.",
        tasks=MUJOCO,
        agents=("td3-official",),
        plugins=("none", "pptb", "pptb_trim", "pptb_boost", "snapshot_average"),
        series="return",
        quantity="mean evaluation return",
        references=selection,
    ),
    PaperFigure(
        study="ladder",
        source="Fig. 11 and Table 2",
        shows="Return of RAD with PPTB and without. Null: RAD itself (“none”), and random play.",
        tasks=PIXELS,
        agents=("rad-official", "rad-small"),
        plugins=("none", "pptb"),
        series="return",
        quantity="mean evaluation return",
        references=play,
    ),
    PaperFigure(
        study="ladder",
        source="Table 3",
        shows="Return of DoubleDQN with PPTB and without, on MinAtar. Null: DoubleDQN itself "
        "(“none”), and random play.",
        tasks=GAMES,
        agents=("chain-ddqn",),
        plugins=("none", "pptb"),
        series="return",
        quantity="mean evaluation return",
        references=play,
    ),
    PaperFigure(
        study="ladder",
        source="section 4.1, the energy in few directions",
        shows="Share of the policy's squared norm that trimming takes away. Null: the same for a "
        "random walk of as many snapshots. Trimming loses little of any path, and the less the "
        "farther from zero the path lies.",
        tasks=(*MUJOCO, *GAMES[:4], *PIXELS, "inverted_pendulum", "dmc_cartpole_swingup"),
        agents=("td3-official", "chain-ddqn", "rad-official", "rad-small", "sac-default"),
        plugins=("pptb", "pptb_stable"),
        series="plugin/pptb/kept_energy",
        quantity="energy outside the kept directions",
        references=random_walk,
        arms=1,
        change=_lost,
        logarithmic=True,
    ),
    PaperFigure(
        study="ladder",
        source="ours, to section 4.2",
        shows="Norm of the policy's weights over that at the start, for boost x window / interval "
        "of 0.4 (stable) and 10 (unstable). Lines: the bounds of the two claims.",
        tasks=("inverted_pendulum",),
        agents=("td3-official",),
        plugins=("pptb_stable", "pptb_unstable"),
        series="weight_norm_ratio/actor/*",
        quantity="policy norm over its start",
        references=bounds("pptb-C18-bounded", "pptb-C18-diverges"),
    ),
    PaperFigure(
        study="nap",
        source="Figs. 2 and 5",
        shows="Online accuracy on ever new random labels. Null: guessing, and the plain network "
        "(“none”).",
        tasks=("random_labels",),
        agents=("mlp-lr3e-3",),
        plugins=LABELS,
        series="online_accuracy",
        quantity="online accuracy per relabelling",
        references=chance,
    ),
    PaperFigure(
        study="nap",
        source="Fig. 2, at a threefold learning rate",
        shows="The same. Null: guessing, and the plain network (“none”).",
        tasks=("random_labels",),
        agents=("mlp-lr1e-2",),
        plugins=("none", "ln_plain", "proj_only", "nap"),
        series="online_accuracy",
        quantity="online accuracy per relabelling",
        references=chance,
    ),
    PaperFigure(
        study="nap",
        source="Fig. 2, weight norms",
        shows="Norm of the hidden weights over that at the start. Null: a norm that stays; "
        "projection keeps it there.",
        tasks=("random_labels",),
        agents=("mlp-lr3e-3",),
        plugins=LABELS,
        series="weight_norm_ratio/classifier/hidden*",
        quantity="weight norm over its start",
        references=unchanged,
    ),
    PaperFigure(
        study="nap",
        source="Fig. 1",
        shows="Share of hidden units that no input activates. Null: the plain network (“none”).",
        tasks=("random_labels",),
        agents=("mlp-lr3e-3",),
        plugins=LABELS,
        series="dead_fraction/*",
        quantity="dead units",
        references=control,
    ),
    PaperFigure(
        study="nap",
        source="section 3.2, inflated weights",
        shows="Online accuracy of a network with norm layers whose hidden weights are inflated at "
        "the start, which changes no output. Null: guessing, and no inflation (factor 1).",
        tasks=("random_labels",),
        agents=("mlp-lr3e-3",),
        plugins=(
            "ln_plain+inflate_1",
            "ln_plain+inflate_10",
            "ln_plain+inflate_30",
            "ln_plain+inflate_100",
            "nap+inflate_30",
        ),
        series="online_accuracy",
        quantity="online accuracy per relabelling",
        references=chance,
    ),
    PaperFigure(
        study="nap",
        source="Figs. 11 and 12, gradient descent",
        shows="Dead units in the random-walk model under plain gradients. Null: the share at the "
        "start, and no norm (“walk-gradient-none”).",
        tasks=("dead_unit_walk",),
        agents=("walk-gradient-none", "walk-gradient-rms", "walk-gradient-layer"),
        plugins=("none",),
        series="dead_fraction",
        quantity="share of dead units",
        references=half,
    ),
    PaperFigure(
        study="nap",
        source="Figs. 11 and 12, adaptive updates",
        shows="Dead units in the random-walk model under signs of gradients, as with Adam. Null: "
        "the share at the start, and no norm (“walk-sign-none”).",
        tasks=("dead_unit_walk",),
        agents=("walk-sign-none", "walk-sign-rms", "walk-sign-layer"),
        plugins=("none",),
        series="dead_fraction",
        quantity="share of dead units",
        references=half,
    ),
    PaperFigure(
        study="nap",
        source="Figs. 4 and 6",
        shows="Return of DoubleDQN on MinAtar with norm layers and with NaP; the paper has Rainbow "
        "on Atari. Null: DoubleDQN itself (“none”), and random play.",
        tasks=GAMES,
        agents=("chain-ddqn",),
        plugins=("none", "ln", "nap_const", "nap_linear"),
        series="return",
        quantity="mean evaluation return",
        references=play,
    ),
    PaperFigure(
        study="nap",
        source="section 4, effective learning rate",
        shows="Effective learning rate of the hidden layer, learning rate over relative weight "
        "norm. Norm growth lowers it with norm layers (“ln”), the schedule with NaP.",
        tasks=GAMES,
        agents=("chain-ddqn",),
        plugins=("ln", "nap_const", "nap_linear"),
        series="effective_learning_rate/q/hidden1",
        quantity="effective learning rate",
        references=control,
    ),
    PaperFigure(
        study="nap",
        source="Fig. 13",
        shows="Return of PPO with norm layers, projection and a falling learning rate. Null: PPO "
        "itself (“none”), and random play.",
        tasks=("halfcheetah", "ant"),
        agents=("ppo-sb3-default",),
        plugins=CONTROL,
        series="return",
        quantity="mean evaluation return",
        references=play,
    ),
    PaperFigure(
        study="nap",
        source="Fig. 14",
        shows="Return of SAC with norm layers, projection and a falling learning rate. Null: SAC "
        "itself (“none”), and random play.",
        tasks=("halfcheetah", "ant", "dmc_cartpole_swingup"),
        agents=("sac-mujoco", "sac-default"),
        plugins=CONTROL,
        series="return",
        quantity="mean evaluation return",
        references=play,
    ),
)


LEFT_OUT = {
    "ladder": "Figs. 1 to 9 and Tables 4 to 9 show decompositions of the policy's whole path. No "
    "cell of this study records one (the probe policy_path would).",
    "nap": "Figs. 3 and 7 to 10 and Tables 1 to 3 compare runs that no cell of this study asks "
    "for: twin networks, other schedules, other remedies, images and text.",
}
"""Figures of a study's paper that are not redrawn, and why."""


@dataclass(frozen=True)
class Redrawn:
    """A figure of a paper with its panels, one per task; none where runs are lacking."""

    figure: PaperFigure
    panels: tuple[Panel, ...]


def redraw(study: str, runs: Sequence[Run], judged: ByClaim) -> list[Redrawn]:
    """All figures of a study."""
    return [
        Redrawn(figure, tuple(_panels(place, figure, runs, judged)))
        for place, figure in enumerate(FIGURES)
        if figure.study == study
    ]


def _panels(place: int, figure: PaperFigure, runs: Sequence[Run], judged: ByClaim) -> list[Panel]:
    groups = grouped(runs)
    panels = []
    for task in figure.tasks:
        wanted = figure.cells_of(task)
        here = [group for group in groups if group[0] == task]
        for group in sorted(here, key=lambda g: (-SCALES.index(g[1]), -g[2])):
            cells = {cell: groups[group][cell] for cell in wanted if cell in groups[group]}
            names = _series(cells, figure.series)
            lines = lines_of(cells, {c: figure.label(c) for c in cells}, names, figure.change)
            if len(lines) < figure.arms or not any(_is_drawn(line) for line in lines):
                continue
            panels.append(
                Panel(
                    id=panel_id("figure", str(place), task),
                    title=group_title(group),
                    quantity=figure.quantity,
                    note="mean over layers" if len(names) > 1 else "",
                    lines=tuple(lines),
                    references=tuple(figure.references(lines, cells, judged)),
                    logarithmic=figure.logarithmic,
                )
            )
            break
    return panels


def _series(cells: Cells, series: str) -> set[str]:
    start = series.removesuffix("*")
    names = {name for runs in cells.values() for run in runs for name in run.series}
    return {n for n in names if n == start or (start != series and n.startswith(start))}


def _is_drawn(line: Line) -> bool:
    """Whether there are two points to join."""
    return int(np.isfinite(line.mean).sum()) > 1
