"""What is left of a policy's plasticity along training: its hidden units on a batch."""

from typing import Any, ClassVar

import torch
from pydantic import BaseModel
from torch import Tensor

from suite.analysis.network_on_batch import NetworkOnBatchSettings, series_over_checkpoints
from suite.analysis.protocol import Diagnostic, RecordedRun, Result
from suite.stacked.layers import Activation, Convolution, Linear, Network
from suite.stacked.parameters import FlatParameters

DORMANT = 0.025  # tau: Sokar et al. (ICML 2023)
RANK = 0.01  # NaP paper App. C.2: singular values that count, over the largest


class Plasticity:
    """Hidden units of the policy network on the first observations that the run learned from.

    Series over the recorded checkpoints, for each hidden layer and `all` its units together:
    `dormant_fraction/<layer>`, units whose mean activation, by size, is at most .025 of their
    layer's mean (Sokar et al., ICML 2023, Def. 3.1); and of units of ReLU `dead_fraction/<layer>`,
    that no observation activates (NaP paper Fig. 1), `linearised_fraction/<layer>`, that none or
    every one does (NaP paper App. C.2). A feature map is one unit, at all its places.
    `feature_rank` and `effective_rank` are of the last hidden layer's activations [B, units]: their
    singular values above .01 of the largest (NaP paper App. C.2), and the exponential of the
    entropy of their shares (Roy and Vetterli, 2007). What is not finite is unknown.

    Raises ValueError for a policy network that takes other inputs than the recorded observations
    (RAD's takes features), and for a run that learned from fewer.
    """

    VERSION: ClassVar[int] = 1
    Settings: ClassVar[type[BaseModel]] = NetworkOnBatchSettings
    DIAGNOSTICS: ClassVar[tuple[Diagnostic, ...]] = (
        Diagnostic("dead_fraction/all"),
        Diagnostic("dormant_fraction/all"),
        Diagnostic("linearised_fraction/all"),
        Diagnostic("feature_rank"),
        Diagnostic("effective_rank"),
    )

    def __init__(self, settings: NetworkOnBatchSettings) -> None:
        self.settings = settings

    def recordings(self) -> tuple[tuple[str, dict[str, Any]], ...]:
        return self.settings.recordings()

    def analyse(self, run: RecordedRun) -> Result:
        return series_over_checkpoints(run, self.settings, _look)


def _look(parameters: FlatParameters, batch: Tensor) -> dict[str, float]:
    trace: dict[str, Tensor] = {}
    with torch.no_grad():
        parameters.network.forward(parameters.leaves, batch[None], trace)
    return _told(parameters.network, trace)


def _told(network: Network, trace: dict[str, Tensor]) -> dict[str, float]:
    """The values of all series at one checkpoint."""
    units: dict[str, dict[str, Tensor]] = {}
    features = None
    for layer, kind in _hidden(network):
        # [B, units], or feature maps [B, channels, H, W]: every unit's values in a row.
        features = trace[f"{layer}_activation"][0].double()
        units[layer] = _units(features.transpose(0, 1).flatten(1), kind)
    told = {}
    for what in dict.fromkeys(name for found in units.values() for name in found):
        layers = {layer: found[what] for layer, found in units.items() if what in found}
        for layer, values in {**layers, "all": torch.cat(list(layers.values()))}.items():
            told[f"{what}/{layer}"] = float(values.mean())
    if features is not None:
        told.update(_ranks(features.flatten(1)))
    return told


def _hidden(network: Network) -> list[tuple[str, str]]:
    """Hidden layers that an activation follows, and its kind."""
    found: list[tuple[str, str]] = []
    feeding = ""
    for layer in network.layers:
        if isinstance(layer, Linear | Convolution):
            feeding = layer.name
        elif isinstance(layer, Activation):
            found.append((feeding, layer.kind))
    return [(name, kind) for name, kind in found if name != feeding]


def _units(values: Tensor, kind: str) -> dict[str, Tensor]:
    """Which units [units] are dormant, dead and linear, from their values [units, n]."""
    size = values.abs().mean(dim=1)
    found = {"dormant_fraction": size <= DORMANT * size.mean()}
    if kind == "relu":
        never, always = (values == 0).all(dim=1), (values != 0).all(dim=1)
        found |= {"dead_fraction": never, "linearised_fraction": never | always}
    known = 1.0 if bool(values.isfinite().all()) else float("nan")
    return {what: units.double() * known for what, units in found.items()}


def _ranks(features: Tensor) -> dict[str, float]:
    """Ranks of features [B, units]; those of nothing but zeros have none."""
    if not bool(features.isfinite().all()):
        return {"feature_rank": float("nan"), "effective_rank": float("nan")}
    values = torch.linalg.svdvals(features)
    if values[0] == 0:
        return {"feature_rank": 0.0, "effective_rank": 0.0}
    shares = values / values.sum()
    entropy = torch.special.entr(shares).sum()
    return {
        "feature_rank": float((values > RANK * values[0]).sum()),
        "effective_rank": float(entropy.exp()),
    }
