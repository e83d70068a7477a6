"""The losses that a run records."""

import numpy as np
import pytest

from suite.conformance.small_runs import small_runs
from suite.specs.registry import AGENTS
from suite.stacked.parameters import ParameterGroup
from suite.training.losses import Losses
from suite.training.shard import LOOPS

TRAINED = {
    "td3": {"actor", "critic"},
    "cloning": {"clone"},
    "sac": {"actor", "critic"},
    "rad": {"actor", "critic"},
    "dqn": {"q"},
    "ppo": {"actor", "critic"},
    "classifier": {"classifier"},
}


@pytest.mark.parametrize("kind", TRAINED)
def test_the_losses_of_a_group_are_averaged_from_evaluation_to_evaluation(kind, monkeypatch):
    stepped_on = {name: [] for name in TRAINED[kind]}
    descend = ParameterGroup.descend

    def watched(group, gradient, loss):
        if loss is not None and group.name in stepped_on:  # a teacher's are not recorded
            stepped_on[group.name].append(loss.detach().double().numpy())
        descend(group, gradient, loss)

    monkeypatch.setattr(ParameterGroup, "descend", watched)
    run = small_runs(kind, [0])[0]
    loop = LOOPS[AGENTS[kind].loop](run, (0, 1), "cpu")
    loop.evaluate()
    expected = {name: [] for name in stepped_on}
    for moment in (48, 80):
        while loop.step < moment:
            loop.advance()
        loop.evaluate()
        for name, losses in stepped_on.items():
            expected[name].append(np.mean(losses, axis=0))
            losses.clear()
    for i in range(2):
        series = {n: s for n, s in loop.series.of(i).items() if n.startswith("loss/")}
        assert set(series) == {f"loss/{name}" for name in TRAINED[kind]}
        for name, means in expected.items():
            assert series[f"loss/{name}"]["step"] == [48, 80]
            values = [mean[i] for mean in means]
            np.testing.assert_allclose(series[f"loss/{name}"]["value"], values, rtol=1e-12)


def test_losses_go_on_where_their_state_was_taken():
    loop = LOOPS["off_policy"](small_runs("td3", [0])[0], (0, 1), "cpu")
    while loop.step < 45:
        loop.advance()
    resumed = Losses(2)
    resumed.load_state(loop.learner.losses.state())
    loop.advance()
    resumed.add(loop.agent.groups)
    expected, found = loop.learner.losses.take(), resumed.take()
    assert expected.keys() == found.keys()
    for name, mean in expected.items():
        assert np.array_equal(mean, found[name])
    assert resumed.take() == {}
