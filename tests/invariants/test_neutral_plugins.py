"""I4: a plug-in that is off is not there: its neutral settings give the base run's bits.

A norm changes the function and has no neutral setting; `norm` therefore is the base that NaP's
projection and schedule are compared with. `deaden` exists to change the start.
"""

import pytest
from safetensors.numpy import load_file
from training.small_runs import AGENTS, small_runs, train

from invariants.combinations import NAP, NORM, PATH, PPTB, WHERE, plugin
from suite.plugins.registry import PLUGINS

NORM_PLUGIN = plugin("norm", NORM)
NEVER = 10**6
NEUTRAL = {
    "pptb-absent-trim-and-boost": ([], plugin("pptb", PPTB, trim_rank=None, boost_rank=0)),
    "pptb-all-directions": (
        [],
        plugin("pptb", PPTB, capacity=1000, trim_rank=999, boost_rank=2, boost_coefficient=0.0),
    ),
    "pptb-never": ([], plugin("pptb", PPTB, interval=NEVER)),
    "snapshot-average-never": (
        [],
        plugin("snapshot_average", PATH | {"snapshots": 3, "interval": NEVER}),
    ),
    "projection-never": ([], plugin("projection", WHERE | {"interval": NEVER})),
    "inflate-by-one": ([], plugin("inflate", {"factor": 1.0})),
    "nap-never": (
        [NORM_PLUGIN],
        plugin("nap", NAP, interval=NEVER, schedule="constant", schedule_ratio=1.0),
    ),
    "nap-schedule-to-the-same-rate": (
        [NORM_PLUGIN],
        plugin("nap", NAP, interval=NEVER, schedule="linear", schedule_ratio=1.0),
    ),
    "nap-no-decay": (
        [NORM_PLUGIN],
        plugin("nap", NAP, interval=NEVER, affine="decay", schedule="constant"),
    ),
}


KINDS = [pytest.param("rad", marks=pytest.mark.long) if k == "rad" else k for k in AGENTS]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NEUTRAL)
def test_a_neutral_plug_in_gives_the_base_runs_bits(kind, name, tmp_path):
    base, neutral = NEUTRAL[name]
    without = small_runs(kind, [0, 1], base)
    if neutral.kind == "nap":  # in place of the norm: each inserts the same
        with_it = small_runs(kind, [0, 1], [neutral])
    else:
        with_it = small_runs(kind, [0, 1], [*base, neutral])
    stores = train(without, tmp_path / "without"), train(with_it, tmp_path / "with")
    for one, other in zip(without, with_it, strict=True):
        paths = stores[0].folder(one.key()), stores[1].folder(other.key())
        expected, found = (load_file(path / "agent.safetensors") for path in paths)
        assert expected.keys() == found.keys()
        for key in expected:
            assert expected[key].tobytes() == found[key].tobytes(), key
        series = stores[0].record(one.key())["series"], stores[1].record(other.key())["series"]
        for name_of_series in ("return", "train_return", "online_accuracy"):
            assert series[0].get(name_of_series) == series[1].get(name_of_series)


def test_every_plug_in_that_has_a_neutral_setting_is_tested():
    assert {neutral.kind for _, neutral in NEUTRAL.values()} == set(PLUGINS) - {"norm", "deaden"}
