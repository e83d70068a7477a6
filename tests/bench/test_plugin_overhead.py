"""What plug-ins cost, as ratios of interleaved pairs in one process."""

import statistics
import time
from typing import Any

import pytest
from calibration import calibration_seconds
from workers import planned_run, stacked

pytestmark = pytest.mark.bench

WARMUP_STEPS = 3000
BLOCK = 40
PAIRS = 60


@pytest.mark.parametrize("seeds", [3, 6])
def test_nap_costs_at_most_five_percent_over_norm_alone(benchmark: Any, seeds: int) -> None:
    """Blocks of real DQN steps with `nap_const` and `ln` in turn; median ratio of neighbours."""
    advance = {
        name: stacked(
            planned_run(
                f"breakout--chain-ddqn--{name}", budget=10_000_000, agent={"warmup_steps": 1000}
            ),
            range(seeds),
        )
        for name in ("ln", "nap_const")
    }
    for steps in advance.values():
        steps(WARMUP_STEPS)
    ratios = []

    def pair() -> None:
        seconds = {}
        order = ("ln", "nap_const") if len(ratios) % 2 else ("nap_const", "ln")
        for name in order:
            started = time.perf_counter()
            advance[name](BLOCK)
            seconds[name] = time.perf_counter() - started
        ratios.append(seconds["nap_const"] / seconds["ln"])

    benchmark.pedantic(pair, rounds=PAIRS)
    benchmark.extra_info.update(
        ratio=statistics.median(ratios), calibration_seconds=calibration_seconds()
    )
    print(f"nap over ln at {seeds} seeds: {statistics.median(ratios):.3f}")
    assert statistics.median(ratios) <= 1.05
