"""What the lines of a paper's figure are held against: its nulls and the bounds of claims.

`cells` are the runs that the lines of a panel are drawn from, `judged` all claims by id.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from scipy.linalg import eigh_tridiagonal

from suite.report.judged import Judged
from suite.report.panels import Cells, Line, Reference, drawable, drawn_points, level, random_play
from suite.specs.claims import RatioClaim, ThresholdClaim
from suite.specs.figures import (
    Bound,
    Chance,
    Control,
    FigureNull,
    Level,
    RandomPlay,
    RandomWalk,
    Recorded,
    Selection,
)
from suite.stats.runs import Run

ByClaim = Mapping[str, Judged]


def references(
    null: FigureNull, lines: Sequence[Line], cells: Cells, judged: ByClaim
) -> list[Reference]:
    """What a figure's null gives for the lines of one panel."""
    match null:
        case Control():
            return []
        case RandomPlay():
            return random_play(lines, cells)
        case Selection():
            return _selection(judged[null.claim], lines, cells)
        case Chance():
            classes = next(iter(cells.values()))[0].spec["task"]["arguments"]["classes"]
            return [level("guessing", 1 / classes, lines[0])]
        case Level():
            return [level(null.label, null.value, lines[0])]
        case Bound():
            return [_bound(judged[null.claim], lines[0])]
        case RandomWalk():
            return _random_walk(lines[0], cells)
        case Recorded():
            return [one for line in lines for one in _recorded(null, line, cells, len(lines) > 1)]


def _selection(judged: Judged, lines: Sequence[Line], cells: Cells) -> list[Reference]:
    """The mean gain of the claim's control over random play times the claim's null."""
    claim, null = judged.claim, judged.verdict.null
    assert isinstance(claim, RatioClaim)
    controls = {run.key for cell in claim.control for run in cells.get(cell, ())}
    base = next((line for line in lines if controls & {*line.keys}), None)
    found = random_play(lines, cells)
    if base is None or null is None or null.value is None or not found:
        return found
    start = found[0].values[0]
    gain = base.mean - start
    if not (gain > 0).any():
        return found
    # Below random play there is no gain to select.
    gain = np.where(gain > 0, gain, np.nan)
    bands = [None if end is None else start + end * gain for end in (null.low, null.high)]
    return [*found, Reference(null.name, "null", base.steps, start + null.value * gain, *bands)]


def _recorded(null: Recorded, line: Line, cells: Cells, several: bool) -> list[Reference]:
    """The mean of each series beside a line over those of its runs that have it."""
    runs = [run for found in cells.values() for run in found if run.key in line.keys]
    found = []
    for beside in null.beside:
        having = [run.series[beside.series] for run in runs if beside.series in run.series]
        if having:
            steps = having[0].steps
            same = [x.values for x in having if np.array_equal(x.steps, steps)]
            label = f"{beside.label} ({line.label})" if several else beside.label
            values = np.mean(same, axis=0)
            colour = line.colour if several else None
            found.append(Reference(label, beside.kind, steps, values, colour=colour))
    return found


def _bound(judged: Judged, line: Line) -> Reference:
    claim = judged.claim
    assert isinstance(claim, ThresholdClaim)
    return level(f"{claim.direction} this line: {claim.id}", claim.bound, line, "bound")


def _random_walk(line: Line, cells: Cells) -> list[Reference]:
    """Energy that trimming takes from a random walk of as many snapshots: one from zero, which
    loses most, and one whose norm grows from the start of the run as the policy's did."""
    runs = [run for found in cells.values() for run in found if run.key in line.keys]
    rank = next(p["settings"]["trim_rank"] for p in runs[0].spec["plugins"] if p["kind"] == "pptb")
    at = drawn_points(line.steps)
    held = runs[0].series["plugin/pptb/snapshots"].values[at].astype(int)
    starts = {"random walk from zero": np.zeros(len(held))}
    growth = _squared_norm_growth(runs)
    if growth is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            starts["random walk whose norm grows as the policy's"] = 1 / np.sqrt(growth[at])
    found = []
    for name, start in starts.items():
        lost = [walk_energy_lost(n, rank, s) for n, s in zip(held, start, strict=True)]
        values = drawable(np.array(lost))
        if np.isfinite(values).any():
            found.append(Reference(name, "null", line.steps[at], values))
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


@lru_cache(maxsize=4096)
def walk_energy_lost(snapshots: int, rank: int, start: float) -> float:
    """Share of the newest snapshot's energy outside the `rank` leading directions of a random walk.

    `start` is the distance of its start from zero in units of its displacement, NaN gives NaN (PCA
    of random walks: Antognini and Sohl-Dickstein, NeurIPS 2018).
    """
    if not np.isfinite(start):
        return np.nan
    if rank >= snapshots:
        return 0.0
    # The inverse of the walk's Gram matrix has three diagonals, as each snapshot depends on the
    # one before it alone; its smallest eigenvalues belong to the leading directions.
    squared_start = start**2 * snapshots
    diagonal = np.ones(snapshots)
    diagonal[0] = 1 / (1 + squared_start)
    diagonal[:-1] += 1
    values, vectors = eigh_tridiagonal(diagonal, np.full(snapshots - 1, -1.0))
    outside = (vectors[-1, rank:] ** 2 / values[rank:]).sum()
    return float(outside / (snapshots + squared_start))
