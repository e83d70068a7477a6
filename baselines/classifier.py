"""Networks that learn labels: the agents of the synthetic plasticity tasks.

Normalize-and-Project (Lyle et al. 2024), section 3.1, studies such networks on labels that change.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from baselines.networks import MOST_LAYERS, MOST_UNITS, mlp
from suite.stacked.layers import (
    Activation,
    ChannelsFirst,
    Convolution,
    Flatten,
    Layer,
    Network,
)
from suite.stacked.optimisers import Adam
from suite.stacked.parameters import FlatParameters, ParameterGroup
from suite.stacked.replay import Batch
from suite.stacked.spaces import ActionSpec
from suite.stacked.streams import State, add_prefix, take_prefix


class ClassifierSettings(BaseModel):
    """Settings of the classifier."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    batch_size: int = Field(gt=0, description="examples per update and seed")
    hidden_layers: int = Field(gt=0, le=MOST_LAYERS, description="hidden layers")
    hidden_units: int = Field(gt=0, le=MOST_UNITS, description="units of a hidden layer")
    learning_rate: float = Field(ge=0, description="Adam's step size")
    adam_beta1: float = Field(ge=0, lt=1, description="Adam's decay of the mean gradient")
    adam_beta2: float = Field(ge=0, lt=1, description="Adam's decay of the squared gradient")
    adam_epsilon: float = Field(ge=0, description="Adam's epsilon")


class ImageClassifierSettings(ClassifierSettings):
    """Settings of the classifier of images."""

    convolutions: int = Field(gt=0, le=MOST_LAYERS, description="3x3 convolutions of stride 1")
    filters: int = Field(gt=0, le=MOST_UNITS, description="of a convolution")


class Classifier:
    """S seeds of a ReLU network without biases, He initialisation, trained as one stack by Adam.
    Images are taken as vectors.

    Raises ValueError for an action space that is not labels.
    """

    VERSION: ClassVar[int] = 1
    Settings: ClassVar[type[ClassifierSettings]] = ClassifierSettings
    kind: ClassVar[str] = "classifier"
    loop: ClassVar[str] = "supervised"
    actions: ClassVar[tuple[str, ...]] = ("labels",)
    observations: ClassVar[tuple[str, ...]] = ("vector", "grid")

    def __init__(
        self,
        settings: ClassifierSettings,
        observation_shape: tuple[int, ...],
        action_spec: ActionSpec,
        seeds: Sequence[int],
        change_network: Callable[[Network], Network],
        device: str = "cpu",
    ) -> None:
        if action_spec.kind != "labels":
            raise ValueError(f"a classifier needs labels, got {action_spec}")
        s = self.settings = settings
        self.seeds = tuple(seeds)
        self.device = device

        self.network = change_network(self.plain_network(observation_shape, action_spec.size))
        parameters = FlatParameters.initialise(self.network, seeds, "classifier", device)
        betas = (s.adam_beta1, s.adam_beta2)
        optimiser = Adam(parameters.flat, s.learning_rate, betas, s.adam_epsilon)
        self.groups = {"classifier": ParameterGroup("classifier", parameters, optimiser)}
        self.policy = "classifier"
        self.updates = 0

    def plain_network(self, observation_shape: tuple[int, ...], classes: int) -> Network:
        """The network before plug-ins change it."""
        s = self.settings
        shape = (math.prod(observation_shape), s.hidden_layers, s.hidden_units, classes)
        network = mlp("classifier", "classifier", *shape, bias=False, initialiser="he_normal")
        if len(observation_shape) == 1:
            return network
        return replace(network, layers=(Flatten(), *network.layers), input_shape=observation_shape)

    @torch.no_grad()
    def greedy(self, observations: np.ndarray) -> np.ndarray:
        """The most likely labels, [S, B] for [S, B, inputs]."""
        x = torch.tensor(observations, dtype=torch.float32, device=self.device)
        logits = self.network.forward(self.groups["classifier"].parameters.leaves, x)
        return logits.argmax(dim=-1).cpu().numpy()

    def update(self, batch: Batch) -> None:
        """One optimiser step."""
        group = self.groups["classifier"]
        group.step(self.loss(group.parameters.leaves, batch))
        self.updates += 1

    def loss(self, parameters: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Each seed's mean cross-entropy [S]; `batch.action` [S, B] holds the labels."""
        logits = self.network.forward(parameters, batch.observation)
        losses = F.cross_entropy(logits.flatten(0, 1), batch.action.flatten(), reduction="none")
        return losses.view(batch.action.shape).mean(dim=1)

    def losses(self) -> dict[str, Callable[[Mapping[str, Tensor], Batch], Tensor]]:
        """The group's loss as a pure function of (parameters, batch)."""
        return {"classifier": self.loss}

    def state(self) -> State:
        """The group and the number of updates."""
        state: State = {"updates": np.full(len(self.seeds), self.updates)}
        return state | add_prefix("classifier", self.groups["classifier"].state())

    def load_state(self, state: State) -> None:
        """Continue from what `state` returned."""
        self.updates = int(state["updates"][0])
        self.groups["classifier"].load_state(take_prefix("classifier", state))


class ImageClassifier(Classifier):
    """The same with convolutions before the hidden layers (NaP paper, appendix B.4)."""

    VERSION = 1
    Settings = ImageClassifierSettings
    kind = "image_classifier"
    observations = ("grid",)
    settings: ImageClassifierSettings

    @classmethod
    def refuses(
        cls,
        settings: ImageClassifierSettings,
        observation_shape: tuple[int, ...],
        action_spec: ActionSpec,
    ) -> str | None:
        """Why it can't take such images; None if it can."""
        least = 2 * settings.convolutions + 1
        if len(observation_shape) == 3 and min(observation_shape[:2]) < least:
            height, width, _ = observation_shape
            count = settings.convolutions
            return f"images of {height} x {width} are too small for {count} convolutions of 3 x 3"
        return None

    def plain_network(self, observation_shape: tuple[int, ...], classes: int) -> Network:
        """The network before plug-ins change it."""
        s = self.settings
        height, width, channels = observation_shape
        layers: list[Layer] = [ChannelsFirst()]
        for number in range(1, s.convolutions + 1):
            shape = (channels, s.filters, 3, 1)
            layers.append(Convolution(f"conv{number}", *shape, bias=False, initialiser="he_normal"))
            layers.append(Activation("relu"))
            channels, height, width = s.filters, height - 2, width - 2
        sizes = (channels * height * width, s.hidden_layers, s.hidden_units, classes)
        perceptron = mlp("classifier", "classifier", *sizes, bias=False, initialiser="he_normal")
        layers += [Flatten(), *perceptron.layers]
        return Network("classifier", "classifier", tuple(layers), observation_shape)


# Differences from the authors' code: none was published. The layer sizes, Adam and He
# initialisation are this project's choice for a small version of the paper's relabelling task.
