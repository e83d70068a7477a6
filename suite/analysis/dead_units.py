"""Dead hidden units along training, on one batch of observations."""

from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import BaseModel, Field

from suite.analysis.protocol import LookSettings, RecordedRun, Result
from suite.stacked.layers import Activation
from suite.stacked.parameters import ParameterGroup


class DeadUnitsSettings(LookSettings):
    """Settings of the count of dead units."""

    every: int = Field(default=1, ge=1, description="evaluations between checkpoints")
    observations: int = Field(default=512, ge=1, description="size of the batch")


class DeadUnits:
    """Share of the policy's hidden units that no observation of a fixed batch activates.

    Series `dead_fraction/<layer>` over the recorded checkpoints, by the network's ReLUs (NaP paper
    Fig. 1; the batch is of the start of training). A feature map is one unit, dead where it is so
    at all places. What is not finite is neither dead nor alive: the share is unknown.

    Raises ValueError for a policy network that has other activations, or takes other inputs than
    the recorded observations (RAD's takes features), and for a run that learned from fewer.
    """

    VERSION: ClassVar[int] = 2
    Settings: ClassVar[type[BaseModel]] = DeadUnitsSettings

    def __init__(self, settings: DeadUnitsSettings) -> None:
        self.settings = settings

    def recordings(self) -> tuple[tuple[str, dict[str, Any]], ...]:
        batch = {"size": self.settings.observations}
        return (("checkpoints", {"every": self.settings.every}), ("batch", batch))

    def analyse(self, run: RecordedRun) -> Result:
        batch = torch.as_tensor(run.observations(size=self.settings.observations))
        steps: list[int] = []
        dead: dict[str, list[float]] = {}
        for step, agent in run.agents(every=self.settings.every):
            steps.append(step)
            group = agent.groups[agent.policy]
            _check(group, batch)
            trace: dict[str, torch.Tensor] = {}
            with torch.no_grad():
                group.network.forward(group.parameters.leaves, batch[None], trace)
            for name, activation in trace.items():
                if name.endswith("_activation"):
                    # [1, B, units], or feature maps [1, B, channels, H, W]
                    largest = activation[0].transpose(0, 1).flatten(1).amax(dim=1)
                    share = float((largest <= 0).double().mean())
                    known = bool(torch.isfinite(largest).all())
                    layer = name.removesuffix("_activation")
                    dead.setdefault(layer, []).append(share if known else float("nan"))
        series = {f"dead_fraction/{layer}": values for layer, values in dead.items()}
        at = np.array(steps)
        return Result({name: (at, np.array(values)) for name, values in series.items()})


def _check(group: ParameterGroup, observations: torch.Tensor) -> None:
    """Raises ValueError for a policy whose dead units these observations don't tell."""
    network, shape = group.network, tuple(observations.shape[1:])
    if tuple(network.input_shape) != shape:
        raise ValueError(
            f"the policy network {group.name!r} takes inputs of shape {tuple(network.input_shape)},"
            f" the recorded observations have shape {shape}: another network lies between them"
        )
    others = {layer.kind for layer in network.layers if isinstance(layer, Activation)} - {"relu"}
    if others:
        raise ValueError(
            f"the policy network {group.name!r} has activations {', '.join(sorted(others))}: only "
            "units of relu can be dead"
        )
