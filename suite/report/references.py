"""What the lines of a paper's figure are held against: its nulls and the bounds of claims.

Each function gives references for the lines of one panel; `cells` are the runs that the lines are
drawn from, `judged` all claims by id.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from suite.report.judged import Judged
from suite.report.panels import Cells, Line, Reference, level, random_play
from suite.specs.claims import ThresholdClaim
from suite.stats.nulls import walk_path
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


NORMS = ("weight_norms/norm/actor/", "weight_norms/norm/q/")


def _squared_norm_growth(runs: Sequence[Run]) -> np.ndarray | None:
    """[E] growth of the policy's squared weight norm since the start, over that at the start."""
    policy = {name for name in runs[0].series if name.startswith(NORMS)}
    if not policy:
        return None
    layers = [[run.series[name].values ** 2 for name in sorted(policy)] for run in runs]
    squares = np.sum(layers, axis=1).mean(axis=0)
    return np.asarray(squares / squares[0] - 1)


def walk_energy_lost(snapshots: int, rank: int, start: float) -> float:
    """Share of the newest snapshot's energy outside the `rank` leading directions of a random walk.

    `start` is the distance of its start from zero in units of its displacement, NaN gives NaN (PCA
    of random walks: Antognini and Sohl-Dickstein, NeurIPS 2018).
    """
    if not np.isfinite(start):
        return np.nan
    path = walk_path(snapshots, offset=start)
    gram = path @ path.T
    values, vectors = np.linalg.eigh(gram)
    left_out = slice(0, max(snapshots - rank, 0))
    return float((vectors[-1, left_out] ** 2 * values[left_out]).sum() / gram[-1, -1])


def _positive(values: np.ndarray) -> np.ndarray:
    """NaN where nothing can be shown on a logarithmic axis: no move yet, or rounding."""
    return np.where(values > 1e-12, values, np.nan)


def lost_energy(kept: np.ndarray) -> np.ndarray:
    """What is left of all energy, from what is kept; NaN where nothing is lost."""
    return _positive(1.0 - kept)
