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
    frozen = {
        "dqn": {"target_update_interval": 10**6},
        "rad": {"critic_tau": 0.0, "encoder_tau": 0.0},
    }
    agent = AGENTS[kind](**frozen.get(kind, {"tau": 0.0}))
    for group in agent.groups.values():
        if group.target is not None:
            group.target.flat.zero_()
    play(agent, PROBES["truncated"], UPDATES)
    np.testing.assert_allclose(values(agent), np.ones((2, 2)), atol=0.12)


def test_the_entropy_of_the_next_action_is_part_of_a_value():
    """Nothing but entropy to gain: the policy finds the largest one, 0.687 for the tanh of a normal
    number, and Q = 1 + 0.5 (Q + 0.687)."""
    agent = AGENTS["rad"](initial_temperature=1.0)
    play(agent, PROBES["truncated"], UPDATES)
    np.testing.assert_allclose(values(agent), np.full((2, 2), 2.687), atol=0.12)
