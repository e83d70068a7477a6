"""Controls: parts of the methods alone, and provocations."""

import numpy as np
import pytest
import torch

from suite.plugins.nap import Projection, weights_before_norms
from suite.stacked.layers import Norm

from .conftest import NORM


def test_ln_has_the_network_of_nap_and_no_projection(build):
    for kind in ("td3", "sac", "dqn", "classifier"):
        alone, nap = build(kind, ["ln"]), build(kind, ["nap"])
        for name, group in alone.agent.groups.items():
            assert group.network == nap.agent.groups[name].network
            assert group.after_step == []
    settings = NORM | {"affine": "none"}
    layers = build("classifier", [("norm", settings)]).agent.groups["classifier"].network.layers
    assert [layer.affine for layer in layers if isinstance(layer, Norm)] == ["none"] * 3


def test_proj_only_projects_what_nap_projects_and_keeps_the_network(build):
    for kind in ("td3", "sac", "dqn", "classifier"):
        alone, nap, base = build(kind, ["proj_only"]), build(kind, ["nap"]), build(kind)
        for name, group in alone.agent.groups.items():
            assert group.network == base.agent.groups[name].network
            assert (
                alone.plugins[0].projections[name].names == nap.plugins[0].projections[name].names
            )
        radii = {name: p.radius.clone() for name, p in alone.plugins[0].projections.items()}
        alone.train(20)
        for name, projection in alone.plugins[0].projections.items():
            assert torch.allclose(projection.norms(), radii[name], rtol=1e-6)


@pytest.mark.parametrize("kind", ["td3", "sac", "dqn", "ppo", "classifier"])
def test_decay_is_the_schedule_that_nap_linear_adds_to_nap(build, kind):
    composed = build(kind, ["nap", "decay"], seeds=(0, 1)).train(40)
    assert torch.equal(
        composed.flats(), build(kind, ["nap_linear"], seeds=(0, 1)).train(40).flats()
    )
    assert not torch.equal(composed.flats(), build(kind, ["nap"], seeds=(0, 1)).train(40).flats())


def test_decay_falls_in_a_line_to_its_ratio_at_its_fraction(build):
    trained = build("td3", [("decay", {"ratio": 50.0, "fraction": 0.25})])  # of 40 updates
    optimiser = trained.agent.groups["actor"].optimiser
    first = optimiser.learning_rate
    rates = []
    for _ in range(20):
        trained.train(1)
        rates.append(optimiser.learning_rate / first)
    assert rates == pytest.approx([*np.linspace(1, 1 / 50, 11)[1:], *[1 / 50] * 10])


def test_snapshot_average_loads_the_mean_of_the_last_snapshots(build):
    settings = {
        "store_interval": 1,
        "interval": 6,
        "unit": "policy_updates",
        "snapshots": 4,
        "decay": 1.0,
    }
    base = build("classifier", [])
    policies = [base.policy()[0]]
    for _ in range(6):
        policies.append(base.train(1).policy()[0])
    trained = build("classifier", [("snapshot_average", settings)]).train(6)
    assert torch.allclose(trained.policy()[0], torch.stack(policies[-4:]).mean(0), atol=1e-7)
    assert not torch.allclose(trained.policy()[0], policies[-1], atol=1e-6)
    fading = build("classifier", [("snapshot_average", {**settings, "decay": 0.5})]).train(6)
    weights = torch.tensor([1.0, 2, 4, 8]) / 15
    exponential = (weights.unsqueeze(1) * torch.stack(policies[-4:])).sum(0)
    assert torch.allclose(fading.policy()[0], exponential, atol=1e-7)
    early = {**settings, "interval": 2, "snapshots": 4}
    waiting = build("classifier", [("snapshot_average", early)]).train(2)
    assert torch.equal(waiting.policy()[0], policies[2])


def test_random_projection_keeps_a_part_of_the_change_within_the_window(build):
    settings = {
        "store_interval": 1,
        "interval": 8,
        "unit": "policy_updates",
        "capacity": 7,
        "rank": 2,
    }
    base = build("classifier", [], seeds=(0, 1))
    policies = [base.policy()]
    for _ in range(8):
        policies.append(base.train(1).policy())
    window = torch.stack(policies[-7:]).double()  # [n, S, m]
    trained = build("classifier", [("random_projection", settings)], seeds=(0, 1)).train(8)
    kept, shares = trained.policy().double() - window[0], []
    for seed in (0, 1):
        change = window[-1, seed] - window[0, seed]
        # A projection: what is left out is at right angles to what is kept, in the window's span.
        assert float(kept[seed] @ (change - kept[seed])) == pytest.approx(
            0, abs=1e-3 * float(change @ change)
        )
        span = torch.linalg.qr((window[1:, seed] - window[0, seed]).T)[0]
        assert torch.allclose(span @ (span.T @ kept[seed]), kept[seed], atol=1e-6)
        share = float(kept[seed] @ kept[seed] / (change @ change))
        assert 0.01 < share < 0.99
        shares.append(share)
    assert shares[0] != pytest.approx(shares[1]), "each seed has directions of its own"
    alone = build("classifier", [("random_projection", settings)], seeds=(1,)).train(8)
    assert torch.equal(alone.policy()[0], trained.policy()[1])


def test_random_projection_waits_until_it_leaves_something_out(build):
    settings = {
        "store_interval": 1,
        "interval": 2,
        "unit": "policy_updates",
        "capacity": 9,
        "rank": 2,
    }
    base = build("classifier", []).train(2)
    waiting = build("classifier", [("random_projection", settings)]).train(2)
    assert torch.equal(waiting.policy(), base.policy())


def test_inflation_keeps_the_function_of_a_normed_network(build):
    settings = NORM | {"affine": "free"}
    plain = build("classifier", [("norm", settings)], seeds=(0, 1))
    inflated = build("classifier", [("norm", settings), "inflate"], seeds=(0, 1))
    x = torch.randn(2, 16, 8, generator=torch.Generator().manual_seed(0))
    outputs, norms = [], []
    for trained in (plain, inflated):
        group = trained.agent.groups["classifier"]
        outputs.append(group.network.forward(group.parameters.leaves, x).detach())
        weights = [(name,) for name in weights_before_norms(group.network)]
        norms.append(Projection(group.parameters, weights).radius)
    assert torch.allclose(norms[1], 3 * norms[0])
    assert torch.allclose(*outputs, atol=1e-3)
    head = [
        t.agent.groups["classifier"].parameters.leaves["output.weight"] for t in (plain, inflated)
    ]
    assert torch.equal(*head)


@pytest.mark.parametrize("norm", [None, "layer", "rms"])
def test_killed_units_are_dead_at_first(build, norm):
    presets = [] if norm is None else [("norm", NORM | {"affine": "none", "norm": norm})]
    trained = build("classifier", [*presets, ("deaden", {"fraction": 0.5, "probe_inputs": 256})])
    figures = trained.plugins[-1].diagnostics()
    assert figures["revived_fraction"][0] == 0.0
    # Centring lifts some of the killed units above zero.
    assert figures["killed_dead_fraction"][0] == (0.75 if norm == "layer" else 1.0)
    leaves = trained.agent.groups["classifier"].parameters.leaves
    assert bool((leaves["hidden2.weight"][..., :8] <= 0).all())
    assert bool((leaves["hidden2.weight"][..., 8:] > 0).any())
    assert bool((leaves["hidden1.weight"][..., :8] > 0).any())


def test_killed_units_stay_dead_without_a_norm_and_revive_with_one(build):
    deaden = ("deaden", {"fraction": 0.5, "probe_inputs": 256})
    norm = ("norm", NORM | {"affine": "none"})
    without = build("classifier", [deaden], seeds=(0, 1, 2)).train(200)
    within = build("classifier", [norm, deaden], seeds=(0, 1, 2)).train(200)
    revived = [t.plugins[-1].diagnostics()["revived_fraction"] for t in (without, within)]
    assert np.array_equal(revived[0], np.zeros(3))
    assert (revived[1] > 0.1).all()
