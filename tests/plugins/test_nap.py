"""NaP: the theory behind it (T1 to T18), and checks that catch the usual mistakes."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from baselines.networks import minatar_q_network, mlp
from suite.plugins import nap
from suite.plugins.nap import (
    NaPSettings,
    NormSettings,
    Projection,
    coverage_faults,
    insert_norms,
    weights_before_norms,
)
from suite.stacked.layers import Activation, Linear, Network, Norm
from suite.stacked.parameters import FlatParameters

from .conftest import NAP, NORM

AGENTS = ["td3", "sac", "rad", "dqn", "ppo", "classifier"]
KINDS = ["layer", "rms"]


def normed(network, kind="layer", affine="none", **changes):
    return insert_norms(
        network, NormSettings(**NORM | {"norm": kind, "eps": 0.0} | changes), affine
    )


def plain(role="classifier", bias=False):
    return mlp("net", role, 6, 3, 10, 4, bias=bias)


def convolutional():
    return minatar_q_network((5, 5, 2), 3, 8, 4)


def values(network, seed=0):
    leaves = FlatParameters.initialise(network, [seed], "test").leaves
    generator = torch.Generator().manual_seed(seed)
    # Gains and offsets away from 1 and 0, so that they matter.
    return {
        name: leaf.detach().double()
        if name.endswith(("weight", "bias"))
        else leaf.detach().double()
        + 0.2 * torch.randn(leaf.shape, generator=generator, dtype=torch.float64)
        for name, leaf in leaves.items()
    }


def inputs(network, count=16, seed=1):
    generator = torch.Generator().manual_seed(seed)
    shape = (1, count, *network.input_shape)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def loss(network, parameters, seed=1):
    labels = torch.arange(16) % 4
    return F.cross_entropy(network.forward(parameters, inputs(network, seed=seed))[0], labels)


def gradients(network, parameters, function=loss, **arguments):
    leaves = {name: value.clone().requires_grad_() for name, value in parameters.items()}
    found = torch.autograd.grad(function(network, leaves, **arguments), list(leaves.values()))
    return dict(zip(leaves, found, strict=True))


def close(a, b, tolerance=1e-10):
    return bool((a - b).norm() <= tolerance * max(float(a.norm()), float(b.norm())))


CASES = [
    pytest.param(build, kind, id=f"{name}-{kind}")
    for name, build in (("mlp", plain), ("convolution", convolutional))
    for kind in KINDS
]


@pytest.mark.parametrize("make, kind", CASES)
def test_t1_outputs_do_not_depend_on_the_scale_of_a_normed_layer(make, kind):
    network = normed(make(), kind)
    parameters = values(network)
    reference = network.forward(parameters, inputs(network))
    weights = weights_before_norms(network)
    assert len(weights) == len([x for x in network.layers if isinstance(x, Norm)]) > 1
    for name in weights:
        scaled = parameters | {name: 7.0 * parameters[name]}
        assert close(network.forward(scaled, inputs(network)), reference)
    head = parameters | {"output.weight": 7.0 * parameters["output.weight"]}
    assert not close(network.forward(head, inputs(network)), reference, 1e-2)


@pytest.mark.parametrize("make, kind", CASES)
def test_t2_gradients_fall_with_the_scale_of_their_own_layer_only(make, kind):
    network = normed(make(), kind)
    parameters = values(network)
    reference = gradients(network, parameters)
    for name in weights_before_norms(network):
        found = gradients(network, parameters | {name: 3.0 * parameters[name]})
        for other, gradient in found.items():
            assert close(gradient * (3.0 if other == name else 1.0), reference[other]), other


def test_t2_a_final_norm_alone_gives_every_layer_of_a_relu_net_that_property():
    base = plain()
    layers = []
    for layer in base.layers:
        layers.append(layer)
        if isinstance(layer, Activation):
            last = len(layers)
    layers.insert(last, Norm("final_norm", "rms", (10,), "none", 0.0))
    network = replace(base, layers=tuple(layers))
    parameters = values(network)
    reference = gradients(network, parameters)
    for name in ("hidden1.weight", "hidden2.weight", "hidden3.weight"):
        found = gradients(network, parameters | {name: 3.0 * parameters[name]})
        for other, gradient in found.items():
            assert close(gradient * (3.0 if other == name else 1.0), reference[other]), other


@pytest.mark.parametrize("make, kind", CASES)
def test_t3_gradients_of_normed_layers_are_orthogonal_to_them(make, kind):
    network = normed(make(), kind)
    parameters = values(network)
    found = gradients(network, parameters)

    def cosine(name):
        weight, gradient = parameters[name], found[name]
        return abs(float((weight * gradient).sum() / (weight.norm() * gradient.norm())))

    for name in weights_before_norms(network):
        assert cosine(name) < 1e-10
    assert cosine("output.weight") > 1e-3


@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_t4_effective_learning_rate(kind, normalised):
    network = normed(plain(), kind)
    parameters = values(network)
    rate = 0.3

    def step(name, weight, learning_rate):
        gradient = gradients(network, parameters | {name: weight})[name]
        if normalised:
            gradient = gradient / gradient.norm()
        return network.forward(
            parameters | {name: weight + learning_rate * gradient}, inputs(network)
        )

    for name in weights_before_norms(network):
        weight = parameters[name] * 2.5
        length = float(weight.norm())
        effective = rate / length ** (1 if normalised else 2)
        assert close(step(name, weight / length, effective), step(name, weight, rate))


@pytest.mark.parametrize("kind", KINDS)
def test_t5_the_jacobian_of_a_norm_annihilates_its_input(kind):
    network = norm_alone(kind, 8)
    x = torch.randn(8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda h: through(network, h), x)
    assert float((jacobian @ x).norm()) < 1e-12
    assert float((jacobian @ torch.ones(8).double()).norm()) < 1e-12 or kind == "rms"


def norm_alone(kind, size, *after):
    layers = (Norm("norm", kind, (size,), "none", 0.0), *after)
    return Network("net", "classifier", layers, (size,))


def through(network, h):
    return network.forward({}, h.view(1, 1, -1))[0, 0]


def test_t6_jacobian_of_relu_behind_a_norm():
    h = torch.randn(7, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    network = norm_alone("rms", 7, Activation("relu"))
    found = torch.autograd.functional.jacobian(lambda x: through(network, x), h) / math.sqrt(7)
    length = h.norm()
    slope = (h > 0).double()
    crossed = -slope.unsqueeze(1) * torch.outer(h, h) / length**3  # Prop. 1, for i and j unequal
    off = ~torch.eye(7, dtype=torch.bool)
    assert torch.allclose(found[off], crossed[off], atol=1e-12)
    # T6b: on the diagonal Prop. 1, as printed, lacks the term of h_i itself.
    full = crossed + torch.diag(slope / length)
    assert torch.allclose(found, full, atol=1e-12)
    assert float((found - crossed).diagonal().abs().max()) > 0.1


def test_t6c_a_dead_unit_gets_gradient_through_a_norm_before_the_relu_only():
    h = torch.tensor([1.0, -0.5, 2.0, -1.0]).double()
    before = torch.autograd.functional.jacobian(
        lambda x: through(norm_alone("rms", 4, Activation("relu")), x), h
    )
    behind = Network(
        "net", "classifier", (Activation("relu"), Norm("norm", "rms", (4,), "none", 0.0)), (4,)
    )
    after = torch.autograd.functional.jacobian(lambda x: through(behind, x), h)
    for unit, dead in enumerate(h < 0):
        assert (float(before[:, unit].norm()) > 0.01) is True
        assert (float(after[:, unit].norm()) == 0.0) is bool(dead)


def test_t7_without_norms_a_layers_scale_is_every_other_layers_gradient_scale():
    network = plain()
    parameters = values(network)

    def output(net, leaves):
        return net.forward(leaves, inputs(net)).sum()

    reference = gradients(network, parameters, output)
    for name in parameters:
        found = gradients(network, parameters | {name: 3.0 * parameters[name]}, output)
        for other in parameters:
            assert close(found[other], reference[other] * (1.0 if other == name else 3.0))


@pytest.mark.parametrize("kind, same", [("rms", True), ("layer", False)])
def test_t8_rms_norms_keep_activation_patterns_and_the_largest_output(kind, same):
    base = plain()
    network = normed(base, kind)
    parameters = values(base)
    raw, scaled = {}, {}
    x = inputs(base, 200)
    outputs = base.forward(parameters, x, raw)
    normed_outputs = network.forward(parameters, x, scaled)
    patterns = [
        torch.equal(raw[f"{name}_activation"] > 0, scaled[f"{name}_activation"] > 0)
        for name in ("hidden1", "hidden2", "hidden3")
    ]
    assert all(patterns) is same
    if same:
        assert torch.equal(outputs.argmax(-1), normed_outputs.argmax(-1))
        # The scales telescope: one positive factor per input is left.
        alive = outputs[0].abs().sum(-1) > 0  # not every unit of a layer is off
        ratio = outputs[0, alive] / normed_outputs[0, alive]
        assert int(alive.sum()) > 150
        assert torch.allclose(ratio, ratio[:, :1].expand_as(ratio)) and bool((ratio > 0).all())


@pytest.mark.parametrize("kind", KINDS)
def test_t9_gain_and_offset_are_scale_free_jointly(kind):
    network = normed(plain(), kind, affine="both")
    parameters = values(network)
    names = ("hidden1_norm.gain", "hidden1_norm.offset")
    c, rate = 3.0, 0.2
    scaled = parameters | {name: c * parameters[name] for name in names}
    assert close(
        network.forward(scaled, inputs(network)), network.forward(parameters, inputs(network))
    )
    found, other = gradients(network, parameters), gradients(network, scaled)
    along = [float((parameters[name] * found[name]).sum()) for name in names]
    assert abs(sum(along)) < 1e-12 and abs(along[0]) > 1e-4
    for name in names:
        assert close(c * other[name], found[name])
    # A step of c^2 times the size restores the trajectory.
    near = parameters | {n: parameters[n] - rate * found[n] for n in names}
    far = scaled | {n: scaled[n] - c**2 * rate * other[n] for n in names}
    assert close(network.forward(far, inputs(network)), network.forward(near, inputs(network)))


def test_t9_the_last_norms_scale_is_not_free():
    network = normed(plain(), affine="both")
    parameters = values(network)
    names = ("hidden3_norm.gain", "hidden3_norm.offset")
    scaled = parameters | {name: 3.0 * parameters[name] for name in names}
    reference = network.forward(parameters, inputs(network))
    assert not close(network.forward(scaled, inputs(network)), reference, 1e-2)
    assert nap.joint_affines(network) == [
        (f"hidden{number}_norm.gain", f"hidden{number}_norm.offset") for number in (1, 2)
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_t10_a_long_input_saturates_its_norm(kind):
    network = norm_alone(kind, 8)
    generator = torch.Generator().manual_seed(0)
    x, u = torch.randn(2, 8, generator=generator, dtype=torch.float64)
    changes = [
        float((through(network, scale * x + u) - through(network, scale * x)).norm())
        for scale in (1.0, 1e2, 1e4, 1e6)
    ]
    assert all(b < a / 30 for a, b in pairwise(changes))


def test_t11_squared_norms_grow_linearly_under_normalised_gradients():
    network = normed(plain())
    parameters = values(network)
    start = {name: float(parameters[name].norm()) for name in weights_before_norms(network)}
    for _ in range(50):
        found = gradients(network, parameters)
        for name in start:
            step = 0.1 * found[name] / found[name].norm()
            parameters[name] = parameters[name] + step
    for name, norm in start.items():
        # The norm itself grows with the root of time, its square with time.
        assert float(parameters[name].norm()) ** 2 == pytest.approx(norm**2 + 50 * 0.01, rel=1e-12)


def test_t12_gradients_under_layer_norm_sum_to_zero_over_units():
    for kind, zero in (("layer", True), ("rms", False)):
        network = normed(plain(), kind)
        found = gradients(network, values(network))
        for name in weights_before_norms(network):
            total = found[name].sum(-1).norm() / found[name].norm()
            assert (float(total) < 1e-12) is zero


def twins(optimiser, steps, rescale_rate=True, rescale_gradient=True):
    """Largest relative gap between the outputs of a free net and of its projected twin."""
    network = normed(plain())
    free, projected = values(network), values(network)
    hidden = weights_before_norms(network)
    radius = {name: free[name].norm() for name in hidden}
    moments = [{n: [torch.zeros_like(v)] * 2 for n, v in free.items()} for _ in range(2)]
    gap = 0.0
    for step in range(1, steps + 1):
        ratio = {n: free[n].norm() / projected[n].norm() if n in hidden else 1.0 for n in free}
        for twin, (parameters, kept) in enumerate(zip((free, projected), moments, strict=True)):
            found = gradients(network, parameters, seed=step)
            for name, gradient in found.items():
                c = ratio[name] if twin else 1.0
                if optimiser == "sgd":
                    parameters[name] = parameters[name] - 0.5 / c**2 * gradient
                    continue
                g = gradient / c if rescale_gradient else gradient
                mean = 0.9 * kept[name][0] + 0.1 * g
                square = 0.999 * kept[name][1] + 0.001 * g**2
                kept[name] = [mean, square]
                direction = (mean / (1 - 0.9**step)) / ((square / (1 - 0.999**step)).sqrt() + 1e-8)
                rate = 0.01 / c if rescale_rate else 0.01
                parameters[name] = parameters[name] - rate * direction
        for name in hidden:
            projected[name] = projected[name] * radius[name] / projected[name].norm()
        x = inputs(network, seed=0)
        a, b = network.forward(free, x), network.forward(projected, x)
        gap = max(gap, float((a - b).norm() / a.norm()))
    grown = max(float(free[name].norm() / radius[name]) for name in hidden)
    return gap, grown


def test_t13_projection_with_matched_rates_reproduces_the_free_twin_under_sgd():
    gap, grown = twins("sgd", 500)
    assert grown > 1.2
    assert gap < 1e-8  # chaos multiplies rounding; a wrong rate gives order 1


def test_t13_adam_needs_matched_rates_and_matched_gradients():
    gap, grown = twins("adam", 100)
    assert grown > 1.05
    assert gap < 1e-8
    assert twins("adam", 100, rescale_gradient=False)[0] > 1e-3
    assert twins("adam", 100, rescale_rate=False)[0] > 1e-3


def test_t16_decoupled_weight_decay_is_a_larger_step_under_nap():
    network = normed(plain())
    hidden = weights_before_norms(network)
    rate, decay = 0.3, 0.1
    trajectories = []
    for shrink, step in ((1 - rate * decay, rate), (1.0, rate / (1 - rate * decay))):
        parameters = values(network)
        radius = {name: parameters[name].norm() for name in hidden}
        for number in range(50):
            found = gradients(network, parameters, seed=number)
            for name, gradient in found.items():
                if name in hidden:
                    weight = shrink * parameters[name] - step * gradient
                    parameters[name] = weight * radius[name] / weight.norm()
                else:
                    parameters[name] = parameters[name] - rate * gradient
        trajectories.append(network.forward(parameters, inputs(network)))
    assert close(*trajectories, 1e-8)


# T14: projection.


@pytest.mark.parametrize("kind", AGENTS)
def test_t14_projection_puts_weights_back_on_their_spheres_and_touches_nothing_else(build, kind):
    trained = build(kind, [("nap", NAP | {"interval": 1000})], seeds=(0, 1)).train(30)
    plugin = trained.plugins[0]
    for name, group in trained.agent.groups.items():
        projection = plugin.projections[name]
        projected = [tensor for (tensor,) in projection.names]
        before = {key: leaf.detach().clone() for key, leaf in group.parameters.leaves.items()}
        optimiser = {
            key: torch.as_tensor(value).clone() for key, value in group.optimiser.state().items()
        }
        copies = group.network.copies
        shape = (2 * copies, 8, *group.network.input_shape)
        x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        outputs = group.network.forward(before, x)
        assert float((projection.norms() / projection.radius - 1).abs().max()) > 1e-4
        projection.project()
        assert torch.allclose(projection.norms(), projection.radius, rtol=1e-6)
        once = group.parameters.flat.clone()
        projection.project()
        assert torch.allclose(group.parameters.flat, once, rtol=1e-6, atol=0)
        for key, leaf in group.parameters.leaves.items():
            if key in projected:
                cosine = F.cosine_similarity(leaf.flatten(1), before[key].flatten(1))
                assert torch.allclose(cosine, torch.ones_like(cosine), atol=1e-6)
            else:
                assert torch.equal(leaf, before[key])
        assert torch.allclose(group.network.forward(group.parameters.leaves, x), outputs, atol=1e-4)
        for key, value in group.optimiser.state().items():
            assert torch.equal(torch.as_tensor(value), optimiser[key])


@pytest.mark.parametrize("kind", AGENTS)
def test_t14_norms_stay_at_their_initial_values_in_training(build, kind):
    trained = build(kind, ["nap"], seeds=(0, 1))
    flats = {name: p.radius.clone() for name, p in trained.plugins[0].projections.items()}
    trained.train(30)
    for name, projection in trained.plugins[0].projections.items():
        assert torch.allclose(projection.norms(), flats[name], rtol=1e-6)
    free = build(kind, ["ln"], seeds=(0, 1)).train(30)
    for name, group in free.agent.groups.items():
        weights = [(weight,) for weight in weights_before_norms(group.network)]
        grown = Projection(group.parameters, weights).norms() / flats[name]
        assert float((grown - 1).abs().max()) > 1e-4


def test_t14_projection_comes_before_the_target_update(build):
    trained = build("td3", ["nap"]).train(2)
    seen = {}
    group = trained.agent.groups["actor"]
    group.after_step.append(lambda g: seen.update(flat=g.parameters.flat.clone()))
    target = group.target.flat.clone()
    trained.train(2)
    assert torch.equal(group.parameters.flat, seen["flat"])  # nothing moves after the hooks
    assert torch.equal(group.target.flat, target.lerp(seen["flat"], 0.005))


def test_t14_zero_and_non_finite_weights_are_skipped(build):
    trained = build("classifier", ["nap"], seeds=(0, 1, 2))
    projection = trained.plugins[0].projections["classifier"]
    leaf = trained.agent.groups["classifier"].parameters.leaves["hidden1.weight"].detach()
    leaf[0] = 0.0
    leaf[1, 0, 0] = math.inf
    leaf[2] *= 5.0
    broken = leaf[1].clone()
    projection.project()
    assert torch.equal(leaf[0], torch.zeros_like(leaf[0]))
    assert torch.equal(leaf[1], broken)
    assert float(leaf[2].norm()) == pytest.approx(float(projection.radius[0, 2]), rel=1e-6)


def test_projection_waits_for_its_interval(build):
    trained = build("classifier", [("nap", NAP | {"interval": 5})])
    projection = trained.plugins[0].projections["classifier"]
    for step in range(1, 11):
        trained.train(1)
        on_sphere = torch.allclose(projection.norms(), projection.radius, rtol=1e-6)
        assert on_sphere is (step % 5 == 0)
    growth = trained.plugins[0].diagnostics()["growth/classifier/hidden1.weight"]
    assert growth.shape == (1,) and abs(growth[0] - 1) > 1e-6


# T15: coverage.


def faults(trained):
    """Everything that is wrong with NaP on an agent: coverage, and projections that move what is
    already in place."""
    plugin = trained.plugins[0]
    found = []
    for name, group in trained.agent.groups.items():
        own = plugin.projections.get(name)
        projected = [weight for weight, *_ in own.names] if own else []
        found += coverage_faults(group.network, projected, plugin.settings)
        before = group.parameters.flat.clone()
        group.steps = 0
        plugin.after_step(group)
        if not torch.allclose(group.parameters.flat, before, rtol=1e-5, atol=1e-7):
            found.append(f"a projection of {name} moves initial values")
    return found


@pytest.mark.parametrize("affine", ["free", "decay", "joint", "gain", "none"])
@pytest.mark.parametrize("first_layer", ["normed", "biased", "raw"])
@pytest.mark.parametrize("kind", AGENTS)
def test_t15_every_agent_is_covered(build, kind, affine, first_layer):
    trained = build(kind, [("nap", NAP | {"affine": affine, "first_layer": first_layer})])
    assert faults(trained) == []
    for group in trained.agent.groups.values():
        assert "output.weight" not in weights_before_norms(group.network)


@pytest.mark.parametrize(
    "kind, group, projected",
    [
        ("td3", "actor", ["hidden1.weight", "hidden2.weight"]),
        ("td3", "critic", ["hidden1.weight"]),
        ("sac", "actor", ["hidden1.weight", "hidden2.weight"]),
        ("sac", "critic", ["hidden1.weight"]),
        ("rad", "convolutions", ["conv1.weight", "conv2.weight"]),
        ("rad", "critic_features", ["features.weight"]),
        ("rad", "actor_features", ["features.weight"]),
        ("rad", "actor", ["hidden1.weight", "hidden2.weight"]),
        ("rad", "critic", ["hidden1.weight"]),
        ("dqn", "q", ["conv1.weight", "hidden1.weight"]),
        ("ppo", "actor", ["hidden1.weight", "hidden2.weight"]),
        ("ppo", "critic", ["hidden1.weight"]),
        ("classifier", "classifier", [f"hidden{number}.weight" for number in (1, 2, 3)]),
    ],
)
def test_t15_what_is_projected(build, kind, group, projected):
    trained = build(kind, ["nap"])
    names = trained.plugins[0].projections[group].names
    assert [name for (name,) in names] == projected
    network = trained.agent.groups[group].network
    for layer in network.layers:
        if isinstance(layer, Linear) and f"{layer.name}.weight" in projected:
            assert not layer.bias


def test_a_critics_last_hidden_layer_is_normed_on_request(build):
    trained = build("td3", [("nap", NAP | {"critic_norm_last_hidden": True})])
    names = trained.plugins[0].projections["critic"].names
    assert names == (("hidden1.weight",), ("hidden2.weight",))
    assert faults(trained) == []


@pytest.mark.parametrize("first_layer, tells", [("normed", False), ("biased", True)])
def test_only_with_a_bias_in_the_first_layer_a_network_tells_the_scale_of_inputs(
    first_layer, tells
):
    settings = NaPSettings(**NAP | {"first_layer": first_layer, "eps": 0.0})
    network = insert_norms(plain("actor", bias=True), settings, affine="both")
    parameters = FlatParameters.initialise(network, [0], "net", "cpu").leaves
    x = torch.tensor(np.random.default_rng(0).normal(size=(1, 8, 6)), dtype=torch.float32)
    near, far = network.forward(parameters, x), network.forward(parameters, 3 * x)
    assert torch.allclose(near, far, rtol=0, atol=1e-5) != tells


def test_a_biased_first_layer_is_projected_jointly_and_its_function_stays(build):
    trained = build("sac", [("nap", NAP | {"first_layer": "biased"})])
    actor = trained.agent.groups["actor"]
    projection = trained.plugins[0].projections["actor"]
    assert projection.names == (("hidden1.weight", "hidden1.bias"), ("hidden2.weight",))
    shape = (actor.parameters.flat.shape[0], 8, *actor.network.input_shape)
    x = torch.tensor(np.random.default_rng(0).normal(size=shape), dtype=torch.float32)
    radius = projection.norms().clone()
    with torch.no_grad():
        for name in projection.names[0]:
            actor.parameters.leaves[name].detach().mul_(4.0)
        grown = actor.network.forward(actor.parameters.leaves, x)
        projection.project()
        projected = actor.network.forward(actor.parameters.leaves, x)
    assert torch.allclose(projection.growth[0], torch.tensor(4.0))
    assert torch.allclose(projection.norms(), radius)
    assert torch.allclose(grown, projected, atol=1e-4)


# The mistakes of public implementations: each one must be caught.


def missing_norm(network, settings, affine):
    return network


def kept_bias(network, settings, affine):
    changed = insert_norms(network, settings, affine)
    return replace(
        changed,
        layers=tuple(replace(x, bias=True) if isinstance(x, Linear) else x for x in changed.layers),
    )


def all_weights(network):
    return [part.name for part in network.parameter_slices() if part.kind == "weight"]


def linear_weights(network):
    return [name for name in weights_before_norms(network) if not name.startswith("conv")]


@pytest.mark.parametrize(
    "kind, name, mistake, words",
    [
        ("dqn", "insert_norms", missing_norm, "conv1 feeds a nonlinearity without a norm"),
        ("td3", "insert_norms", missing_norm, "hidden1 feeds a nonlinearity without a norm"),
        ("dqn", "insert_norms", kept_bias, "hidden1 has a bias before its norm"),
        ("td3", "weights_before_norms", all_weights, "output.weight is projected and feeds no"),
        ("dqn", "weights_before_norms", all_weights, "output.weight is projected and feeds no"),
        ("dqn", "weights_before_norms", linear_weights, "conv1.weight feeds a norm and is not"),
    ],
    ids=["no-norm-dqn", "no-norm-td3", "bias", "head-td3", "head-dqn", "convolution"],
)
def test_public_mistakes_are_refused(build, monkeypatch, kind, name, mistake, words):
    monkeypatch.setattr(nap, name, mistake)
    with pytest.raises(ValueError, match=words):
        build(kind, ["nap"])


def test_a_wrong_affine_radius_is_caught(build):
    for radius, found in ((4.0, []), (math.sqrt(2), ["a projection of classifier moves"])):
        trained = build("classifier", [("nap", NAP | {"affine": "joint"})])
        trained.plugins[0].joint["classifier"].radius.fill_(radius)
        assert [fault[: len("a projection of classifier moves")] for fault in faults(trained)] == (
            found
        )


def test_the_affine_radius_is_the_root_of_the_width(build):
    trained = build("classifier", ["nap_joint"], seeds=(0, 1))
    assert torch.allclose(
        trained.plugins[0].joint["classifier"].radius, torch.full((2, 2), math.sqrt(16))
    )


# T17: treatments of gain and offset.


def affine_leaves(trained):
    leaves = trained.agent.groups["classifier"].parameters.leaves
    return {name: leaf.detach() for name, leaf in leaves.items() if "_norm" in name}


def test_t17_decay_pulls_to_one_and_zero(build):
    trained = build("classifier", [("nap", NAP | {"affine": "decay", "affine_decay": 0.1})])
    leaves = affine_leaves(trained)
    start = {name: leaf.clone().uniform_(0.5, 2.0) for name, leaf in leaves.items()}
    for name, leaf in leaves.items():
        leaf.copy_(start[name])
    group = trained.agent.groups["classifier"]
    trained.plugins[0].after_step(group)
    for name, leaf in leaves.items():
        goal = 1.0 if name.endswith("gain") else 0.0
        assert torch.allclose(leaf, 0.9 * start[name] + 0.1 * goal, atol=1e-6)
    for _ in range(300):
        trained.plugins[0].after_step(group)
    for name, leaf in leaves.items():
        goal = 1.0 if name.endswith("gain") else 0.0
        assert torch.allclose(leaf, torch.full_like(leaf, goal), atol=1e-5)


def test_t17_gains_alone_are_trained_without_offsets(build):
    leaves = affine_leaves(build("classifier", [("nap", NAP | {"affine": "gain"})]).train(20))
    assert [*leaves] == [f"hidden{number}_norm.gain" for number in (1, 2, 3)]
    assert all(float((leaf - 1.0).abs().max()) > 1e-4 for leaf in leaves.values())


def test_t17_joint_projection_keeps_ratios_and_skips_the_last_norm(build):
    trained = build("classifier", [("nap", NAP | {"affine": "joint"})])
    leaves = affine_leaves(trained)
    for leaf in leaves.values():
        leaf.uniform_(0.5, 2.0, generator=torch.Generator().manual_seed(0))
    before = {name: leaf.clone() for name, leaf in leaves.items()}
    trained.plugins[0].after_step(trained.agent.groups["classifier"])
    for number in (1, 2, 3):
        gain, offset = (f"hidden{number}_norm.{kind}" for kind in ("gain", "offset"))
        assert torch.allclose(leaves[offset] / leaves[gain], before[offset] / before[gain])
        joint = torch.cat((leaves[gain], leaves[offset]), -1).norm()
        if number < 3:
            assert float(joint) == pytest.approx(4.0, rel=1e-6)
        else:
            assert torch.equal(leaves[gain], before[gain])


def test_joint_projection_is_refused_for_tanh():
    plugin = nap.NaP(NaPSettings(**NAP | {"affine": "joint"}))
    network = Network("net", "actor", (Linear("hidden1", 4, 4), Activation("tanh")), (4,))
    with pytest.raises(ValueError, match=r"\['tanh'\].*joint"):
        plugin.change_network(network)


def test_affine_none_has_no_gains(build):
    trained = build("classifier", [("nap", NAP | {"affine": "none"})])
    assert affine_leaves(trained) == {}


def test_t18_radii_survive_saving_and_reinitialised_layers(build):
    trained = build("dqn", ["nap"], seeds=(0, 1)).train(5)
    projection = trained.plugins[0].projections["q"]
    radius = projection.radius.clone()
    trained.agent.groups["q"].parameters.leaves["hidden1.weight"].detach().normal_(0, 3.0)
    trained.train(5)
    assert torch.equal(projection.radius, radius)
    assert torch.allclose(projection.norms(), radius, rtol=1e-6)
    other = build("dqn", ["nap"], seeds=(2, 3))
    assert not torch.equal(other.plugins[0].projections["q"].radius, radius)
    other.load_state(trained.state(), 10)
    assert torch.equal(other.plugins[0].projections["q"].radius, radius)


# Learning-rate schedule.


def test_a_linear_schedule_ends_at_the_ratio_after_its_fraction(build):
    trained = build("td3", ["nap_linear"], total=40)
    optimisers = [group.optimiser for group in trained.agent.groups.values()]
    rates = [[o.learning_rate for o in optimisers]]
    for _ in range(40):
        trained.train(1)
        rates.append([o.learning_rate for o in optimisers])
    rates = np.array(rates)
    expected = 1e-3 * (1 - np.minimum(np.arange(41) / 20, 1) * (1 - 1 / 60))
    assert np.allclose(rates, expected[:, None], rtol=1e-12)
    assert rates[-1, 0] == pytest.approx(1e-3 / 60)


def test_a_constant_schedule_leaves_the_rate(build):
    trained = build("td3", ["nap"]).train(40)
    assert all(g.optimiser.learning_rate == 1e-3 for g in trained.agent.groups.values())


# Compositions.


def test_a_trimmed_policy_is_back_on_the_sphere_after_the_next_step(build):
    trained = build("classifier", ["nap_linear", "pptb"])
    projection = trained.plugins[0].projections["classifier"]
    trained.train(8)
    assert trained.plugins[1].diagnostics()["move_to_norm"][0] > 0
    assert not torch.allclose(projection.norms(), projection.radius, rtol=1e-6)
    trained.train(1)
    assert torch.allclose(projection.norms(), projection.radius, rtol=1e-6)


def test_inflated_weights_are_projected_back_to_the_norms_before_inflation(build):
    reference = build("classifier", ["nap"])
    trained = build("classifier", ["nap", "inflate"])
    projection = trained.plugins[0].projections["classifier"]
    assert torch.allclose(projection.norms(), 3 * projection.radius, rtol=1e-6)
    assert torch.equal(projection.radius, reference.plugins[0].projections["classifier"].radius)
    trained.train(1)
    assert torch.allclose(projection.norms(), projection.radius, rtol=1e-6)


@pytest.mark.parametrize(
    "bad, words",
    [
        ({"norm": "batch"}, "'layer' or 'rms'"),
        ({"interval": 0}, "greater than 0"),
        ({"affine": "fixed"}, "'free', 'decay', 'joint', 'gain' or 'none'"),
        ({"schedule_ratio": 0.5}, "greater than or equal to 1"),
        ({"affine_decay": 1.0}, "less than 1"),
    ],
)
def test_bad_settings_are_refused(bad, words):
    with pytest.raises(ValidationError, match=words):
        NaPSettings(**NAP | bad)
