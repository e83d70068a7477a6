"""Weight norms and effective learning rate per layer, at evaluations."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from suite.plugins.protocol import Agent
from suite.stacked.streams import State


class WeightNormsSettings(BaseModel):
    """There is nothing to set."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class WeightNorms:
    """Frobenius norms of every weight tensor, and what they do to the learning rate.

    Series, for each weight of each group (`actor/hidden1`, `critic/q1.hidden1`, ...):
    `weight_norm/...` the norm |W|, `weight_norm_ratio/...` |W| over its norm rho at
    initialisation, `effective_learning_rate/...` eta * rho / |W| with the optimiser's present
    learning rate eta (NaP paper Def. 1, normalised steps, the case of Adam and RMSprop). The
    effective learning rate of a zero weight is infinite: null in the record.
    """

    VERSION: ClassVar[int] = 1
    Settings: ClassVar[type[BaseModel]] = WeightNormsSettings

    def __init__(self, settings: WeightNormsSettings, agent: Agent, seeds: Sequence[int]) -> None:
        self.settings = settings
        self._initial = _norms(agent)

    def after_update(self, agent: Agent) -> None:
        pass

    def at_evaluation(self, agent: Agent, step: int) -> dict[str, np.ndarray]:
        series: dict[str, np.ndarray] = {}
        for name, norm in _norms(agent).items():
            rate = agent.groups[name.split("/")[0]].optimiser.learning_rate
            with np.errstate(divide="ignore", invalid="ignore"):
                ratio = norm / self._initial[name]
                series[f"weight_norm/{name}"] = norm
                series[f"weight_norm_ratio/{name}"] = ratio
                series[f"effective_learning_rate/{name}"] = rate / ratio
        return series

    def at_end(self, agent: Agent) -> dict[str, np.ndarray]:
        return {}

    def files(self) -> dict[str, np.ndarray]:
        return {}

    def state(self) -> State:
        return {f"initial/{name}": norm for name, norm in self._initial.items()}

    def load_state(self, state: State) -> None:
        self._initial = {name: np.asarray(state[f"initial/{name}"]) for name in self._initial}


def _norms(agent: Agent) -> dict[str, np.ndarray]:
    """Frobenius norm `[S]` of every weight tensor by `group/layer`, summed in float64."""
    norms: dict[str, np.ndarray] = {}
    for group_name, group in agent.groups.items():
        for piece in group.parameters.slices:
            if piece.kind == "weight":
                weight = group.parameters.part(piece).flatten(1).double()
                norm = torch.linalg.vector_norm(weight, dim=1)
                norms[f"{group_name}/{piece.name.removesuffix('.weight')}"] = norm.cpu().numpy()
    return norms
