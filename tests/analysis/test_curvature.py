"""Products with Hessians and gradients: what they are is told by central differences of gradients
in float64, taken along the flat vector of all parameters."""

from functools import cache

import numpy as np
import pytest
import torch
from agents.small_agents import dqn, loss_batch, ppo, sac, saved, td3, trained
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.analysis import derivatives, perceptron_hessian
from suite.analysis.curvature import explicit_hessian, hessian_of
from suite.analysis.derivatives import AutogradHessian, converted, gradient_of
from suite.analysis.perceptron_hessian import PerceptronHessian
from suite.plugins.controls import NormOnly
from suite.stacked.layers import Linear, Network
from suite.stacked.optimisers import Adam
from suite.stacked.parameters import FlatParameters, ParameterGroup
from suite.stacked.replay import Batch
from suite.stacked.streams import SeedStreams

SEEDS = (4, 7)
SAMPLES, FEW = 70, 25
SMALL = {"hidden_units": 5}


def normed(kind):
    """What puts norms of a kind into a network."""
    settings = NormOnly.Settings(
        **NormOnly.acting | {"norm": kind, "critic_norm_last_hidden": True}
    )
    return NormOnly(settings).change_network


PERCEPTRONS = {
    "ppo-tanh": lambda seeds: ppo(seeds, (3,), 2, **SMALL),
    "ppo-relu": lambda seeds: ppo(seeds, (3,), 2, activation="relu", **SMALL),
    "ppo-discrete": lambda seeds: ppo(seeds, (4,), 3, "discrete", **SMALL),
    "ppo-discrete-relu": lambda seeds: ppo(seeds, (4,), 3, "discrete", activation="relu", **SMALL),
    "sac": lambda seeds: sac(seeds, actions=2, **SMALL),
    "td3": lambda seeds: td3(seeds, actions=2, **SMALL),
    "dqn-vector": lambda seeds: dqn(seeds, shape=(5,), actions=3, **SMALL),
    "dqn-huber": lambda seeds: dqn(seeds, shape=(5,), actions=3, loss="huber", **SMALL),
}
OTHERS = {
    "dqn-grid": lambda seeds: dqn(
        seeds, shape=(5, 4, 2), actions=3, convolution_filters=2, **SMALL
    ),
    "ppo-layer-norm": lambda seeds: ppo(seeds, change_network=normed("layer"), **SMALL),
    "td3-rms-norm": lambda seeds: td3(seeds, change_network=normed("rms"), **SMALL),
}
GROUPS = {"ppo": ("actor", "critic"), "sac": ("actor", "critic"), "td3": ("actor", "critic")}


def losses_of(agents):
    return [
        (name, group) for name in agents for group in GROUPS.get(name.partition("-")[0], ("q",))
    ]


@cache
def built(name, seeds=SEEDS):
    """An agent that has learned, moved away from where a bias of 0 leaves units at their kink."""
    agent = trained((PERCEPTRONS | OTHERS)[name](seeds), seeds, 6)
    for group in agent.groups.values():
        for part, leaf in group.parameters.leaves.items():
            drawn = SeedStreams(seeds, f"test/{group.name}/{part}").normal(
                group.network.copies, *leaf.shape[1:]
            )
            leaf.detach().add_(torch.from_numpy(drawn).view(leaf.shape), alpha=0.1)
    return agent


def problem(name, group, seeds=SEEDS, size=SAMPLES):
    """A group of a small agent with its loss and a batch."""
    agent = built(name, seeds)
    return agent.groups[group], agent.losses()[group], loss_batch(agent, seeds, 50, size)


def directions(group, count, purpose="directions"):
    """Random vectors [G, n, count] in float64."""
    networks = group.parameters.flat.shape[0] * group.network.copies
    size = group.network.parameter_slices()[-1].stop
    drawn = SeedStreams([0], f"test/{purpose}").normal(networks, size, count)[0]
    return torch.from_numpy(drawn).double()


def gradient_at(group, loss, batch, flat):
    """The gradient [G, n] at parameters [S, m] in float64, without the padding of networks."""
    flat = flat.clone().requires_grad_()
    value = loss(group.parameters.with_flat(flat), converted(batch, torch.float64)).sum()
    (gradient,) = torch.autograd.grad(value, flat)
    rows = gradient.view(-1, group.network.row_length())
    return rows[:, : group.network.parameter_slices()[-1].stop]


def differences(group, loss, batch, vectors, step=2e-7):
    """Hessian times vectors [G, n, b] by central differences of fourth order; the step is small so
    that no unit crosses its kink."""
    flat = group.parameters.flat.detach().double()
    columns = []
    for j in range(vectors.shape[2]):
        rows = torch.zeros(len(vectors), group.network.row_length(), dtype=torch.float64)
        rows[:, : vectors.shape[1]] = vectors[:, :, j]
        along = rows.view(flat.shape)
        near, far = (
            gradient_at(group, loss, batch, flat + h * along)
            - gradient_at(group, loss, batch, flat - h * along)
            for h in (step, 2 * step)
        )
        columns.append((8 * near - far) / (12 * step))
    return torch.stack(columns, dim=2)


def assert_close(found, expected, tolerance=1e-8):
    """Equal to within a share of the largest number expected."""
    assert found.shape == expected.shape
    assert expected.abs().max() > 0
    error = (found.double() - expected.double()).abs().max() / expected.abs().max()
    assert error < tolerance, f"relative error {error:.2e}"


@pytest.mark.parametrize(("name", "group"), losses_of(PERCEPTRONS))
def test_products_by_hand_and_by_autograd_are_central_differences_of_gradients(name, group):
    chosen, loss, batch = problem(name, group, size=FEW)
    vectors = directions(chosen, 3)
    by_hand = hessian_of(chosen, loss, batch, torch.float64)
    assert isinstance(by_hand, PerceptronHessian)
    found = by_hand.products(vectors)
    assert found.dtype == torch.float64
    assert_close(found, differences(chosen, loss, batch, vectors))
    by_autograd = AutogradHessian(chosen, loss, batch, torch.float64)
    assert_close(found, by_autograd.products(vectors), 1e-12)


@pytest.mark.parametrize(("name", "group"), losses_of(OTHERS))
def test_products_for_other_networks_are_central_differences_of_gradients(name, group):
    chosen, loss, batch = problem(name, group, size=FEW)
    vectors = directions(chosen, 2)
    hessian = hessian_of(chosen, loss, batch, torch.float64)
    assert isinstance(hessian, AutogradHessian)
    assert_close(hessian.products(vectors), differences(chosen, loss, batch, vectors))


@pytest.mark.parametrize(("name", "group"), losses_of(PERCEPTRONS | OTHERS))
def test_a_gradient_has_the_derivatives_of_the_loss_in_the_order_of_slices(name, group):
    chosen, loss, batch = problem(name, group)
    found = gradient_of(chosen, loss, batch, torch.float64)
    flat = chosen.parameters.flat.detach().double()
    assert_close(found, gradient_at(chosen, loss, batch, flat), 1e-12)
    assert_close(gradient_of(chosen, loss, batch), found, 1e-5)


@pytest.mark.parametrize(
    ("name", "group"), [*losses_of(PERCEPTRONS), ("dqn-grid", "q"), ("ppo-layer-norm", "actor")]
)
def test_products_in_float32_are_close_to_those_in_float64(name, group):
    chosen, loss, batch = problem(name, group)
    vectors = directions(chosen, 2)
    found = hessian_of(chosen, loss, batch).products(vectors.float())
    assert found.dtype == torch.float32
    assert_close(found, hessian_of(chosen, loss, batch, torch.float64).products(vectors), 1e-4)


@pytest.mark.parametrize("kind", [PerceptronHessian, AutogradHessian])
@pytest.mark.parametrize("group", ["actor", "critic"])
@pytest.mark.parametrize("name", ["ppo-tanh", "sac"])
def test_chunks_change_nothing(name, group, kind, monkeypatch):
    chosen, loss, batch = problem(name, group)
    vectors = directions(chosen, 3)
    whole = kind(chosen, loss, batch, torch.float64).products(vectors)
    gradient = gradient_of(chosen, loss, batch, torch.float64)
    monkeypatch.setattr(derivatives, "CHUNK", 9)
    monkeypatch.setattr(perceptron_hessian, "OUTPUT_CHUNK", 8)
    monkeypatch.setattr(perceptron_hessian, "CACHED", 1)
    assert_close(kind(chosen, loss, batch, torch.float64).products(vectors), whole, 1e-13)
    assert_close(gradient_of(chosen, loss, batch, torch.float64), gradient, 1e-13)


@pytest.mark.parametrize("kind", [PerceptronHessian, AutogradHessian])
@pytest.mark.parametrize(("name", "group"), [("ppo-tanh", "actor"), ("sac", "critic")])
def test_the_block_of_a_seed_does_not_depend_on_its_companions(name, group, kind):
    together = kind(*problem(name, group))
    alone = kind(*problem(name, group, seeds=(7,)))
    copies = alone.networks
    vectors = directions(problem(name, group)[0], 3).float()
    found = together.products(vectors)[copies:]
    torch.testing.assert_close(found, alone.products(vectors[copies:]), rtol=0, atol=0)
    assert not torch.allclose(found, together.products(vectors)[:copies])


@pytest.mark.parametrize("kind", [PerceptronHessian, AutogradHessian])
def test_each_vector_of_several_has_the_product_that_it_has_alone(kind):
    chosen, loss, batch = problem("td3", "critic")
    hessian = kind(chosen, loss, batch, torch.float64)
    vectors = directions(chosen, 4)
    together = hessian.products(vectors)
    for j in range(4):
        assert_close(together[:, :, j : j + 1], hessian.products(vectors[:, :, j : j + 1]), 1e-13)


@pytest.mark.parametrize(("name", "group"), [*losses_of(PERCEPTRONS), ("dqn-grid", "q")])
def test_blocks_are_symmetric(name, group):
    hessian = hessian_of(*problem(name, group), torch.float64)
    unit = torch.eye(hessian.size, dtype=torch.float64).expand(hessian.networks, -1, -1)
    columns = hessian.products(unit)
    assert_close(columns, columns.mT, 1e-10)
    assert_close(explicit_hessian(hessian, block=7), columns, 1e-10)
    assert torch.equal(explicit_hessian(hessian), explicit_hessian(hessian).mT)


@cache
def _hessian(name, group):
    return hessian_of(*problem(name, group), torch.float64)


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from([("ppo-tanh", "actor"), ("sac", "actor"), ("dqn-grid", "q")]),
    st.integers(0, 1000),
    st.floats(-100, 100),
    st.floats(-100, 100),
)
def test_products_are_linear(case, seed, a, b):
    hessian = _hessian(*case)
    one, other = (directions(problem(*case)[0], 1, f"{seed}/{i}") for i in range(2))
    parts = a * hessian.products(one), b * hessian.products(other)
    slack = 1e-10 * max(1.0, *(float(part.abs().max()) for part in parts))
    whole = hessian.products(a * one + b * other)
    torch.testing.assert_close(whole, sum(parts), rtol=0, atol=slack)


def group_of(network, seeds=(0,)):
    parameters = FlatParameters.initialise(network, seeds, network.name)
    return ParameterGroup(network.name, parameters, Adam(parameters.flat, 1e-3, (0.9, 0.999), 1e-8))


def batch_of(observation):
    """A batch of nothing but observations [S, B, i]."""
    zeros = torch.zeros(observation.shape[:2])
    return Batch(observation, zeros, zeros, observation, zeros)


@pytest.mark.parametrize("kind", [PerceptronHessian, AutogradHessian])
def test_a_linear_network_of_two_layers_has_the_hessian_that_follows_on_paper(kind):
    # L = 2 out_0 + 3 out_1 for x = (11, 12, 13): dL / dV_kh dW_ho = x_k c_o, and nothing else.
    layers = (Linear("first", 3, 4, bias=False), Linear("second", 4, 2, bias=False))
    group = group_of(Network("linear", "critic", layers, (3,)))
    x, c = torch.tensor([11.0, 12.0, 13.0]), torch.tensor([2.0, 3.0])

    def loss(parameters, batch):
        out = group.network.forward(parameters, batch.observation)
        return (out * c.to(out.dtype)).sum(dim=2).mean(dim=1)

    hessian = kind(group, loss, batch_of(x.expand(1, 5, 3)), torch.float64)
    expected = torch.zeros(20, 20, dtype=torch.float64)
    for j in range(3):
        for h in range(4):
            for o in range(2):
                first, second = 4 * j + h, 12 + 2 * h + o
                expected[first, second] = expected[second, first] = float(x[j] * c[o])
    torch.testing.assert_close(explicit_hessian(hessian)[0], expected, rtol=1e-14, atol=1e-12)


COUPLED = {
    "samples": lambda q: q.square().mean(dim=(1, 2)) + q[:, 0, 0] * q[:, -1, 0],
    "samples, by their mean": lambda q: q.mean(dim=(1, 2)).square(),
    "networks": lambda q: q.square().mean(dim=(1, 2)) + q.prod(dim=0).mean(),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("what", COUPLED)
def test_a_loss_that_couples_samples_or_networks_is_refused(what, dtype):
    chosen, _, batch = problem("ppo-tanh", "critic", size=8)

    def loss(parameters, batch):
        return COUPLED[what](chosen.network.forward(parameters, batch.observation))

    with pytest.raises(ValueError, match="depends on the outputs for others, or of another net"):
        PerceptronHessian(chosen, loss, batch, dtype)


def test_a_loss_that_passes_the_network_twice_or_never_is_refused():
    chosen, loss, batch = problem("ppo-tanh", "critic", size=8)
    with pytest.raises(ValueError, match="the loss passes network 'critic' twice"):
        PerceptronHessian(chosen, lambda p, b: loss(p, b) + loss(p, b), batch)
    with pytest.raises(ValueError, match="does not depend on the group's network"):
        PerceptronHessian(chosen, lambda p, b: b.advantage.mean(dim=1), batch)


def test_without_an_entropy_bonus_a_constant_still_has_its_second_derivatives():
    agent = trained(ppo(SEEDS, (3,), 2, entropy_coefficient=0.0, **SMALL), SEEDS, 6)
    group, loss = agent.groups["actor"], agent.losses()["actor"]
    batch = loss_batch(agent, SEEDS, 50, SAMPLES)
    vectors = directions(group, 1)
    constants = slice(group.network.parameter_slices()[-1].start, None)
    vectors[:, : constants.start] = 0
    found = hessian_of(group, loss, batch, torch.float64).products(vectors)
    assert_close(found, differences(group, loss, batch, vectors))
    assert found[:, constants].abs().min() > 0


@pytest.mark.parametrize("name", ["sac", "td3"])
def test_twin_critics_are_two_uncoupled_blocks_of_the_whole_hessian(name):
    chosen, loss, batch = problem(name, "critic", seeds=(7,))
    flat = chosen.parameters.flat.detach().double()
    length, size = chosen.network.row_length(), chosen.network.parameter_slices()[-1].stop

    def whole(flat):
        return loss(chosen.parameters.with_flat(flat), converted(batch, torch.float64)).sum()

    hessian = torch.autograd.functional.hessian(whole, flat).view(2 * length, 2 * length)
    blocks = explicit_hessian(hessian_of(chosen, loss, batch, torch.float64))
    assert not hessian[:length, length:].any()
    for number in range(2):
        own = slice(number * length, number * length + size)
        assert_close(blocks[number], hessian[own, own], 1e-10)
    assert not torch.allclose(blocks[0], blocks[1])


@pytest.mark.parametrize("name", ["sac", "td3"])
def test_the_actor_s_loss_moves_no_other_parameter(name):
    agent = built(name)
    batch = loss_batch(agent, SEEDS, 50)
    others = [*agent.groups["critic"].parameters.leaves.values()]
    others += [*agent.groups["critic"].target.leaves.values()]
    value = agent.losses()["actor"](agent.groups["actor"].parameters.leaves, batch).sum()
    found = torch.autograd.grad(value, others, allow_unused=True, retain_graph=True)
    assert all(one is None for one in found)
    if name == "sac":
        assert not agent.temperature.value().requires_grad
    else:
        target = [*agent.groups["actor"].target.leaves.values()]
        found = torch.autograd.grad(value, target, allow_unused=True)
        assert all(one is None for one in found)


@pytest.mark.parametrize("name", ["sac", "td3"])
def test_the_critic_s_loss_moves_no_actor_target_or_temperature(name):
    agent = built(name)
    others = [*agent.groups["critic"].target.leaves.values()]
    others += [*agent.groups["actor"].parameters.leaves.values()]
    critic = agent.groups["critic"].parameters.leaves
    value = agent.losses()["critic"](critic, loss_batch(agent, SEEDS, 50)).sum()
    found = torch.autograd.grad(value, others, allow_unused=True)
    assert all(one is None for one in found)


@pytest.mark.parametrize(("name", "used"), [("sac", (True, True)), ("td3", (True, False))])
def test_the_actor_s_gradient_goes_through_the_critics_that_its_loss_names(name, used):
    agent = trained(PERCEPTRONS[name](SEEDS), SEEDS, 6)
    group, loss = agent.groups["actor"], agent.losses()["actor"]
    batch = loss_batch(agent, SEEDS, 50)
    before = gradient_of(group, loss, batch)
    critic = agent.groups["critic"].parameters
    for copy, matters in enumerate(used):
        kept = critic.flat.clone()
        leaf = critic.leaves["output.weight"].detach()
        leaf[copy::2] += 1.0
        changed = gradient_of(group, loss, batch)
        critic.flat.copy_(kept)
        assert torch.equal(before, changed) is not matters, f"q{copy + 1}"


def test_sac_s_actor_gradient_is_that_of_the_entropy_and_of_q_added():
    agent = built("sac")
    group, batch = agent.groups["actor"], loss_batch(agent, SEEDS, 50)
    whole = gradient_of(group, agent.losses()["actor"], batch, torch.float64)

    def entropy(parameters, batch):
        _, log_prob = agent.sample(parameters, batch.observation, batch.noise)
        return (agent.temperature.value() * log_prob).mean(dim=1)

    def through_q(parameters, batch):
        action, _ = agent.sample(parameters, batch.observation, batch.noise)
        critic = {k: v.detach() for k, v in agent.groups["critic"].parameters.leaves.items()}
        return -agent.q(critic, batch.observation, action).amin(dim=1).mean(dim=1)

    parts = [gradient_of(group, one, batch, torch.float64) for one in (entropy, through_q)]
    assert_close(whole, parts[0] + parts[1], 1e-12)
    assert parts[1].any(dim=1).all()


def test_a_scaled_loss_scales_gradient_and_hessian():
    agent = built("ppo-tanh")
    group, batch = agent.groups["critic"], loss_batch(agent, SEEDS, 50)
    loss = agent.losses()["critic"]
    vectors = directions(group, 2)

    def triple(parameters, batch):
        return 3 * loss(parameters, batch)

    for find in (
        lambda f: gradient_of(group, f, batch, torch.float64),
        lambda f: hessian_of(group, f, batch, torch.float64).products(vectors),
    ):
        assert_close(find(triple), 3 * find(loss), 1e-13)


def test_conversion_leaves_what_is_no_floating_point_number():
    agent = built("dqn-vector")
    batch = loss_batch(agent, SEEDS, 50)
    found = converted(batch, torch.float64)
    assert found.observation.dtype == found.reward.dtype == torch.float64
    assert found.action.dtype == torch.int64 and found.noise is None
    assert batch.observation.dtype == torch.float32


def test_an_agent_is_left_as_it_was():
    agent = built("sac")
    before = saved(agent)
    for name, loss in agent.losses().items():
        batch = loss_batch(agent, SEEDS, 50)
        gradient_of(agent.groups[name], loss, batch)
        explicit_hessian(hessian_of(agent.groups[name], loss, batch))
    after = saved(agent)
    assert after.keys() == before.keys()
    for name, value in before.items():
        np.testing.assert_array_equal(np.asarray(after[name]), np.asarray(value), err_msg=name)
