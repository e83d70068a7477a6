"""I1: a seed's results are the same bits in every group."""

import pytest

from invariants.combinations import COMBINATIONS, EVERY_PLUGIN, NAP_PLUGIN, PPTB_PLUGIN
from suite.conformance.laws import assert_groups_agree, assert_it_acts
from suite.conformance.small_runs import small_runs
from suite.plugins.registry import PLUGINS


@pytest.mark.parametrize(("kind", "plugins"), COMBINATIONS)
def test_every_agent_and_plug_in_gives_the_same_bytes_in_groups_of_1_2_3_and_6(
    kind, plugins, tmp_path
):
    runs = small_runs(kind, list(range(6)), plugins, recordings=("norms",), budget=60)
    assert_groups_agree(runs, tmp_path)


PPO_64 = {"hidden_units": 64, "n_steps": 64, "batch_size": 64, "budget": 128}

RAD_WIDE = {"filters": 16, "features": 50, "hidden_units": 256, "batch_size": 128, "budget": 30}


# Kernels choose their path by size: small networks alone would prove little.
@pytest.mark.parametrize(
    ("kind", "plugins", "settings"),
    [
        ("td3", [PPTB_PLUGIN], {"hidden_units": 256, "batch_size": 256}),
        ("td3", [NAP_PLUGIN], {"hidden_units": 256, "batch_size": 256}),
        ("sac", [PPTB_PLUGIN], {"hidden_units": 256, "batch_size": 256}),
        ("sac", [NAP_PLUGIN], {"hidden_units": 256, "batch_size": 256}),
        pytest.param("rad", [NAP_PLUGIN, PPTB_PLUGIN], RAD_WIDE, marks=pytest.mark.long),
        ("dqn", [PPTB_PLUGIN], {"convolution_filters": 16, "hidden_units": 128, "batch_size": 32}),
        ("dqn", [NAP_PLUGIN], {"convolution_filters": 16, "hidden_units": 128, "batch_size": 32}),
        ("ppo", [PPTB_PLUGIN], PPO_64 | {"activation": "tanh"}),
        ("ppo", [NAP_PLUGIN], PPO_64 | {"hidden_units": 256, "n_envs": 2, "evaluate_every": 8}),
        ("classifier", [NAP_PLUGIN], {"hidden_units": 64, "batch_size": 64}),
    ],
)
def test_networks_of_full_size_give_the_same_bytes_too(kind, plugins, settings, tmp_path):
    settings = {"budget": 40, "evaluate_every": 40} | settings
    runs = small_runs(kind, list(range(6)), plugins, **settings)
    assert_groups_agree(runs, tmp_path)


def test_every_plug_in_is_combined_with_every_agent():
    used = {plugin.kind for plugins in EVERY_PLUGIN.values() for plugin in plugins}
    assert used == set(PLUGINS)


@pytest.mark.parametrize(("kind", "plugins"), COMBINATIONS)
def test_seeds_and_plug_ins_make_a_difference(kind, plugins, tmp_path):
    assert_it_acts(kind, plugins, tmp_path)
