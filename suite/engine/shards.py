"""Which seeds train together in one process."""

import math
from collections.abc import Sequence
from itertools import pairwise

from suite.engine.work import Shard
from suite.specs.models import Cell, RunSpec
from suite.specs.planning import seconds_estimate

# A process of its own costs seconds of start-up, and stacked seeds share work: shards shorter than
# this are not made.
WORTHWHILE_SECONDS = 10.0


def make_shards(cells: Sequence[Cell], jobs: int) -> list[Shard]:
    """Shards for `jobs` processes side by side, the longest first (in the order given for one job).

    Many cells keep all processes busy as they are. A cell that is a large part of the work (more
    than half of one process's share) is split by seeds.
    """
    seconds = [seconds_estimate(cell) for cell in cells]
    half_share = sum(seconds) / (2 * jobs)
    shards: list[Shard] = []
    for cell, cost in zip(cells, seconds, strict=True):
        parts = 1
        if jobs > 1:
            wanted = min(math.ceil(cost / half_share), int(cost / WORTHWHILE_SECONDS))
            parts = max(1, min(wanted, jobs, len(cell.runs)))
        for runs in _split(cell.runs, parts):
            share = cost * len(runs) / len(cell.runs)
            shards.append(Shard(cell.id, cell.scale, runs, share))
    if jobs > 1:
        shards.sort(key=lambda shard: -shard.seconds)
    return shards


def _split(runs: tuple[RunSpec, ...], parts: int) -> list[tuple[RunSpec, ...]]:
    """Neighbouring runs in parts whose sizes differ by one at most."""
    bounds = [len(runs) * part // parts for part in range(parts + 1)]
    return [runs[start:stop] for start, stop in pairwise(bounds)]
