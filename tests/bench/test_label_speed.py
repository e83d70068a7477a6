"""Random labels with stacked seeds, on one core."""

import statistics
from typing import Any

import pytest
from calibration import calibration_seconds
from workers import Side, planned_run, stacked

pytestmark = pytest.mark.bench

SEEDS = 10
STEPS = 600
ROUNDS = 7
RELABELLINGS = 200 * 300  # steps


@pytest.mark.parametrize("plugins", ["none", "nap"])
def test_ten_stacked_seeds_relabel_two_hundred_times_within_ten_minutes(
    benchmark: Any, plugins: str
) -> None:
    """And three times as fast, a seed, as one seed alone; both in one process, in turns."""
    run = planned_run(f"random_labels--mlp-lr3e-3--{plugins}", budget=10**6 * 300)
    alone = Side(stacked, [(run, (0,))], STEPS)
    together = Side(stacked, [(run, tuple(range(SEEDS)))], STEPS)
    try:
        lone_seconds: list[float] = []

        def lone_turn() -> None:
            lone_seconds.append(alone.seconds(STEPS))

        benchmark.pedantic(together.seconds, args=(STEPS,), setup=lone_turn, rounds=ROUNDS)
    finally:
        together.close()
        alone.close()
    seconds = benchmark.stats.stats.data
    ratio = statistics.median(SEEDS * a / b for a, b in zip(lone_seconds, seconds, strict=True))
    whole = statistics.median(seconds) * RELABELLINGS / STEPS
    benchmark.extra_info.update(
        ratio=ratio, seconds_of_all=whole, calibration_seconds=calibration_seconds()
    )
    print(f"{plugins}: {SEEDS} seeds, 200 relabellings in {whole:.0f} s, {ratio:.1f} x a seed")
    assert whole < 600
    assert ratio >= 3
