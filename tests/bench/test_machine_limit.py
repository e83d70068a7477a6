"""Operations of updates, counted by hand for small networks and against what agents multiply."""

from typing import Any

import pytest
from machine_limit import operations, operations_of_an_update, passed_through, trained
from workers import planned_run

from baselines.networks import mlp
from suite.specs.registry import AGENTS
from suite.stacked import perceptron, products
from suite.stacked.layers import ChannelsFirst, Convolution, Flatten, Linear, Network
from suite.training.shard import LOOPS

CONVOLUTIONAL = Network(
    "q",
    "q",
    (ChannelsFirst(), Convolution("c", 4, 16, 3), Flatten(), Linear("out", 16 * 64, 6)),
    (10, 10, 4),
)


def test_a_multilayer_perceptron_has_two_operations_a_weight_and_row() -> None:
    network = mlp("actor", "actor", 17, 2, 256, 6)
    forward = 2 * (17 * 256 + 256 * 256 + 256 * 6)
    assert operations(network) == (forward, 2 * 17 * 256)
    assert trained(network) == 3 * forward - 2 * 17 * 256
    assert passed_through(network) == 2 * forward


def test_a_convolution_has_two_operations_a_weight_and_place() -> None:
    first = 2 * 4 * 9 * 16 * 64
    assert operations(CONVOLUTIONAL) == (first + 2 * 1024 * 6, first)


@pytest.mark.parametrize(
    ("cell", "preset", "steps"),
    [
        ("halfcheetah--td3-official--none", None, 50),
        ("halfcheetah--td3-official--none", "sac-mujoco", 50),
        ("breakout--chain-ddqn--none", None, 50),
        ("halfcheetah--ppo-sb3-default--none", None, 2047),
    ],
    ids=["td3", "sac", "dqn", "ppo"],
)
def test_agents_multiply_what_their_updates_need_and_no_more(
    monkeypatch: pytest.MonkeyPatch, cell: str, preset: str | None, steps: int
) -> None:
    agent = {} if "ppo" in cell else {"warmup_steps": 40}
    run = planned_run(cell, preset, budget=10_000, agent=agent)
    loop = LOOPS[AGENTS[run.agent.kind].loop](run, (0,), "cpu")
    for _ in range(steps):
        loop.advance()
    counted = counting(monkeypatch)
    rows = 0
    update = loop.learner.update

    def counted_update(batch: Any) -> None:
        nonlocal rows
        before = counted[0]
        update(batch)
        inside.append(counted[0] - before)
        rows += batch.observation.shape[1]

    inside: list[int] = []
    loop.learner.update = counted_update
    for _ in range(2):  # TD3's actor learns in one of two
        loop.advance()
    assert sum(inside) / rows == pytest.approx(operations_of_an_update(loop.learner.agent))


def counting(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Operations of all products from now on."""
    counted, multiply = [0], products.product

    def counted_product(a: Any, b: Any, bias: Any = None) -> Any:
        counted[0] += 2 * a.shape[0] * a.shape[1] * a.shape[2] * b.shape[2]
        return multiply(a, b, bias)

    for module in (products, perceptron):
        monkeypatch.setattr(module, "product", counted_product)
    return counted
