"""Pinned behaviour: a change of these figures is a change of the agent's VERSION."""

import pytest
import torch

from agents.small_agents import AGENTS, loss_batch, observation_shape, trained

SEEDS = [11, 12]
TRACES: dict[str, tuple[int, dict[str, list[float]]]] = {
    "td3": (
        1,
        {
            "loss/actor": [0.0777695, 0.124015],
            "norm/actor": [5.01224, 5.0663],
            "loss/critic": [3.6209, 1.4012],
            "norm/critic": [7.04726, 7.04292],
            "act": [0.15827, -0.0712512],
        },
    ),
    "td3-6-actions": (
        1,
        {
            "loss/actor": [0.158403, 0.112753],
            "norm/actor": [4.97494, 5.05653],
            "loss/critic": [1.98297, 1.13118],
            "norm/critic": [6.68773, 6.73693],
            "act": [0.0612526, 0.579534],
        },
    ),
    "cloning": (
        1,
        {
            "loss/clone": [1.01148, 1.40428],
            "norm/clone": [5.08374, 4.91122],
            "act": [0.0314882, 0.146042],
        },
    ),
    "cloning-adam": (
        1,
        {
            "loss/clone": [0.322161, 0.350129],
            "norm/clone": [4.94299, 4.91319],
            "act": [0.0169283, 0.497248],
        },
    ),
    "sac": (
        1,
        {
            "loss/actor": [-0.32612, -0.196437],
            "norm/actor": [5.02663, 5.10359],
            "loss/critic": [1.79484, 0.77327],
            "norm/critic": [7.04417, 7.03838],
            "act": [-0.33593, -0.545684],
        },
    ),
    "sac-6-actions": (
        1,
        {
            "loss/actor": [-2.16539, -1.92815],
            "norm/actor": [5.16491, 5.21816],
            "loss/critic": [3.1222, 2.3027],
            "norm/critic": [6.70501, 6.7901],
            "act": [1.52076, -0.894752],
        },
    ),
    "rad": (
        1,
        {
            "loss/convolutions": [2.03772, 1.54081],
            "norm/convolutions": [5.66205, 5.65817],
            "loss/critic_features": [2.03772, 1.54081],
            "norm/critic_features": [5.64538, 5.65941],
            "loss/critic": [2.03772, 1.54081],
            "norm/critic": [9.99112, 10.0086],
            "loss/actor_features": [0.0440045, 0.902865],
            "norm/actor_features": [5.66541, 5.65485],
            "loss/actor": [0.0440045, 0.902865],
            "norm/actor": [7.07835, 7.06398],
            "act": [-0.179304, -0.201556],
        },
    ),
    "rad-translate": (
        1,
        {
            "loss/convolutions": [2.81559, 3.91047],
            "norm/convolutions": [5.47689, 5.47515],
            "loss/critic_features": [2.81559, 3.91047],
            "norm/critic_features": [5.66633, 5.68229],
            "loss/critic": [2.81559, 3.91047],
            "norm/critic": [10.4992, 10.524],
            "loss/actor_features": [2.22391, 2.86022],
            "norm/actor_features": [5.65461, 5.65101],
            "loss/actor": [2.22391, 2.86022],
            "norm/actor": [7.74823, 7.73042],
            "act": [-1.27719, -2.70098],
        },
    ),
    "dqn": (1, {"loss/q": [0.815667, 1.16689], "norm/q": [4.3028, 4.35098], "act": [3.0, 5.0]}),
    "dqn-6-channels": (
        1,
        {"loss/q": [0.570651, 0.96465], "norm/q": [4.31041, 4.35032], "act": [3.0, 5.0]},
    ),
    "dqn-official": (
        1,
        {"loss/q": [0.392632, 0.516957], "norm/q": [4.23972, 4.28576], "act": [3.0, 5.0]},
    ),
    "dqn-vector": (
        1,
        {"loss/q": [1.15858, 0.744394], "norm/q": [3.8495, 3.78025], "act": [1.0, 2.0]},
    ),
    "ppo": (
        1,
        {
            "loss/actor": [0.378621, 0.132038],
            "norm/actor": [8.37935, 8.38233],
            "loss/critic": [1.14866, 1.28228],
            "norm/critic": [8.41389, 8.42579],
            "act": [-0.00792425, 0.0642406],
        },
    ),
    "ppo-6-actions": (
        1,
        {
            "loss/actor": [0.271451, 0.234788],
            "norm/actor": [9.97248, 9.97154],
            "loss/critic": [0.56699, 0.953128],
            "norm/critic": [9.94291, 9.94216],
            "act": [-1.20478, 1.30257],
        },
    ),
    "ppo-relu": (
        1,
        {
            "loss/actor": [0.249327, 0.241206],
            "norm/actor": [4.9204, 5.01392],
            "loss/critic": [0.190829, 0.512146],
            "norm/critic": [4.71138, 4.80625],
            "act": [-1.00115, 0.805059],
        },
    ),
    "ppo-discrete": (
        1,
        {
            "loss/actor": [0.00156077, -0.028596],
            "norm/actor": [8.6145, 8.60235],
            "loss/critic": [0.823828, 0.217927],
            "norm/critic": [8.65165, 8.65007],
            "act": [4.0, 4.0],
        },
    ),
    "ppo-images": (
        1,
        {
            "loss/actor": [0.136794, 0.136326],
            "norm/actor": [9.80458, 9.8036],
            "loss/critic": [1.06914, 0.891422],
            "norm/critic": [9.86838, 9.86683],
            "act": [0.0, 0.0],
        },
    ),
    "classifier": (
        1,
        {"loss/classifier": [2.45453, 2.72115], "norm/classifier": [20.0705, 20.1374]},
    ),
}


def figures(kind: str) -> tuple[int, dict[str, list[float]]]:
    agent = trained(AGENTS[kind](SEEDS), SEEDS, 12)
    batch = loss_batch(agent, SEEDS, 100)
    values = {}
    for name, loss in agent.losses().items():
        parameters = agent.groups[name].parameters
        values[f"loss/{name}"] = loss(parameters.leaves, batch).tolist()
        values[f"norm/{name}"] = parameters.flat.norm(dim=1).tolist()
    if agent.loop == "off_policy":
        shape = observation_shape(agent)
        action = agent.act(torch.ones(2, *shape).numpy(), 1000)
        values["act"] = action.reshape(2, -1).sum(1).tolist()
    if agent.loop == "on_policy":
        shape = agent.groups[agent.policy].network.input_shape
        action = agent.act(torch.ones(2, agent.settings.n_envs, *shape).numpy())
        values["act"] = action.reshape(2, -1).sum(1).tolist()
    return agent.VERSION, values


@pytest.mark.parametrize("kind", AGENTS)
def test_the_trace_is_the_pinned_one(kind):
    version, values = figures(kind)
    pinned_version, pinned = TRACES[kind]
    assert version == pinned_version, "pin the new version's trace"
    assert values.keys() == pinned.keys()
    for name, expected in pinned.items():
        assert values[name] == pytest.approx(expected, rel=1e-3), f"bump VERSION: {name} changed"
