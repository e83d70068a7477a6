"""How long cells will take on this machine: from runs that it finished, else from its speed.

For reading a plan; no result depends on it.
"""

import heapq
import json
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median

import numpy as np
from threadpoolctl import threadpool_limits

from suite import cache
from suite.engine.shards import make_shards
from suite.specs.models import Cell, RunSpec
from suite.specs.planning import seconds_estimate
from suite.store import processor
from suite.store.store import Store

# `work_seconds` where the constants of `suite.specs.planning` were measured.
REFERENCE_SECONDS = 0.0085

SHARD_SECONDS = 0.3  # networks, replay and environments of a shard
PROCESSES_SECONDS = 4.0  # until processes side by side have loaded what they need

RUNS_PER_CELL = 3  # finished runs that are read


@dataclass(frozen=True)
class Pace:
    """Seconds here for a second of `seconds_estimate`: medians over runs finished here."""

    cells: Mapping[str, float]  # by cell id
    agents: Mapping[str, float]  # by agent preset

    def of(self, cell: str, run: RunSpec) -> float:
        """That of the cell, else of other cells with its agent, else this processor's slowness."""
        known = self.cells.get(cell, self.agents.get(run.agent.name))
        return self.processor if known is None else known

    def measured(self, cell: str, run: RunSpec) -> bool:
        """Whether `of` knows it from finished runs."""
        return cell in self.cells or run.agent.name in self.agents

    @cached_property
    def processor(self) -> float:
        """Seconds here for a second on the machine where the constants were measured."""
        return work_seconds() / REFERENCE_SECONDS


def pace(cells: Iterable[Cell], store: Store) -> Pace:
    """From the finished runs of `cells`, of any scale, that a processor like this one trained."""
    here = processor.name()
    by_cell, by_agent = defaultdict(list), defaultdict(list)
    for cell in cells:
        for run in cell.runs[:RUNS_PER_CELL]:
            # A diverged run did not train for its whole budget.
            if store.state(run.key()).state != "done":
                continue
            provenance = store.provenance(run.key())
            seconds = provenance.get("seconds", {}).get("total")
            if seconds is None or (provenance["cpu"], provenance["device"]) != (here, "cpu"):
                continue
            ratio = seconds / seconds_estimate(cell.model_copy(update={"runs": (run,)}))
            by_cell[cell.id].append(ratio)
            by_agent[run.agent.name].append(ratio)
    return Pace(
        {cell: median(ratios) for cell, ratios in by_cell.items()},
        {agent: median(ratios) for agent, ratios in by_agent.items()},
    )


def duration(cells: Sequence[Cell], jobs: int, pace: Pace) -> float:
    """Seconds until all of `cells` are trained by `jobs` processes, as the engine shares them out.

    At least those of the longest shard, however many processes there are.
    """
    shards = make_shards(cells, jobs)
    seconds = [
        SHARD_SECONDS + pace.of(shard.cell, shard.runs[0]) * shard.seconds for shard in shards
    ]
    if jobs == 1 or len(shards) == 1:
        return sum(seconds)
    ends = [PROCESSES_SECONDS] * jobs
    for one in seconds:
        heapq.heappush(ends, heapq.heappop(ends) + one)
    return max(ends)


def work_seconds() -> float:
    """CPU seconds of a fixed piece of work like an update's, one thread a core.

    Kept in the user's cache folder, one number per processor and version of NumPy. CPU seconds:
    what else runs here now says nothing about later.
    """
    path = _cache()
    name = f"{processor.name()}, numpy {np.__version__}"
    try:
        known = json.loads(path.read_text())
        return float(known[name])
    except (OSError, ValueError, KeyError, TypeError):
        known = {}
    seconds = _measure()
    # Without a writable cache folder it is measured every time.
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**known, name: seconds}))
    return seconds


def _cache() -> Path:
    return cache.folder() / "processor.json"


def _measure() -> float:
    """On all cores at once: they share caches, memory and clock, as they do when they train."""
    cores = os.cpu_count() or 1
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(cores) as threads:
        return median(threads.map(lambda _: _work(), range(cores)))


def _work() -> float:
    """Products and element-wise operations, about as long each as in an update of TD3."""
    inputs, weights = np.ones((3, 256, 256), np.float32), np.ones((3, 256, 256), np.float32)
    moments = np.ones(65_536, np.float32)
    products, changes = np.empty_like(inputs), np.empty_like(moments)
    times = []
    for _ in range(11):
        started = time.thread_time()
        for _ in range(5):
            np.matmul(inputs, weights, out=products)
        for _ in range(100):
            np.multiply(moments, 0.9, out=changes)
            np.sqrt(changes, out=changes)
        times.append(time.thread_time() - started)
    return median(times[1:])  # the first one loads what it needs
