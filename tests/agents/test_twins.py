"""Twins: a projected network follows the free one as far as its steps are matched."""

import numpy as np
import pytest
import torch

from agents.small_agents import CLASSIFIER_SETTINGS
from baselines.twins import Twins
from suite.stacked.replay import Batch
from suite.stacked.spaces import ActionSpec

INPUTS, LABELS = 16, 4


def twins(optimiser, matching, rescale_gradients=True, seeds=(0, 1)):
    own = dict(optimiser=optimiser, matching=matching, rescale_gradients=rescale_gradients)
    rate = 0.5 if optimiser == "sgd" else 3e-3
    settings = Twins.Settings(**(CLASSIFIER_SETTINGS | own | {"learning_rate": rate}))
    return Twins(settings, (INPUTS,), ActionSpec("labels", LABELS), seeds, lambda network: network)


def gaps(agent, steps=500):
    """The distance of the losses over the free one's, [steps, S]."""
    draw = np.random.default_rng(0)
    inputs = draw.standard_normal((2, 128, INPUTS), dtype=np.float32)
    labels = draw.integers(LABELS, size=(2, 128))
    found = []
    for _ in range(steps):
        chosen = draw.integers(128, size=32)
        x, y = torch.tensor(inputs[:, chosen]), torch.tensor(labels[:, chosen])
        agent.update(Batch(x, y, torch.zeros(2, 32), x, torch.zeros(2, 32)))
        projected, free = (agent.groups[name].loss for name in ("classifier", "free"))
        found.append(((projected - free).abs() / free).numpy())
    return np.array(found)


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_matched_layer_by_layer_the_projected_network_is_the_free_one(optimiser):
    """What is left is rounding, which grows with training; norms grow meanwhile."""
    agent = twins(optimiser, "layer")
    agent.groups["classifier"].optimiser.eps = agent.groups["free"].optimiser.eps = 1e-16
    assert gaps(agent).max() < 1e-12
    assert (agent._norms("free") / agent.radius).max() > 1.02


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_one_factor_for_all_follows_less_well_and_none_least(optimiser):
    layer, together, none = (gaps(twins(optimiser, m)).mean() for m in ("layer", "global", "none"))
    assert 10 * layer < together < none


def test_matching_step_sizes_alone_does_not_match_adams_moments():
    assert gaps(twins("adam", "layer", rescale_gradients=False)).mean() > 1e-3


def test_only_weights_before_a_norm_are_projected_and_they_keep_their_norms():
    agent = twins("adam", "none")
    start = agent.radius.clone()
    gaps(agent, 50)
    assert [part.name for part in agent.projected] == [
        f"hidden{number}.weight" for number in range(1, len(agent.projected) + 1)
    ]
    torch.testing.assert_close(agent._norms("classifier"), start, rtol=1e-12, atol=0)
    output = next(x for x in agent.groups["free"].parameters.slices if x.layer == "output")
    moved = agent._columns("classifier", output).norm(dim=1)
    assert (moved != twins("adam", "none")._columns("classifier", output).norm(dim=1)).all()
