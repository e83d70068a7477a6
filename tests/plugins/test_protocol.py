"""What holds for every plug-in: grouping, resuming and being off do not show in a seed's bits."""

import copy

import numpy as np
import pytest
import torch

from suite.plugins import remedies, schedules
from suite.plugins.registry import PLUGINS, build_plugins

from .conftest import PPTB, PRESETS, Choice

COMPOSITIONS = [[name] for name in PRESETS] + [
    ["nap_linear", "pptb"],
    ["nap", "inflate"],
    ["crelu", "nap"],
    ["nap", "plasticity_injection"],
]
LABELS = ["+".join(names) for names in COMPOSITIONS]
AGENTS = ["td3", "dqn", "ppo", "classifier"]


def fits(kind, names):
    kinds = [PRESETS[name][0] for name in names]
    return all(PLUGINS[plugin].refuses(None, kind, {}) is None for plugin in kinds)


OF_A_FEW_LINES = {
    name
    for name in PRESETS
    if PLUGINS[PRESETS[name][0]].__module__ in (remedies.__name__, schedules.__name__)
}
FITTING = [
    pytest.param(
        kind,
        names,
        id=f"{kind}-{'+'.join(names)}",
        marks=pytest.mark.long if kind != "classifier" and OF_A_FEW_LINES & {*names} else (),
    )
    for kind in AGENTS
    for names in COMPOSITIONS
    if fits(kind, names)
]
OF_TD3 = [names for names in COMPOSITIONS if fits("td3", names) and not OF_A_FEW_LINES & {*names}]


@pytest.mark.parametrize(("kind", "names"), FITTING)
def test_a_seed_does_not_depend_on_its_companions(build, kind, names):
    together = build(kind, names, seeds=(3, 1, 7)).train(30)
    everything = together.flats()
    for seeds in ((1,), (7, 1)):
        few = build(kind, names, seeds=seeds).train(30)
        for row, seed in enumerate(seeds):
            place = together.seeds.index(seed)
            assert torch.equal(few.flats()[row], everything[place])
            for plugin, other in zip(few.plugins, together.plugins, strict=True):
                for name, value in plugin.diagnostics().items():
                    assert value[row] == other.diagnostics()[name][place], name


@pytest.mark.parametrize(("kind", "names"), FITTING)
@pytest.mark.parametrize("stop", [19, 20])
def test_a_resumed_run_equals_an_unbroken_one(build, kind, names, stop):
    unbroken = build(kind, names, seeds=(0, 5)).train(stop)
    saved = copy.deepcopy(unbroken.state())
    unbroken.train(21)
    resumed = build(kind, names, seeds=(0, 5))
    resumed.load_state(saved, stop)
    resumed.train(21)
    assert torch.equal(resumed.flats(), unbroken.flats())
    for plugin, other in zip(resumed.plugins, unbroken.plugins, strict=True):
        for name, value in other.diagnostics().items():
            assert np.array_equal(plugin.diagnostics()[name], value), name


@pytest.mark.parametrize("names", OF_TD3, ids="+".join)
def test_a_seeds_row_of_the_state_resumes_in_another_group(build, names):
    pair = build("td3", names, seeds=(0, 5)).train(19)
    saved = copy.deepcopy(pair.state())
    pair.train(10)
    row = {
        key: value[1:2] if not isinstance(value, list) else [value[1]]
        for key, value in saved.items()
    }
    alone = build("td3", names, seeds=(5,))
    alone.load_state(row, 19)
    alone.train(10)
    assert torch.equal(alone.flats()[0], pair.flats()[1])


@pytest.mark.parametrize("kind", AGENTS)
@pytest.mark.parametrize(
    "neutral",
    [
        ("pptb", PPTB | {"trim_rank": None, "boost_coefficient": 0.0}),
        ("pptb", PPTB | {"trim_rank": None, "boost_rank": 0}),
        ("pptb", PPTB | {"capacity": 50, "trim_rank": 45, "boost_coefficient": 0.0}),
        ("snapshot_average", PRESETS["snapshot_average"][1] | {"interval": 1000}),
        ("inflate", {"factor": 1.0}),
        ("l2", {"coefficient": 0.0}),
        ("regenerative", {"coefficient": 0.0}),
        ("weight_decay", {"coefficient": 0.0}),
        ("shrink_perturb", {"interval": 4, "shrink": 1.0, "perturb": 0.0}),
        ("update_noise", {"scale": 0.0}),
        ("layer_reset", {"interval": 1000, "layers": 1}),
    ],
    ids=[
        "no-trim-no-boost",
        "no-boost-rank",
        "rank-of-the-window",
        "never",
        "factor-1",
        "no-l2",
        "no-regeneration",
        "no-decay",
        "no-shrinking",
        "no-noise",
        "no-reset",
    ],
)
def test_neutral_settings_leave_the_base_runs_bits(build, kind, neutral):
    base = build(kind, [], seeds=(0, 1)).train(40)
    with_plugin = build(kind, [neutral], seeds=(0, 1)).train(40)
    assert torch.equal(base.flats(), with_plugin.flats())


@pytest.mark.parametrize(
    "name",
    [
        *("pptb", "snapshot_average", "random_projection", "proj_only", "inflate", "deaden"),
        *("l2", "regenerative", "weight_decay", "shrink_perturb", "update_noise"),
        *("redo", "layer_reset"),
    ],
)
def test_plugins_that_keep_the_network_change_training(build, name):
    base = build("classifier", []).train(40)
    assert not torch.equal(base.flats(), build("classifier", [name]).train(40).flats())


@pytest.mark.parametrize("kind", AGENTS)
def test_weights_start_the_same_with_and_without_norms(build, kind):
    base, normed = build(kind), build(kind, ["nap"])
    for name, group in base.agent.groups.items():
        for tensor, leaf in group.parameters.leaves.items():
            other = normed.agent.groups[name].parameters.leaves
            if tensor in other:
                assert torch.equal(leaf, other[tensor])


@pytest.mark.parametrize("names", COMPOSITIONS, ids=LABELS)
def test_no_global_random_numbers_are_drawn(build, names):
    torch.manual_seed(1)
    np.random.seed(1)
    before, legacy = torch.get_rng_state(), np.random.get_state()[1].copy()
    build("classifier", names).train(10)
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], legacy)


def test_an_unknown_kind_is_named_with_the_known_ones():
    with pytest.raises(KeyError, match=r"'momentum'.*pptb"):
        build_plugins([Choice("momentum", {})])


def test_every_setting_has_a_description_and_no_default():
    for plugin in PLUGINS.values():
        for name, field in plugin.Settings.model_fields.items():
            assert field.description, (plugin.kind, name)
            assert field.is_required(), (plugin.kind, name)


def test_the_walk_model_takes_no_plugin():
    for plugin in PLUGINS.values():
        reason = plugin.refuses(None, "dead_unit_walk", {})
        assert reason is not None and "no network" in reason
        assert plugin.refuses(None, "classifier", {}) is None
