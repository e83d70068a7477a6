"""Normalize-and-Project (Lyle et al., NeurIPS 2024): norm layers, and weights of fixed norm.

No code was released with the paper. The projection keeps each tensor's own initial Frobenius norm
(Sec. 3.3), the affine treatments are those of App. D, and critics of continuous control have no
norm after their last hidden layer (App. E.1).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from itertools import pairwise
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import BaseModel, Field
from torch import Tensor

from suite.plugins.protocol import Agent, Plugin, PluginSettings
from suite.stacked.layers import (
    Activation,
    Affine,
    Convolution,
    Flatten,
    Layer,
    Linear,
    Mirrored,
    Network,
    Norm,
)
from suite.stacked.parameters import FlatParameters, ParameterGroup
from suite.stacked.streams import State


class NormSettings(PluginSettings):
    """Where norm layers go and what they are."""

    norm: Literal["layer", "rms"] = Field(description="layer or RMS normalisation")
    eps: float = Field(ge=0, description="added to the variance in a norm layer")
    first_layer: Literal["normed", "biased", "raw"] = Field(
        description="normed: as all others, without a bias; biased: it keeps its bias, projected "
        "jointly with its weight, by which a network tells x from 2 x; raw: it keeps its bias, and "
        "gets no norm and no projection"
    )
    critic_norm_last_hidden: bool = Field(
        description="norm a critic's last hidden layer too; the paper does not (App. E.1)"
    )


class NaPSettings(NormSettings):
    """Settings of NaP."""

    affine: Literal["free", "decay", "joint", "gain", "none"] = Field(
        description="gains and offsets: trained freely; pulled to (1, 0) at each step; projected "
        "jointly onto their initial norm; gains trained freely, offsets absent; both absent"
    )
    affine_decay: float = Field(
        ge=0, lt=1, description="share of the way to (1, 0) at each step, for affine: decay"
    )
    interval: int = Field(gt=0, description="optimiser steps between projections")
    schedule: Literal["constant", "linear"] = Field(
        description="learning rate of every group: as the agent sets it, or falling linearly"
    )
    schedule_ratio: float = Field(
        ge=1, description="initial over final learning rate, for schedule: linear"
    )
    schedule_fraction: float = Field(
        gt=0, le=1, description="share of all updates after which the final rate is reached"
    )


def normed_layers(network: Network, settings: NormSettings) -> tuple[str, ...]:
    """Names of the layers that need a norm behind them and have none: those whose output reaches
    a nonlinearity with at most a reshape between, less the exceptions of the settings."""
    feeding = []
    for index, layer in enumerate(network.layers):
        if isinstance(layer, Activation):
            before = [x for x in network.layers[:index] if not isinstance(x, Flatten | Mirrored)]
            feeding += before[-1:]
    if settings.first_layer == "raw":
        feeding = feeding[1:]
    if network.role == "critic" and not settings.critic_norm_last_hidden:
        feeding = feeding[:-1]
    return tuple(layer.name for layer in feeding if isinstance(layer, Linear | Convolution))


def insert_norms(network: Network, settings: NormSettings, affine: Affine) -> Network:
    """The network with a norm right behind each of its `normed_layers`; these, and layers that have
    a norm behind them already, lose their biases, but for a first layer that is `biased`."""
    names = normed_layers(network, settings)
    biased = _biased_layer(network, settings)
    already = {part.layer for part in network.parameter_slices() if part.followed_by_norm}
    layers: list[Layer] = []
    for layer, shape in zip(network.layers, network.output_shapes(), strict=True):
        if isinstance(layer, Linear | Convolution) and layer.name in names:
            layers.append(replace(layer, bias=layer.bias and layer.name == biased))
            layers.append(Norm(f"{layer.name}_norm", settings.norm, shape, affine, settings.eps))
        elif isinstance(layer, Linear | Convolution) and layer.name in already:
            layers.append(replace(layer, bias=False))
        else:
            layers.append(layer)
    return replace(network, layers=tuple(layers))


def _biased_layer(network: Network, settings: NormSettings) -> str | None:
    """The layer that keeps its bias before a norm, if one does."""
    names = (x.name for x in network.layers if isinstance(x, Linear | Convolution))
    return next(names) if settings.first_layer == "biased" else None


def linear_decay(updates: int, span: float, ratio: float) -> float:
    """The learning rate over the initial one after `updates` updates: in a line from 1 to 1 / ratio
    at update `span`, and 1 / ratio from there on (Sec. 4.2)."""
    return 1.0 - min(1.0, updates / span) * (1.0 - 1.0 / ratio)


class Projection:
    """Rescales tensors of a parameter group to the norms that they had when this was built.

    Each tensor of each network in the stack [S * copies] has a norm of its own, over all its
    elements. A network whose norm is 0 or not finite is left as it is. `tensors` are tuples of
    names of leaves; the leaves of one tuple are rescaled by one factor, from their joint norm.
    """

    def __init__(self, parameters: FlatParameters, tensors: Iterable[tuple[str, ...]]) -> None:
        self.names = tuple(tensors)
        self.leaves = [  # views [S * copies, elements]
            [parameters.leaves[name].detach().flatten(1) for name in names] for names in self.names
        ]
        self.copies = parameters.network.copies
        self.radius = self.norms()
        self.growth = torch.ones_like(self.radius)
        self._scale = torch.ones_like(self.radius)
        self._columns = self._scale.unsqueeze(2).unbind()

    def norms(self) -> Tensor:
        """Present norms [tensors, S * copies]."""
        return torch.stack([_joint_norm(leaves) for leaves in self.leaves])

    def project(self) -> None:
        """Rescale in place; `growth` then holds the norms before it, as multiples of the radii."""
        torch.div(self.norms(), self.radius, out=self.growth)
        # What is not finite is left alone by a scale of 1, zeros by any finite scale.
        torch.nan_to_num(self.growth, nan=1.0, posinf=1.0, out=self._scale)
        self._scale.clamp_(min=1e-30).reciprocal_()
        for leaves, column in zip(self.leaves, self._columns, strict=True):
            for leaf in leaves:
                leaf.mul_(column)

    def per_seed(self, figures: Tensor) -> Tensor:
        """Figures [tensors, S * copies] with a leading seed axis, [S, tensors, copies]."""
        return figures.view(len(self.names), -1, self.copies).transpose(0, 1)

    def state(self) -> State:
        return {"radius": self.per_seed(self.radius), "growth": self.per_seed(self.growth)}

    def load_state(self, state: State) -> None:
        for name in ("radius", "growth"):
            saved = torch.as_tensor(state[name]).transpose(0, 1)
            getattr(self, name).copy_(saved.reshape(self.radius.shape))

    def diagnostics(self) -> dict[str, np.ndarray]:
        """Norm before the latest projection over the radius, by tensor, largest of the copies."""
        growth = self.per_seed(self.growth).amax(2).double().cpu().numpy()
        return {"+".join(names): growth[:, index] for index, names in enumerate(self.names)}


def _joint_norm(leaves: list[Tensor]) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(leaves[0], dim=1)
    for leaf in leaves[1:]:
        norm = torch.hypot(norm, torch.linalg.vector_norm(leaf, dim=1))
    return norm


class NaP(Plugin):
    """Norms before nonlinearities, projection of the normed weights, learning-rate schedule.

    The projection runs after each optimiser step, before targets are updated, in place; optimiser
    moments are untouched. Output layers are never projected: they are not scale-invariant.
    """

    VERSION = 1
    kind = "nap"
    acting: ClassVar = {
        "norm": "layer",
        "eps": 1e-5,
        "first_layer": "normed",
        "critic_norm_last_hidden": False,
        "affine": "free",
        "affine_decay": 0.0,
        "interval": 1,
        "schedule": "linear",
        "schedule_ratio": 60.0,
        "schedule_fraction": 0.5,
    }
    Settings = NaPSettings

    def __init__(self, settings: NaPSettings) -> None:
        super().__init__(settings)
        self.settings = settings
        self.projections: dict[str, Projection] = {}
        self.joint: dict[str, Projection] = {}
        self.learning_rates: dict[str, float] = {}

    @classmethod
    def sets_learning_rate(cls, settings: BaseModel) -> bool:
        return isinstance(settings, NaPSettings) and settings.schedule == "linear"

    def change_network(self, network: Network) -> Network:
        """Raises ValueError for affine: joint with another activation than ReLU (App. D)."""
        s = self.settings
        kinds = {layer.kind for layer in network.layers if isinstance(layer, Activation)}
        if s.affine == "joint" and kinds - {"relu"}:
            raise ValueError(
                f"network {network.name!r} has activations {sorted(kinds)}: affine: joint keeps "
                "the function of ReLU networks only; take free, decay, gain or none"
            )
        return insert_norms(network, s, s.affine if s.affine in ("gain", "none") else "both")

    def attach(self, agent: Agent, total_updates: int) -> None:
        """Raises ValueError for a network that lacks a norm where NaP needs one."""
        self.total_updates = total_updates
        self.seeds = agent.groups[agent.policy].parameters.flat.shape[0]
        for name, group in agent.groups.items():
            self.learning_rates[name] = group.optimiser.learning_rate
            weights = weights_before_norms(group.network)
            faults = coverage_faults(group.network, weights, self.settings)
            if faults:
                raise ValueError(f"NaP does not fit group {name!r}: {'; '.join(faults)}")
            if weights:
                tensors = [with_bias(group.network, weight) for weight in weights]
                self.projections[name] = Projection(group.parameters, tensors)
            pairs = joint_affines(group.network)
            if pairs and self.settings.affine == "joint":
                self.joint[name] = Projection(group.parameters, pairs)
            group.after_step.append(self.after_step)

    def after_step(self, group: ParameterGroup) -> None:
        """Hook of every group: decay of the affine parameters, then projection."""
        s = self.settings
        if s.affine == "decay":
            for part in group.network.parameter_slices():
                if part.kind in ("gain", "offset"):
                    leaf = group.parameters.leaves[part.name].detach()
                    leaf.mul_(1.0 - s.affine_decay)
                    if part.kind == "gain":
                        leaf.add_(s.affine_decay)
        if group.steps % s.interval == 0:
            for projections in (self.projections, self.joint):
                if group.name in projections:
                    projections[group.name].project()

    def after_update(self, agent: Agent) -> None:
        """Sets the learning rate of the next update."""
        s = self.settings
        if s.schedule == "linear":
            span = s.schedule_fraction * self.total_updates
            factor = linear_decay(agent.updates, span, s.schedule_ratio)
            for name, group in agent.groups.items():
                group.optimiser.learning_rate = self.learning_rates[name] * factor

    def state(self) -> State:
        """Radii, latest growth and the initial learning rates."""
        state: State = {}
        for name, learning_rate in self.learning_rates.items():
            state[f"learning_rate/{name}"] = np.full(self.seeds, learning_rate)
            for part, projections in (("weights", self.projections), ("affine", self.joint)):
                if name in projections:
                    saved = projections[name].state()
                    state |= {f"{part}/{name}/{key}": value for key, value in saved.items()}
        return state

    def load_state(self, state: State) -> None:
        for name in self.learning_rates:
            self.learning_rates[name] = float(state[f"learning_rate/{name}"][0])
            for part, projections in (("weights", self.projections), ("affine", self.joint)):
                if name in projections:
                    keys = ("radius", "growth")
                    projections[name].load_state({k: state[f"{part}/{name}/{k}"] for k in keys})

    def diagnostics(self) -> dict[str, np.ndarray]:
        """Norm before the latest projection over the kept one, by group and tensor."""
        return {
            f"growth/{name}/{tensor}": value
            for name, projection in self.projections.items()
            for tensor, value in projection.diagnostics().items()
        }


def weights_before_norms(network: Network) -> list[str]:
    """Names of the weights that NaP projects: those of layers whose output goes into a norm."""
    parts = network.parameter_slices()
    return [part.name for part in parts if part.kind == "weight" and part.followed_by_norm]


def with_bias(network: Network, weight: str) -> tuple[str, ...]:
    """A weight, and its layer's bias if that has one: the norm behind is blind to the scale of both
    together."""
    bias = f"{weight.removesuffix('weight')}bias"
    return (weight, bias) if bias in {x.name for x in network.parameter_slices()} else (weight,)


def joint_affines(network: Network) -> list[tuple[str, ...]]:
    """Gain and offset of each norm whose output a normed layer takes in.

    Of those the joint scale is free; the last one feeds a layer that is not scale-invariant. Their
    initial joint norm is the root of the number of units.
    """
    names: list[tuple[str, ...]] = []
    waiting: Norm | None = None
    parts = network.parameter_slices()
    for layer in network.layers:
        if isinstance(layer, Norm):
            waiting = layer if layer.affine == "both" else None
        elif isinstance(layer, Linear | Convolution) and waiting is not None:
            if any(part.followed_by_norm for part in parts if part.layer == layer.name):
                names.append((f"{waiting.name}.gain", f"{waiting.name}.offset"))
            waiting = None
    return names


def coverage_faults(
    network: Network, projected: Collection[str], settings: NormSettings
) -> list[str]:
    """What is wrong with a network under NaP, in words; empty if nothing is.

    `projected` names the tensors that are projected. Every nonlinearity that parameters feed must
    have a norm right before it (but for the exceptions of the settings), normed layers have no
    bias (a first one that is `biased` has), and the projected tensors are the normed layers'
    weights, all of them and no others: a layer without a norm behind it, above all the output, is
    not scale-invariant.
    """
    faults, scale_free = [], set()
    biased = _biased_layer(network, settings)
    for layer, following in pairwise(network.layers):
        if isinstance(layer, Linear | Convolution) and isinstance(following, Norm):
            scale_free.add(f"{layer.name}.weight")
            if layer.bias and layer.name != biased:
                faults.append(f"{layer.name} has a bias before its norm")
    unnormed = normed_layers(network, settings)
    faults += [f"{name} feeds a nonlinearity without a norm" for name in unnormed]
    faults += [f"{n} feeds a norm and is not projected" for n in sorted(scale_free - {*projected})]
    faults += [f"{n} is projected and feeds no norm" for n in sorted({*projected} - scale_free)]
    return faults
