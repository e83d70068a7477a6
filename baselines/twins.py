"""Coupled networks: a free one and its projected twin on the same data (NaP paper, Fig. 3).

Both start as the same network with norm layers and see the same batches. The free one is trained as
ever, and its weights grow; the weights of the twin are put back to their initial norms after every
step, and its steps are matched to the free one's effective learning rates, or not.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from baselines.classifier import Classifier, ClassifierSettings
from suite.stacked.layers import Layer, Linear, Network, Norm
from suite.stacked.optimisers import SGD, Adam
from suite.stacked.parameters import FlatParameters, ParameterGroup, ParameterSlice
from suite.stacked.replay import Batch
from suite.stacked.spaces import ActionSpec
from suite.stacked.streams import State, add_prefix, take_prefix


class TwinsSettings(ClassifierSettings):
    """Settings of both networks, and of how the projected one follows the free one."""

    optimiser: Literal["adam", "sgd"] = Field(description="of both")
    matching: Literal["layer", "global", "none"] = Field(
        description="effective learning rates of the projected network: each layer's as in the "
        "free one; one factor for all parameters, from the norm of all projected ones; constant"
    )
    rescale_gradients: bool = Field(
        description="divide the projected network's gradients by what its steps are divided by, as "
        "well: the rule of SGD, whose effective learning rate falls with the square of the norm, "
        "and what Adam's moments need to be those of the free network"
    )


class Twins(Classifier):
    """S seeds of a pair of classifiers in float64, each trained as one stack.

    The policy is the projected one. The weights that are projected are those before a norm.

    Raises ValueError for an action space that is not labels.
    """

    VERSION: ClassVar[int] = 1
    Settings: ClassVar[type[TwinsSettings]] = TwinsSettings
    kind: ClassVar[str] = "twins"
    settings: TwinsSettings

    def __init__(
        self,
        settings: TwinsSettings,
        observation_shape: tuple[int, ...],
        action_spec: ActionSpec,
        seeds: Sequence[int],
        change_network: Callable[[Network], Network],
        device: str = "cpu",
    ) -> None:
        super().__init__(settings, observation_shape, action_spec, seeds, change_network, device)
        start = self.groups["classifier"].parameters.flat.double()
        for name in ("classifier", "free"):
            parameters = FlatParameters(self.network, start.clone())
            self.groups[name] = ParameterGroup(name, parameters, self._optimiser(parameters))
        self.projected = [
            part
            for part in self.groups["free"].parameters.slices
            if part.kind == "weight" and part.followed_by_norm
        ]
        self.radius = self._norms("classifier")

    def plain_network(self, observation_shape: tuple[int, ...], classes: int) -> Network:
        """Layer norm, without epsilon, gains and offsets, before every nonlinearity: networks whose
        outputs do not depend on the norms of their hidden weights."""
        network = super().plain_network(observation_shape, classes)
        layers: list[Layer] = []
        for layer, shape in zip(network.layers, network.output_shapes(), strict=True):
            layers.append(layer)
            if isinstance(layer, Linear) and layer.name != "output":
                layers.append(Norm(f"{layer.name}_norm", "layer", shape, affine="none", eps=0.0))
        return replace(network, layers=tuple(layers))

    def _optimiser(self, parameters: FlatParameters) -> Adam | SGD:
        s = self.settings
        if s.optimiser == "sgd":
            return SGD(parameters.flat, s.learning_rate)
        betas = (s.adam_beta1, s.adam_beta2)
        return Adam(parameters.flat, s.learning_rate, betas, s.adam_epsilon)

    @torch.no_grad()
    def greedy(self, observations: np.ndarray) -> np.ndarray:
        """The projected network's most likely labels, [S, B] for [S, B, inputs]."""
        x = torch.tensor(observations, dtype=torch.float64, device=self.device)
        logits = self.network.forward(self.groups["classifier"].parameters.leaves, x)
        return logits.argmax(dim=-1).cpu().numpy()

    def update(self, batch: Batch) -> None:
        """One step of both networks, then the projection of one."""
        free, projected = self.groups["free"], self.groups["classifier"]
        growth = self._growth()
        loss = self.loss(projected.parameters.leaves, batch)
        gradient = projected.gradient(loss)
        if self.settings.rescale_gradients:
            gradient /= growth
        weights = projected.parameters.flat.detach()
        before = weights.clone()
        projected.descend(gradient, loss)
        weights.copy_(before + (weights - before) / growth)
        self._project()
        free.step(self.loss(free.parameters.leaves, batch))
        self.updates += 1

    def loss(self, parameters: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Each seed's mean cross-entropy [S]; `batch.action` [S, B] holds the labels."""
        doubled: Batch = replace(batch, observation=batch.observation.double())
        loss: Tensor = super().loss(parameters, doubled)
        return loss

    def losses(self) -> dict[str, Callable[[Mapping[str, Tensor], Batch], Tensor]]:
        """Each network's loss as a pure function of (parameters, batch)."""
        return {"classifier": self.loss, "free": self.loss}

    def _growth(self) -> Tensor:
        """What the projected network's steps are divided by, [S, m]: the free one's norms over its
        own."""
        factors: Tensor = torch.ones_like(self.groups["free"].parameters.flat)
        if self.settings.matching == "none":
            return factors
        norms = self._norms("free")
        if self.settings.matching == "global":
            # One by one: a reduction over weights would round differently in another group.
            squares = [sum(norm.square() for norm in some) for some in (norms, self.radius)]
            factors *= torch.sqrt(squares[0] / squares[1]).unsqueeze(1)
            return factors
        for part, norm, radius in zip(self.projected, norms, self.radius, strict=True):
            factors[:, part.start : part.stop] = (norm / radius).unsqueeze(1)
        return factors

    def _project(self) -> None:
        norms = self._norms("classifier")
        for part, norm, radius in zip(self.projected, norms, self.radius, strict=True):
            self._columns("classifier", part).mul_((radius / norm).unsqueeze(1))

    def _norms(self, group: str) -> Tensor:
        """Norms of the weights that are projected, [weights, S]."""
        return torch.stack(
            [torch.linalg.vector_norm(self._columns(group, part), dim=1) for part in self.projected]
        )

    def _columns(self, group: str, part: ParameterSlice) -> Tensor:
        return self.groups[group].parameters.flat.detach()[:, part.start : part.stop]

    def state(self) -> State:
        """Both groups, the kept norms and the number of updates."""
        state: State = {
            "updates": np.full(len(self.seeds), self.updates),
            "radius": self.radius.T,
        }
        for name, group in self.groups.items():
            state |= add_prefix(name, group.state())
        return state

    def load_state(self, state: State) -> None:
        """Continue from what `state` returned."""
        self.updates = int(state["updates"][0])
        self.radius = torch.as_tensor(state["radius"]).T.clone()
        for name, group in self.groups.items():
            group.load_state(take_prefix(name, state))


# Differences from the paper, which prints neither data order nor learning rate: its networks are
# convolutional ones on CIFAR-10 with Adam, whose gains and offsets it projects jointly. It does not
# say how Adam's moments are treated; matching step sizes alone is not exact (`rescale_gradients`).
