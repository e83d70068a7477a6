"""The policy network of every recorded checkpoint, on the first observations of its run."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from suite.analysis.protocol import LookSettings, RecordedRun, Result
from suite.stacked.layers import Network
from suite.stacked.parameters import FlatParameters


class NetworkOnBatchSettings(LookSettings):
    """Settings of a look at the policy network on a batch."""

    every: int = Field(default=1, ge=1, description="evaluations between checkpoints")
    observations: int = Field(default=512, ge=1, description="size of the batch")

    def recordings(self) -> tuple[tuple[str, dict[str, Any]], ...]:
        """Kind and settings of what the look reads."""
        return (("checkpoints", {"every": self.every}), ("batch", {"size": self.observations}))


def series_over_checkpoints(
    run: RecordedRun,
    settings: NetworkOnBatchSettings,
    look: Callable[[FlatParameters, Tensor], dict[str, float]],
) -> Result:
    """What `look` tells of the parameters (S = 1) on the batch [B, ...], a series for each name.

    Raises ValueError for a policy network that takes other inputs than the recorded observations
    (RAD's takes features), and for a run that learned from fewer.
    """
    batch = torch.as_tensor(run.observations(size=settings.observations))
    steps: list[int] = []
    series: dict[str, list[float]] = {}
    for step, agent in run.agents(every=settings.every):
        steps.append(step)
        parameters = agent.groups[agent.policy].parameters
        _takes_observations(parameters.network, batch)
        for name, value in look(parameters, batch).items():
            series.setdefault(name, []).append(value)
    at = np.array(steps)
    return Result({name: (at, np.array(values)) for name, values in series.items()})


def _takes_observations(network: Network, observations: Tensor) -> None:
    shape = tuple(observations.shape[1:])
    if tuple(network.input_shape) != shape:
        raise ValueError(
            f"the policy network takes inputs of shape {tuple(network.input_shape)}, the recorded "
            f"observations have shape {shape}: another network lies between them"
        )
