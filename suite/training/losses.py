"""The losses that groups of networks step on, averaged between evaluations."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from suite.stacked.parameters import ParameterGroup
from suite.stacked.streams import State, add_prefix, take_prefix


class Losses:
    """Each seed's mean loss by group since the last `take`, summed in float64."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._sums: dict[str, Tensor] = {}
        self._steps: dict[str, int] = {}
        self._seen: dict[str, int] = {}  # optimiser steps of a group that were looked at

    def add(self, groups: Mapping[str, ParameterGroup]) -> None:
        """Take in the loss of every group that has stepped since the last call."""
        for name, group in groups.items():
            if group.loss is None or group.steps == self._seen.get(name):
                continue
            self._seen[name] = group.steps
            if name in self._sums:
                # What was loaded lies on the CPU.
                self._sums[name] = self._sums[name].to(group.loss.device).add_(group.loss)
                self._steps[name] += 1
            else:
                self._sums[name], self._steps[name] = group.loss.double(), 1

    def take(self) -> dict[str, np.ndarray]:
        """`loss/<group>` `[S]` of the groups that have stepped; starts the means anew."""
        means = {
            f"loss/{name}": (total / self._steps[name]).cpu().numpy()
            for name, total in self._sums.items()
        }
        self._sums, self._steps = {}, {}
        return means

    def state(self) -> State:
        steps = {name: np.full(self._count, number) for name, number in self._steps.items()}
        return {**add_prefix("sum", self._sums), **add_prefix("steps", steps)}

    def load_state(self, state: State) -> None:
        sums, steps = take_prefix("sum", state), take_prefix("steps", state)
        self._sums = {name: torch.as_tensor(total).clone() for name, total in sums.items()}
        self._steps = {name: int(number[0]) for name, number in steps.items()}
