"""Remedies for lost plasticity: each does to the parameters what its paper says."""

import pytest
import torch

from suite.plugins import remedies
from suite.stacked.layers import Activation, Mirrored, Norm
from suite.stacked.streams import stream

from .conftest import PRESETS, batch_for


def flat(trained):
    return trained.agent.groups[trained.agent.policy].parameters.flat.detach().clone()


def gradient_of(trained):
    """The gradient of the next batch as the optimiser gets it, [S, m]."""
    seen = []
    group = trained.agent.groups[trained.agent.policy]
    group.before_step.append(lambda group, gradient: seen.append(gradient.clone()))
    trained.train(1)
    group.before_step.pop()
    return seen[0]


@pytest.mark.parametrize("name", ["l2", "regenerative"])
def test_a_penalty_adds_its_gradient_to_that_of_the_loss(build, name):
    """The gradient of half a sum of squares, times .01, of what the parameters are or moved by."""
    plain, penalised = build("classifier"), build("classifier", [name])
    start = flat(plain)
    for trained in (plain, penalised):
        trained.agent.groups["classifier"].parameters.flat += 0.1
    where = penalised.plugins[0].learned["classifier"]
    moved = 0.1 if name == "regenerative" else start + 0.1
    difference = gradient_of(penalised) - gradient_of(plain)
    torch.testing.assert_close(difference, 0.01 * moved * where, rtol=1e-3, atol=1e-5)


def test_penalties_and_noise_leave_gains_offsets_and_padding_alone(build):
    trained = build("classifier", ["ln", "l2"])
    group = trained.agent.groups["classifier"]
    (learned,) = trained.plugins[1].learned["classifier"]
    kinds = {
        part.kind: bool(learned[part.start : part.stop].all()) for part in group.parameters.slices
    }
    assert kinds == {"weight": True, "gain": False, "offset": False}
    assert int(learned.sum()) == sum(
        part.stop - part.start for part in group.parameters.slices if part.kind == "weight"
    )


def test_decoupled_weight_decay_shrinks_weights_by_the_present_learning_rate(build):
    plain, decayed = build("classifier", ["ln"]), build("classifier", ["ln", "weight_decay"])
    for trained in (plain, decayed):
        trained.agent.groups["classifier"].optimiser.learning_rate = 0.002
    start = flat(plain)
    difference = flat(decayed.train(1)) - flat(plain.train(1))
    learned = decayed.plugins[1].learned["classifier"]
    torch.testing.assert_close(difference, -0.002 * start * learned, rtol=1e-3, atol=1e-7)
    assert (learned == 0).any() and (difference != 0).any()


def test_shrink_and_perturb_mixes_with_fresh_initial_parameters(build):
    trained = build("classifier", ["shrink_perturb"], seeds=(4,)).train(3)
    plain = build("classifier", seeds=(4,))
    plain.load_state(trained.agent.state(), 3)
    plain.train(1)
    trained.train(1)
    group = plain.agent.groups["classifier"]
    (part,) = [x for x in group.parameters.slices if x.name == "hidden2.weight"]
    drawn = stream(4, "init/classifier/shrink_perturb/4/0/hidden2.weight")
    fresh = torch.tensor(drawn.standard_normal(part.shape, "float32")) * (2 / 16) ** 0.5
    expected = 0.9 * group.parameters.part(part)[0] + 0.1 * fresh
    found = trained.agent.groups["classifier"].parameters.part(part)[0]
    torch.testing.assert_close(found, expected)


def test_noise_has_the_scale_that_is_asked_for(build):
    trained, plain = build("classifier", ["update_noise"]), build("classifier")
    noise = (flat(trained.train(1)) - flat(plain.train(1)))[0]
    assert float(noise[noise != 0].std()) == pytest.approx(0.001, rel=0.1)


def recycled(build, kind, layer):
    """A network with two dead units of a layer, or more, before and after the learn call that
    recycles them: parameters by name, which units those are, and what trained."""
    trained = build(kind, [("redo", PRESETS["redo"][1] | {"interval": 1, "threshold": 0.0})])
    group = trained.agent.groups[trained.agent.policy]
    units = group.parameters.leaves[f"{layer}.weight"].detach()
    units.movedim(1 if units.ndim == 5 else 2, 0)[[1, 3]] = 0.0
    if f"{layer}.bias" in group.parameters.leaves:
        group.parameters.leaves[f"{layer}.bias"].detach()[..., [1, 3]] = 0.0
    plain = build(kind)
    plain.load_state(trained.agent.state(), 0)
    plain.train(1)
    trained.train(1)
    groups = [t.agent.groups[t.agent.policy] for t in (plain, trained)]
    trace = {}
    observations = batch_for(kind, (0,), 0).observation
    groups[0].network.forward(groups[0].parameters.leaves, observations, trace)
    active = trace[f"{layer}_activation"][0].transpose(0, 1).flatten(1).any(dim=1)
    dead = (~active).nonzero().flatten().tolist()
    assert {1, 3} <= {*dead} != {*range(len(active))}
    before, after = ({n: x.detach() for n, x in g.parameters.leaves.items()} for g in groups)
    return before, after, dead, trained


def test_redo_draws_incoming_weights_anew_and_takes_outgoing_ones_away(build):
    before, after, dead, trained = recycled(build, "classifier", "hidden2")
    changed = (after["hidden2.weight"] != before["hidden2.weight"]).all(dim=1)[0]
    assert changed.nonzero().flatten().tolist() == dead
    assert (after["hidden3.weight"][:, dead] == 0).all()
    moments = trained.agent.groups["classifier"].optimiser.state()["mean"]
    mean = trained.agent.groups["classifier"].parameters.with_flat(moments)
    assert (mean["hidden3.weight"][:, dead] == 0).all() and (mean["hidden1.weight"] != 0).any()


def test_redo_takes_a_feature_map_for_one_unit(build):
    before, after, dead, _ = recycled(build, "dqn", "conv1")
    maps = [weights["hidden1.weight"].view(1, 4, 16, -1)[0] for weights in (before, after)]
    gone = (maps[1] == 0).all(dim=2).all(dim=1)
    assert gone.nonzero().flatten().tolist() == dead
    alive = [unit for unit in range(4) if unit not in dead]
    kept = (maps[1][alive] == maps[0][alive]).all(dim=1).all(dim=0)
    assert kept.sum() >= 8  # the others come from dead units of the next layer
    changed = (after["conv1.weight"] != before["conv1.weight"])[0].flatten(1).any(dim=1)
    assert changed.nonzero().flatten().tolist() == dead


def test_crelu_doubles_what_the_next_layer_gets_and_keeps_one_of_each_pair_active(build):
    network = build("classifier", ["crelu", "nap"]).agent.network
    kinds = [type(layer) for layer in network.layers]
    assert kinds[1:4] == [Norm, Mirrored, Activation]
    trained = build("classifier", ["crelu"])
    trace = {}
    group = trained.agent.groups["classifier"]
    batch = batch_for("classifier", (0,), 0)
    group.network.forward(group.parameters.leaves, batch.observation, trace)
    active = trace["hidden1_activation"] > 0
    assert active.shape[-1] == 32
    assert (active[..., :16] ^ active[..., 16:]).all()


def test_the_last_layers_are_drawn_anew(build):
    plain = build("classifier")
    settings = {"interval": 3, "layers": 2}
    trained = build("classifier", [("layer_reset", settings)])
    plain.train(3), trained.train(3)
    leaves = [t.agent.groups["classifier"].parameters.leaves for t in (plain, trained)]
    same = {name: torch.equal(leaves[0][name], leaves[1][name]) for name in leaves[0]}
    assert same == {
        "hidden1.weight": True,
        "hidden2.weight": True,
        "hidden3.weight": False,
        "output.weight": False,
    }


def test_injection_changes_no_output_and_lets_a_fresh_network_learn(build):
    plain = build("classifier").train(15)
    trained = build("classifier", ["plasticity_injection"]).train(15)
    batch = batch_for("classifier", (0,), 99)

    def logits(t):
        group = t.agent.groups["classifier"]
        return group.network.forward(group.parameters.leaves, batch.observation).detach()

    torch.testing.assert_close(logits(trained), logits(plain))
    before = flat(trained).view(1, 3, -1)
    after = flat(trained.train(5)).view(1, 3, -1)
    assert torch.equal(before[:, [0, 2]], after[:, [0, 2]])
    assert not torch.equal(before[:, 1], after[:, 1])
    assert torch.equal(before[:, 1], before[:, 2])


def test_mirrored_units_are_not_recycled(build):
    with pytest.raises(ValueError, match="redo can't recycle mirrored units of group 'classifier'"):
        build("classifier", ["crelu", "redo"])
    assert remedies.ReDo.refuses(None, "sac", {}) is not None
