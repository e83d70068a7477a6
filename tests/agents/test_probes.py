"""Each agent finds the values of tasks whose values are known."""

import numpy as np
import pytest

from agents.probes import AGENTS, PROBES, greedy, play, values

UPDATES = 500


@pytest.mark.parametrize("kind", AGENTS)
@pytest.mark.parametrize("name", PROBES)
def test_values_are_found(kind, name):
    agent, probe = AGENTS[kind](), PROBES[name]
    play(agent, probe, UPDATES)
    expected = np.broadcast_to(probe.value, (2, 2))
    np.testing.assert_allclose(values(agent), expected, atol=0.12)
    if name == "action":
        np.testing.assert_allclose(greedy(agent), [[-1.0, 1.0]] * 2, atol=0.2)


@pytest.mark.parametrize("kind", AGENTS)
def test_bootstrapping_is_from_the_target_network(kind):
    """A target that stays at zero leaves the reward alone."""
    frozen = {"target_update_interval": 10**6} if kind == "dqn" else {"tau": 0.0}
    agent = AGENTS[kind](**frozen)
    for group in agent.groups.values():
        if group.target is not None:
            group.target.flat.zero_()
    play(agent, PROBES["truncated"], UPDATES)
    np.testing.assert_allclose(values(agent), np.ones((2, 2)), atol=0.12)
