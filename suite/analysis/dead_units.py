"""Dead hidden units along training, on one batch of observations."""

from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import BaseModel, Field

from suite.analysis.protocol import LookSettings, RecordedRun, Result


class DeadUnitsSettings(LookSettings):
    """Settings of the count of dead units."""

    every: int = Field(default=1, ge=1, description="evaluations between checkpoints")
    observations: int = Field(default=512, ge=1, description="size of the batch")


class DeadUnits:
    """Share of the policy's hidden units that no observation of a fixed batch activates.

    Series `dead_fraction/<layer>` over the recorded checkpoints, by the network's activations
    (NaP paper Fig. 1; the batch is of the start of training).
    """

    VERSION: ClassVar[int] = 1
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
            trace: dict[str, torch.Tensor] = {}
            with torch.no_grad():
                group.network.forward(group.parameters.leaves, batch[None], trace)
            for name, activation in trace.items():
                if name.endswith("_activation"):
                    # [1, B, units], or feature maps [1, B, ..., channels]
                    alive = activation[0].flatten(0, -2).amax(dim=0) > 0
                    layer = name.removesuffix("_activation")
                    dead.setdefault(layer, []).append(1 - float(alive.double().mean()))
        series = {f"dead_fraction/{layer}": values for layer, values in dead.items()}
        at = np.array(steps)
        return Result({name: (at, np.array(values)) for name, values in series.items()})
