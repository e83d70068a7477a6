"""How signals and gradients pass through a policy's network along training."""

from typing import Any, ClassVar

import torch
from pydantic import BaseModel, Field
from torch import Tensor

from suite.analysis.network_on_batch import NetworkOnBatchSettings, series_over_checkpoints
from suite.analysis.plasticity import RANK
from suite.analysis.protocol import Diagnostic, RecordedRun, Result
from suite.stacked.layers import Convolution, Linear, Network, Norm
from suite.stacked.parameters import FlatParameters


class PropagationSettings(NetworkOnBatchSettings):
    """Settings of the look at signals and gradients."""

    kernel_inputs: int = Field(
        default=64, ge=2, description="first observations whose gradients make the tangent kernel"
    )


class Propagation:
    """The policy network on the first observations that the run learned from.

    Series over the recorded checkpoints: `jacobian_norm`, the Frobenius norm of the derivative of
    all outputs for the inputs, averaged over observations (NaP paper Fig. 2); `kernel_rank`, the
    eigenvalues above .01 of the largest of the tangent kernel of the largest output, the inner
    products of its gradients for the parameters at two observations (NaP paper Sec. 3.1); and of
    each hidden layer (`/<layer>`) what its nonlinearity gets, `preactivation_mean` and
    `preactivation_std`, over the batch, averaged in size over units, and `negative_fraction`, of
    all units and observations. `_raw` marks what reaches the norm before it, if there is one.
    What is not finite is unknown.

    Raises ValueError for a policy network that takes other inputs than the recorded observations
    (RAD's takes features), and for a run that learned from fewer.
    """

    VERSION: ClassVar[int] = 1
    Settings: ClassVar[type[BaseModel]] = PropagationSettings
    DIAGNOSTICS: ClassVar[tuple[Diagnostic, ...]] = (
        Diagnostic("jacobian_norm"),
        Diagnostic("kernel_rank"),
        Diagnostic("preactivation_mean/*", mean_over="layers"),
        Diagnostic("preactivation_std/*", mean_over="layers"),
        Diagnostic("negative_fraction/*", mean_over="layers"),
    )

    def __init__(self, settings: PropagationSettings) -> None:
        self.settings = settings

    def recordings(self) -> tuple[tuple[str, dict[str, Any]], ...]:
        return self.settings.recordings()

    def analyse(self, run: RecordedRun) -> Result:
        return series_over_checkpoints(run, self.settings, self._look)

    def _look(self, parameters: FlatParameters, batch: Tensor) -> dict[str, float]:
        # Float32 would lose small gradients of a saturated network.
        double = FlatParameters(parameters.network, parameters.flat.detach().double())
        batch = batch.double()
        return {
            "jacobian_norm": _jacobian_norm(double, batch),
            "kernel_rank": _kernel_rank(double, batch[: self.settings.kernel_inputs]),
            **_preactivations(double, batch),
        }


def _jacobian_norm(parameters: FlatParameters, batch: Tensor) -> float:
    inputs = batch[None].requires_grad_()
    outputs = parameters.network.forward(parameters.leaves, inputs)[0]
    squares = torch.zeros(len(batch), dtype=batch.dtype)
    for output in outputs.unbind(1):
        # Observations do not meet in a network, so that the sum's gradient is that of each.
        (slope,) = torch.autograd.grad(output.sum(), inputs, retain_graph=True)
        squares += slope[0].flatten(1).square().sum(1)
    return float(squares.sqrt().mean())


def _kernel_rank(parameters: FlatParameters, batch: Tensor) -> float:
    leaves = list(parameters.leaves.values())
    largest = parameters.network.forward(parameters.leaves, batch[None])[0].amax(1)
    rows = [
        torch.cat(
            [part.flatten() for part in torch.autograd.grad(value, leaves, retain_graph=True)]
        )
        for value in largest
    ]
    gradients = torch.stack(rows)
    if not bool(gradients.isfinite().all()):
        return float("nan")
    values = torch.linalg.eigvalsh(gradients @ gradients.T)
    return float((values > RANK * values[-1]).sum()) if values[-1] > 0 else 0.0


def _preactivations(parameters: FlatParameters, batch: Tensor) -> dict[str, float]:
    trace: dict[str, Tensor] = {}
    with torch.no_grad():
        parameters.network.forward(parameters.leaves, batch[None], trace)
    found: dict[str, float] = {}
    for layer, normed in _hidden(parameters.network):
        for name, mark in ((normed or layer, ""), (layer, "_raw")):
            if mark and normed is None:
                continue
            # [units, n]; a feature map is one unit, at all its places.
            units = trace[name][0].transpose(0, 1).flatten(1)
            found[f"preactivation_mean{mark}/{layer}"] = float(units.mean(1).abs().mean())
            found[f"preactivation_std{mark}/{layer}"] = float(units.std(1).mean())
            negative = (units < 0).double().mean() if bool(units.isfinite().all()) else torch.nan
            found[f"negative_fraction{mark}/{layer}"] = float(negative)
    return found


def _hidden(network: Network) -> list[tuple[str, str | None]]:
    """Every layer of weights but the last, with the norm right behind it, if any."""
    layers = [x for x in network.layers if isinstance(x, Linear | Convolution | Norm)]
    found: list[tuple[str, str | None]] = []
    for layer in layers:
        if isinstance(layer, Norm):
            found[-1] = (found[-1][0], layer.name)
        else:
            found.append((layer.name, None))
    return found[:-1]
