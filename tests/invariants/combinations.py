"""Every plug-in with settings that make it act within a small run, and what it is combined with."""

import pytest

from suite.conformance.small_runs import acting
from suite.plugins.registry import PLUGINS

PPTB_PLUGIN = acting("pptb")
NAP_PLUGIN = acting("nap")
EVERY_PLUGIN = {
    "none": [],
    "pptb": [PPTB_PLUGIN],
    "nap": [NAP_PLUGIN],
    "nap-joint-rms": [acting("nap", affine="joint", norm="rms", interval=3)],
    "nap-decay": [acting("nap", affine="decay", affine_decay=0.01)],
    "nap-gain": [acting("nap", affine="gain")],
    "norm": [acting("norm")],
    "projection": [acting("projection")],
    "projection+decay": [acting("projection"), acting("decay")],
    "snapshot_average": [acting("snapshot_average")],
    "random_projection": [acting("random_projection")],
    "nap+pptb": [NAP_PLUGIN, PPTB_PLUGIN],
    "nap+inflate": [NAP_PLUGIN, acting("inflate")],
    "norm+deaden": [acting("norm"), acting("deaden")],
}
# Schedules and remedies are a few lines each: they are run always with one agent.
OF_A_FEW_LINES = (
    "cosine",
    "replayed",
    "l2",
    "regenerative",
    "weight_decay",
    "shrink_perturb",
    "update_noise",
    "redo",
    "leaky_relu",
    "crelu",
    "layer_reset",
    "plasticity_injection",
)
EVERY_PLUGIN |= {name: [acting(name)] for name in OF_A_FEW_LINES}
# Tasks of pixels take long to build, a clone has TD3's loop and network, and twins and the
# classifier of images have the classifier's: of these agents two combinations are run always.
OF_FEW = ("rad", "cloning", "image_classifier", "twins")
FEW = ("none", "nap+pptb")


def _takes_long(kind: str, name: str) -> bool:
    return (kind in OF_FEW and name not in FEW) or (name in OF_A_FEW_LINES and kind != "classifier")


COMBINATIONS = [
    pytest.param(
        kind,
        plugins,
        id=f"{kind}-{name}",
        marks=pytest.mark.long if _takes_long(kind, name) else (),
    )
    for kind in (
        "td3",
        "cloning",
        "sac",
        "rad",
        "dqn",
        "ppo",
        "classifier",
        "image_classifier",
        "twins",
    )
    for name, plugins in EVERY_PLUGIN.items()
    if all(
        PLUGINS[p.kind].refuses(PLUGINS[p.kind].Settings(**p.settings), kind, {}) is None
        for p in plugins
    )
]
