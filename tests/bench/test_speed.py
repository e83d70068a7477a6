"""Updates per second summed over 6 stacked seeds on all cores, against two SB3 processes."""

import statistics
from typing import Any

import pytest
from workers import Side, peer, planned_run, stacked

from suite.engine.calibration import calibration_seconds

pytestmark = pytest.mark.bench

WARMUP_STEPS = 20_000
ROUNDS = 5


@pytest.mark.parametrize(
    ("algorithm", "cell", "agent", "steps", "at_least"),
    [
        (
            "dqn",
            "breakout--chain-ddqn--none",
            {"replay_capacity": 100_000, "epsilon_decay_steps": 100_000, "double": False},
            1500,
            3.0,
        ),
        ("td3", "halfcheetah--td3-official--none", {"replay_capacity": 1_000_000}, 600, 1.5),
        ("sac", "halfcheetah--td3-official--none", {"replay_capacity": 1_000_000}, 600, 1.5),
    ],
    ids=["dqn-minatar", "td3-halfcheetah", "sac-halfcheetah"],
)
def test_six_stacked_seeds_outrun_two_sb3_processes(
    benchmark: Any,
    algorithm: str,
    cell: str,
    agent: dict[str, int],
    steps: int,
    at_least: float,
) -> None:
    """Both sides train for real to step 20 000 on one environment, then take turns of `steps`."""
    preset = "sac-mujoco" if algorithm == "sac" else None
    run = planned_run(cell, preset, budget=10_000_000, agent={"warmup_steps": 1000, **agent})
    theirs = Side(peer, [(run, algorithm, 0), (run, algorithm, 1)], WARMUP_STEPS)
    ours = Side(stacked, [(run, (0, 1, 2)), (run, (3, 4, 5))], WARMUP_STEPS)
    try:
        their_rates = []

        def their_turn() -> None:
            their_rates.append(2 * steps / theirs.seconds(steps))

        benchmark.pedantic(ours.seconds, args=(steps,), setup=their_turn, rounds=ROUNDS)
    finally:
        ours.close()
        theirs.close()
    our_rates = [6 * steps / seconds for seconds in benchmark.stats.stats.data]
    ratios = [a / b for a, b in zip(our_rates, their_rates, strict=True)]
    benchmark.extra_info.update(
        updates_per_second=statistics.median(our_rates),
        sb3_updates_per_second=statistics.median(their_rates),
        ratio=statistics.median(ratios),
        ratios=ratios,
        calibration_seconds=calibration_seconds(),
    )
    print(f"{algorithm}: {benchmark.extra_info}")
    assert statistics.median(ratios) >= at_least
