"""What recordings for diagnostics cost, as ratios of interleaved pairs in one process."""

import statistics
import time
from pathlib import Path
from typing import Any

import pytest
from calibration import calibration_seconds
from workers import planned_run

from suite.analysis.registry import recordings_of
from suite.specs.models import AnalysisSpec
from suite.specs.registry import AGENTS
from suite.training.process import configure
from suite.training.shard import LOOPS

pytestmark = pytest.mark.bench

DIAGNOSTICS = ("weight_norms", "plasticity", "propagation", "updates")
WARMUP_STEPS = 2000
BLOCK = 1000  # a tenth of what lies between two evaluations at scale short
PAIRS = 10


def test_diagnostics_cost_at_most_three_percent_of_training(benchmark: Any, tmp_path: Path) -> None:
    """DoubleDQN on Breakout, 3 seeds, with an evaluation's recordings every 1000 steps."""
    configure()
    run = planned_run("breakout--chain-ddqn--ln", budget=10_000_000, agent={"warmup_steps": 1000})
    # Two analyses may ask for the same one.
    wanted = {
        made.name: made for name in DIAGNOSTICS for made in recordings_of(AnalysisSpec(kind=name))
    }
    loops = {}
    for name, recordings in (("without", ()), ("with", tuple(wanted.values()))):
        folders = [tmp_path / name / str(seed) for seed in range(3)]
        watched = run.model_copy(update={"recordings": recordings})
        loop = LOOPS[AGENTS[run.agent.kind].loop](watched, range(3), "cpu", folders)
        loop.begin()
        loops[name] = loop
        for _ in range(WARMUP_STEPS):
            loop.advance()
    ratios: list[float] = []

    def pair() -> None:
        seconds = {}
        order = ("with", "without") if len(ratios) % 2 else ("without", "with")
        for name in order:
            started = time.perf_counter()
            for _ in range(BLOCK):
                loops[name].advance()
            loops[name].learner.observe(loops[name].step)
            loops[name].flush()
            seconds[name] = time.perf_counter() - started
        ratios.append(seconds["with"] / seconds["without"])

    benchmark.pedantic(pair, rounds=PAIRS)
    benchmark.extra_info.update(
        ratio=statistics.median(ratios), calibration_seconds=calibration_seconds()
    )
    print(f"with the recordings of {len(DIAGNOSTICS)} analyses: {statistics.median(ratios):.3f}")
    assert statistics.median(ratios) <= 1.03
