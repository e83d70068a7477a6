"""What recordings cost, as ratios of interleaved pairs in one process."""

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from calibration import calibration_seconds
from workers import planned_run

from suite.analysis.registry import recording, recordings_of
from suite.specs.models import AnalysisSpec, RecordingSpec, RunSpec
from suite.specs.registry import AGENTS
from suite.training.process import configure
from suite.training.shard import LOOPS

pytestmark = pytest.mark.bench

DIAGNOSTICS = ("weight_norms", "plasticity", "propagation", "updates")
WARMUP_STEPS = 2048


def test_diagnostics_cost_at_most_three_percent_of_training(benchmark: Any, tmp_path: Path) -> None:
    """DoubleDQN on Breakout, with an evaluation's recordings every 1000 steps: a tenth of what
    lies between two evaluations at scale short."""
    run = planned_run("breakout--chain-ddqn--ln", agent={"warmup_steps": 1000})
    # Two analyses may ask for the same one.
    wanted = {
        made.name: made for name in DIAGNOSTICS for made in recordings_of(AnalysisSpec(kind=name))
    }
    ratio, _ = _cost(benchmark, tmp_path, run, tuple(wanted.values()), block=1000, pairs=10)
    assert ratio <= 1.03


@pytest.mark.parametrize(
    ("cell", "preset", "settings", "block", "pairs"),
    [
        ("breakout--chain-ddqn--none", "chain-ddqn", {"warmup_steps": 1000}, 5000, 3),
        ("halfcheetah--td3-official--none", "td3-official", {"warmup_steps": 1000}, 500, 4),
        ("halfcheetah--td3-official--none", "sac-mujoco", {"warmup_steps": 1000}, 500, 4),
        ("halfcheetah--ppo-sb3-default--none", "ppo-sb3-default", {}, 2048, 5),
    ],
    ids=["dqn", "td3", "sac", "ppo"],
)
def test_the_path_costs_at_most_two_percent_of_training(
    cell: str,
    preset: str,
    settings: dict[str, int],
    block: int,
    pairs: int,
    benchmark: Any,
    tmp_path: Path,
) -> None:
    """A snapshot every 25 updates of the policy (PPTB paper App. C), a flush at the end of a block:
    about as often as a run of that length writes a checkpoint.

    Held to the bound is the time within the recording. Pairs, which also have what it takes from
    the processor's caches, scatter by more than the bound.
    """
    run = planned_run(cell, preset, agent=settings)
    every = (recording("path", {"every": 25}),)
    _, share = _cost(benchmark, tmp_path, run, every, block, pairs)
    assert share <= 0.02


def _cost(
    benchmark: Any,
    tmp_path: Path,
    run: RunSpec,
    recordings: Sequence[RecordingSpec],
    block: int,
    pairs: int,
) -> tuple[float, float]:
    """Training with recordings over training without them, the median of interleaved pairs of
    `block` steps of 3 seeds each; and the recordings' own share of the time.

    Each block ends with an evaluation's recordings and a flush.
    """
    configure()
    loops = {}
    for name, made in (("without", ()), ("with", tuple(recordings))):
        folders = [tmp_path / name / str(seed) for seed in range(3)]
        watched = run.model_copy(update={"budget": 10_000_000, "recordings": made})
        loop = LOOPS[AGENTS[run.agent.kind].loop](watched, range(3), "cpu", folders)
        loop.begin()
        loops[name] = loop
        for _ in range(WARMUP_STEPS):
            loop.advance()
    ratios: list[float] = []
    spent = {"with": 0.0, "without": 0.0}
    before = _recording(loops["with"])

    def pair() -> None:
        seconds = {}
        order = ("with", "without") if len(ratios) % 2 else ("without", "with")
        for name in order:
            started = time.perf_counter()
            for _ in range(block):
                loops[name].advance()
            loops[name].learner.observe(loops[name].step)
            loops[name].flush()
            seconds[name] = time.perf_counter() - started
            spent[name] += seconds[name]
        ratios.append(seconds["with"] / seconds["without"])

    benchmark.pedantic(pair, rounds=pairs)
    ratio, share = statistics.median(ratios), (_recording(loops["with"]) - before) / spent["with"]
    benchmark.extra_info.update(ratio=ratio, share=share, calibration_seconds=calibration_seconds())
    low, _, high = statistics.quantiles(ratios, n=4)
    print(f"\nmedian ratio {ratio:.4f} (quartiles {low:.4f} and {high:.4f}), share {share:.4%}")
    return ratio, share


def _recording(loop: Any) -> float:
    """Seconds within recordings so far, of all seeds."""
    parts = [loop.learner.seconds.of(seed) for seed in range(3)]
    return sum(s for part in parts for name, s in part.items() if name.startswith("recording/"))
