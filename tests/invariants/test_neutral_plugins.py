"""I4: a plug-in that is off is not there: its neutral settings give the base run's bits.

A norm changes the function and has no neutral setting; `norm` therefore is the base that NaP's
projection and schedule are compared with. `deaden` exists to change the start, and other
nonlinearities and injected networks are other networks.
"""

import pytest

from invariants.combinations import OF_A_FEW_LINES, OF_FEW
from suite.conformance.laws import assert_neutral_is_absent
from suite.conformance.small_runs import AGENTS, acting, neutral
from suite.plugins.registry import OWN, PLUGINS

NORM = [acting("norm")]
NEVER = 10**6
NEUTRAL = {
    **{plugin.kind: ([], neutral(plugin.kind)) for plugin in OWN if plugin.neutral is not None},
    "pptb-all-directions": (
        [],
        acting("pptb", capacity=1000, trim_rank=999, boost_rank=2, boost_coefficient=0.0),
    ),
    "pptb-never": ([], acting("pptb", interval=NEVER)),
    "nap-never": (
        NORM,
        acting("nap", interval=NEVER, schedule="constant", schedule_ratio=1.0),
    ),
    "nap-schedule-to-the-same-rate": (
        NORM,
        acting("nap", interval=NEVER, schedule="linear", schedule_ratio=1.0),
    ),
    "nap-no-decay": (
        NORM,
        acting("nap", interval=NEVER, affine="decay", schedule="constant"),
    ),
}


def _takes_long(kind, name):
    return kind in OF_FEW or (name in OF_A_FEW_LINES and kind != "classifier")


PAIRS = [
    pytest.param(
        kind,
        name,
        id=f"{kind}-{name}",
        marks=pytest.mark.long if _takes_long(kind, name) else (),
    )
    for kind in AGENTS
    for name, (_, off) in NEUTRAL.items()
    if PLUGINS[off.kind].refuses(PLUGINS[off.kind].Settings(**off.settings), kind, {}) is None
]


@pytest.mark.parametrize(("kind", "name"), PAIRS)
def test_a_neutral_plug_in_gives_the_base_runs_bits(kind, name, tmp_path):
    base, off = NEUTRAL[name]
    # NaP takes the norm's place: each inserts the same.
    assert_neutral_is_absent(kind, base, off, tmp_path, in_place=off.kind == "nap")


def test_every_plug_in_that_has_a_neutral_setting_is_tested():
    kinds = {plugin.kind for plugin in OWN}
    without = {"norm", "deaden", "leaky_relu", "crelu", "plasticity_injection"}
    assert {plugin.kind for _, plugin in NEUTRAL.values()} == kinds - without
