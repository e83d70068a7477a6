"""Every plug-in with settings that make it act within a small run, and what it is combined with."""

from typing import Any

import pytest

from suite.specs.models import PluginSpec

PATH = {"store_interval": 2, "interval": 4, "unit": "policy_updates"}
PPTB = PATH | {
    "capacity": 8,
    "trim_rank": 3,
    "boost_rank": 2,
    "boost_coefficient": 0.1,
    "buffer_after": "keep",
    "centre": "none",
    "layerwise": False,
    "reset_optimiser": False,
    "sync_target": False,
}
WHERE = {"first_layer": "normed", "critic_norm_last_hidden": False}
NORM = WHERE | {"norm": "layer", "eps": 1e-5, "affine": "free"}
NAP = NORM | {
    "affine_decay": 0.0,
    "interval": 1,
    "schedule": "linear",
    "schedule_ratio": 60.0,
    "schedule_fraction": 0.5,
}


def plugin(kind: str, settings: dict[str, Any], **changes: Any) -> PluginSpec:
    return PluginSpec(name=kind, kind=kind, settings=settings | changes)


PPTB_PLUGIN = plugin("pptb", PPTB)
NAP_PLUGIN = plugin("nap", NAP)
EVERY_PLUGIN = {
    "none": [],
    "pptb": [PPTB_PLUGIN],
    "nap": [NAP_PLUGIN],
    "nap-joint-rms": [plugin("nap", NAP, affine="joint", norm="rms", interval=3)],
    "nap-decay": [plugin("nap", NAP, affine="decay", affine_decay=0.01)],
    "norm": [plugin("norm", NORM)],
    "projection": [plugin("projection", WHERE | {"interval": 2})],
    "snapshot_average": [plugin("snapshot_average", PATH | {"snapshots": 3})],
    "nap+pptb": [NAP_PLUGIN, PPTB_PLUGIN],
    "nap+inflate": [NAP_PLUGIN, plugin("inflate", {"factor": 10.0})],
    "norm+deaden": [plugin("norm", NORM), plugin("deaden", {"fraction": 0.5, "probe_inputs": 64})],
}
# Tasks of pixels take long to build: of the agent that needs them, two combinations are run always.
FAST_OF_PIXELS = ("none", "nap+pptb")
COMBINATIONS = [
    pytest.param(
        kind,
        plugins,
        id=f"{kind}-{name}",
        marks=pytest.mark.long if kind == "rad" and name not in FAST_OF_PIXELS else (),
    )
    for kind in ("td3", "sac", "rad", "dqn", "ppo", "classifier")
    for name, plugins in EVERY_PLUGIN.items()
]
