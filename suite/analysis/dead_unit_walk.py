"""Dead units as a random walk, with and without normalisation (NaP paper App. C.4).

A state v in R^d receives random gradients z ~ N(0, I) through a ReLU; a unit is dead while its
coordinate is negative, because then nothing moves it:

    gradient:        v += step 1[v > 0] z
    gradient, norm:  v += step grad_v z' relu(v / |v|)
    sign:            the sign of the same, as under RMSProp or Adam

The paper prints max(v, 0) z for the first rule; the indicator is the derivative of the ReLU and
gives the same under the sign. With `layer`, v is centred before it is divided by its norm, and dead
units are counted after centring. Dimension, start and step size are not given in the paper.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from suite.stacked.streams import SeedStreams, State, add_prefix, take_prefix


class DeadUnitWalkSettings(BaseModel):
    """Settings of the random-walk model."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    dimension: int = Field(ge=2, description="d, number of units")
    update: Literal["gradient", "sign"] = Field(description="plain gradients or their signs")
    norm: Literal["none", "rms", "layer"] = Field(description="what comes before the ReLU")
    step_size: float = Field(gt=0, description="factor of every update")


class DeadUnitWalk:
    """S independent walks from v ~ N(0, I), in float64."""

    VERSION = 1
    Settings = DeadUnitWalkSettings
    kind = "dead_unit_walk"
    loop = "simulation"
    actions = ("none",)
    observations = ("none",)

    def __init__(self, settings: DeadUnitWalkSettings, seeds: Sequence[int]) -> None:
        self.settings = settings
        self.streams = SeedStreams(seeds, "dead_unit_walk")
        self.values = self.streams.normal(settings.dimension).astype(np.float64)
        self.history = self._dead_fraction()[:, None]

    def advance(self) -> None:
        """One update of every walk."""
        gradient = self._gradient(self.streams.normal(self.settings.dimension))
        if self.settings.update == "sign":
            gradient = np.sign(gradient)
        self.values = self.values + self.settings.step_size * gradient
        self.history = np.concatenate((self.history, self._dead_fraction()[:, None]), axis=1)

    def figures(self) -> dict[str, np.ndarray]:
        """Each [S]: the share of dead units now and on average over the last half of the steps so
        far, and how often the share has fallen from one step to the next."""
        steps = self.history.shape[1] - 1
        return {
            "dead_fraction": self.history[:, -1],
            "dead_fraction_last_half": self.history[:, -max(1, steps // 2) :].mean(axis=1),
            "downward_moves": (np.diff(self.history, axis=1) < 0).sum(axis=1).astype(np.float64),
        }

    def _gradient(self, noise: np.ndarray) -> np.ndarray:
        if self.settings.norm == "none":
            return noise * (self.values > 0)
        centred = self._centred()
        length = np.sqrt((centred**2).sum(axis=1, keepdims=True))
        direction = centred / length
        through = noise * (direction > 0)
        along = (direction * through).sum(axis=1, keepdims=True)
        gradient: np.ndarray = (through - direction * along) / length
        if self.settings.norm == "layer":
            gradient = gradient - gradient.mean(axis=1, keepdims=True)
        return gradient

    def _centred(self) -> np.ndarray:
        if self.settings.norm == "layer":
            centred: np.ndarray = self.values - self.values.mean(axis=1, keepdims=True)
            return centred
        return self.values

    def _dead_fraction(self) -> np.ndarray:
        fraction: np.ndarray = (self._centred() < 0).mean(axis=1)
        return fraction

    def state(self) -> State:
        """Coordinates, history and streams."""
        state: State = {"values": self.values, "history": self.history}
        return state | add_prefix("stream", self.streams.state())

    def load_state(self, state: State) -> None:
        """Continue from what `state` returned."""
        self.values = np.array(state["values"])
        self.history = np.array(state["history"])
        self.streams.load_state(take_prefix("stream", state))
