"""Environment steps per second over 6 stacked seeds on all cores, against two SB3 processes and
against what the machine's products alone would allow."""

import statistics
from typing import Any

import pytest
from calibration import calibration_seconds
from machine_limit import multiply, operations_a_second, operations_of_a_step
from workers import ROOT, Side, peer, planned_run, stacked

from suite.specs.loading import load_project
from suite.specs.models import RunSpec
from suite.specs.registry import AGENTS
from suite.training.shard import LOOPS

pytestmark = pytest.mark.bench

WARMUP_STEPS = 20_480  # whole rollouts of PPO
ROUNDS = 5
PRODUCTS = 2000  # in a turn of the machine's own rate


@pytest.mark.parametrize(
    ("algorithm", "cell", "agent", "steps", "at_least"),
    [
        (
            "dqn",
            "breakout--chain-ddqn--none",
            {
                "replay_capacity": 100_000,
                "epsilon_decay_steps": 100_000,
                "double": False,
                "loss": "huber",
            },
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
    agent: dict[str, Any],
    steps: int,
    at_least: float,
) -> None:
    preset = "sac-mujoco" if algorithm == "sac" else None
    run = planned_run(cell, preset, budget=10_000_000, agent={"warmup_steps": 1000, **agent})
    measure(benchmark, run, algorithm, steps, at_least)


def test_six_stacked_seeds_of_ppo_outrun_two_sb3_processes(benchmark: Any) -> None:
    """Whole rollouts of 2048 steps with their update phases."""
    project = load_project(ROOT)
    run = RunSpec(
        task=project.tasks["halfcheetah"],
        agent=project.agents["ppo-sb3-default"],
        seed=0,
        budget=10_240_000,
        evaluate_every=10_240_000,
        evaluation_episodes=0,
    )
    measure(benchmark, run, "ppo", 2048, 4.0)


def measure(benchmark: Any, run: RunSpec, algorithm: str, steps: int, at_least: float) -> None:
    """Both sides train for real to step 20 480 on one environment, then take turns of `steps`."""
    theirs = Side(peer, [(run, algorithm, 0), (run, algorithm, 1)], WARMUP_STEPS)
    ours = Side(stacked, [(run, (0, 1, 2)), (run, (3, 4, 5))], WARMUP_STEPS)
    machine = Side(multiply, [(), ()], PRODUCTS)
    agent = LOOPS[AGENTS[run.agent.kind].loop](run, (0,), "cpu").learner.agent
    try:
        their_rates = []
        limits = []

        def their_turn() -> None:
            their_rates.append(2 * steps / theirs.seconds(steps))
            rate = operations_a_second(machine.seconds(PRODUCTS), PRODUCTS, 2)
            limits.append(rate / operations_of_a_step(agent))

        benchmark.pedantic(ours.seconds, args=(steps,), setup=their_turn, rounds=ROUNDS)
    finally:
        for side in (ours, theirs, machine):
            side.close()
    our_rates = [6 * steps / seconds for seconds in benchmark.stats.stats.data]
    ratios = [a / b for a, b in zip(our_rates, their_rates, strict=True)]
    shares = [a / b for a, b in zip(our_rates, limits, strict=True)]
    benchmark.extra_info.update(
        updates_per_second=statistics.median(our_rates),
        sb3_updates_per_second=statistics.median(their_rates),
        ratio=statistics.median(ratios),
        ratios=ratios,
        share_of_the_machine=statistics.median(shares),
        shares=shares,
        calibration_seconds=calibration_seconds(),
    )
    print(f"{algorithm}: {benchmark.extra_info}")
    assert statistics.median(ratios) >= at_least
