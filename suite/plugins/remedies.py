"""Remedies for lost plasticity: those that the NaP paper compares (Fig. 5), and others.

All act on weights and biases of every parameter group; gains, offsets and learned constants are
left alone. What they draw anew comes from streams that name seed, remedy and moment.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from pydantic import BaseModel, Field
from torch import Tensor

from suite.plugins.protocol import Agent, Plugin, PluginSettings
from suite.stacked.layers import Activation, Convolution, Layer, Linear, Mirrored, Network
from suite.stacked.parameters import FlatParameters, ParameterGroup
from suite.stacked.streams import SeedStreams, State, add_prefix, take_prefix


class NoSettings(PluginSettings):
    """There is nothing to set."""


class CoefficientSettings(PluginSettings):
    """Settings of a pull on the parameters."""

    coefficient: float = Field(
        ge=0,
        description="of half the sum of squares that the loss gains; of weight decay, the share by "
        "which parameters shrink at a step, over the learning rate",
    )


class Pull(Plugin, ABC):
    """Pulls at weights and biases at every optimiser step; nothing at coefficient 0."""

    acting: ClassVar = {"coefficient": 0.01}
    neutral: ClassVar = {"coefficient": 0.0}
    Settings = CoefficientSettings

    def __init__(self, settings: CoefficientSettings) -> None:
        super().__init__(settings)
        self.settings = settings
        self.learned: dict[str, Tensor] = {}

    def attach(self, agent: Agent, total_updates: int) -> None:
        for name, group in agent.groups.items():
            self.learned[name] = _weights_and_biases(group.parameters)
            if self.settings.coefficient:
                group.before_step.append(self.before_step)

    @abstractmethod
    def before_step(self, group: ParameterGroup, gradient: Tensor) -> None:
        """Hook of every group."""


class L2(Pull):
    """Half the squared norm of the parameters, times a coefficient, in the loss: it passes through
    the optimiser as any gradient does, which decoupled weight decay does not."""

    VERSION = 1
    kind = "l2"

    def before_step(self, group: ParameterGroup, gradient: Tensor) -> None:
        pull = group.parameters.flat.detach() * self.learned[group.name]
        gradient.add_(pull, alpha=self.settings.coefficient)


class Regenerative(Pull):
    """Half the squared distance from the initial parameters, times a coefficient, in the loss
    (L2 Init: Kumar, Marklund and Van Roy 2023)."""

    VERSION = 1
    kind = "regenerative"

    def attach(self, agent: Agent, total_updates: int) -> None:
        super().attach(agent, total_updates)
        self.start = {
            name: group.parameters.flat.detach().clone() for name, group in agent.groups.items()
        }

    def before_step(self, group: ParameterGroup, gradient: Tensor) -> None:
        pull = (group.parameters.flat.detach() - self.start[group.name]) * self.learned[group.name]
        gradient.add_(pull, alpha=self.settings.coefficient)

    def state(self) -> State:
        return dict(self.start)

    def load_state(self, state: State) -> None:
        for name, start in self.start.items():
            start.copy_(torch.as_tensor(state[name]))


class WeightDecay(Pull):
    """Parameters shrink at every step by the learning rate times a coefficient, outside the loss
    (AdamW: Loshchilov and Hutter, ICLR 2019)."""

    VERSION = 1
    kind = "weight_decay"
    acting: ClassVar = {"coefficient": 1.0}

    def before_step(self, group: ParameterGroup, gradient: Tensor) -> None:
        flat = group.parameters.flat.detach()
        share = group.optimiser.learning_rate * self.settings.coefficient
        flat.addcmul_(flat, self.learned[group.name], value=-share)


class ShrinkPerturbSettings(PluginSettings):
    """Settings of shrink and perturb."""

    interval: int = Field(gt=0, description="optimiser steps between two of them")
    shrink: float = Field(ge=0, le=1, description="what the parameters are multiplied by")
    perturb: float = Field(ge=0, description="share of fresh initial parameters that is added")


class ShrinkPerturb(Plugin):
    """Parameters are shrunk towards 0, and a share of fresh initial ones is added (Ash and Adams
    2020)."""

    VERSION = 1
    kind = "shrink_perturb"
    acting: ClassVar = {"interval": 4, "shrink": 0.9, "perturb": 0.1}
    neutral: ClassVar = {"interval": 4, "shrink": 1.0, "perturb": 0.0}
    Settings = ShrinkPerturbSettings

    def __init__(self, settings: ShrinkPerturbSettings) -> None:
        super().__init__(settings)
        self.settings = settings

    def attach(self, agent: Agent, total_updates: int) -> None:
        self.seeds = agent.seeds
        for group in agent.groups.values():
            group.after_step.append(self.after_step)

    def after_step(self, group: ParameterGroup) -> None:
        """Hook of every group."""
        s = self.settings
        if group.steps % s.interval == 0 and (s.shrink, s.perturb) != (1.0, 0.0):
            fresh = _fresh(group, self.seeds, f"{self.kind}/{group.steps}")
            changed = s.shrink * group.parameters.flat.detach() + s.perturb * fresh
            _replace(group, _weights_and_biases(group.parameters), changed)


class UpdateNoiseSettings(PluginSettings):
    """Settings of noise in the updates."""

    scale: float = Field(ge=0, description="standard deviation of what a parameter gains by a step")


class UpdateNoise(Plugin):
    """Gaussian noise on every parameter after every optimiser step."""

    VERSION = 1
    kind = "update_noise"
    acting: ClassVar = {"scale": 0.001}
    neutral: ClassVar = {"scale": 0.0}
    Settings = UpdateNoiseSettings

    def __init__(self, settings: UpdateNoiseSettings) -> None:
        super().__init__(settings)
        self.settings = settings
        self.streams: dict[str, SeedStreams] = {}
        self.scales: dict[str, Tensor] = {}

    def attach(self, agent: Agent, total_updates: int) -> None:
        if self.settings.scale == 0:
            return
        for name, group in agent.groups.items():
            self.streams[name] = SeedStreams(agent.seeds, f"{self.kind}/{name}")
            self.scales[name] = self.settings.scale * _weights_and_biases(group.parameters)
            group.after_step.append(self.after_step)

    def after_step(self, group: ParameterGroup) -> None:
        """Hook of every group."""
        flat = group.parameters.flat.detach()
        noise = self.streams[group.name].normal(flat.shape[1])
        flat.addcmul_(torch.as_tensor(noise, device=flat.device), self.scales[group.name])

    def state(self) -> State:
        state: State = {}
        for name, streams in self.streams.items():
            state |= add_prefix(name, streams.state())
        return state

    def load_state(self, state: State) -> None:
        for name, streams in self.streams.items():
            streams.load_state(take_prefix(name, state))


class ReDoSettings(PluginSettings):
    """Settings of ReDo."""

    interval: int = Field(gt=0, description="learn calls between two looks at the units")
    threshold: float = Field(
        ge=0, description="tau: most of its layer's mean activation that a unit has to be reset"
    )


class ReDo(Plugin):
    """Recycles dormant units (Sokar et al., ICML 2023, Alg. 1): incoming weights are drawn anew,
    outgoing ones become 0, and so do the optimiser's moments of both.

    A unit is dormant if its mean activation, by size, over the batch that is learned from is at
    most `threshold` of its layer's mean. Feature maps count as units.
    """

    VERSION = 1
    kind = "redo"
    acting: ClassVar = {"interval": 4, "threshold": 0.7}
    neutral: ClassVar = {"interval": 10**6, "threshold": 0.0}
    Settings = ReDoSettings

    def __init__(self, settings: ReDoSettings) -> None:
        super().__init__(settings)
        self.settings = settings
        self.observations: Tensor | None = None

    @classmethod
    def refuses(
        cls, settings: BaseModel, agent_kind: str, agent_settings: Mapping[str, Any]
    ) -> str | None:
        if agent_kind in ("classifier", "image_classifier", "dqn"):
            return None
        reason = super().refuses(settings, agent_kind, agent_settings)
        return reason or "it needs networks that take observations and nothing else"

    def attach(self, agent: Agent, total_updates: int) -> None:
        """Raises ValueError for a network with mirrored features, which have no unit of their
        own."""
        for group in agent.groups.values():
            if any(isinstance(layer, Mirrored) for layer in group.network.layers):
                raise ValueError(f"redo can't recycle mirrored units of group {group.name!r}")

    def before_update(self, agent: Agent, observations: Tensor) -> None:
        if (agent.updates + 1) % self.settings.interval == 0:
            self.observations = observations

    def after_update(self, agent: Agent) -> None:
        if agent.updates % self.settings.interval == 0 and self.observations is not None:
            for group in agent.groups.values():
                self._recycle(group, agent.seeds, self.observations, agent.updates)
            self.observations = None

    def _recycle(
        self, group: ParameterGroup, seeds: tuple[int, ...], observations: Tensor, moment: int
    ) -> None:
        network, parameters = group.network, group.parameters
        trace: dict[str, Tensor] = {}
        with torch.no_grad():
            network.forward(parameters.leaves, observations.to(torch.float32), trace)
        drawn, zeroed = (torch.zeros_like(parameters.flat, dtype=torch.bool) for _ in range(2))
        incoming, outgoing = parameters.with_flat(drawn), parameters.with_flat(zeroed)
        for layer, following in _hidden_pairs(network):
            size = trace[f"{layer.name}_activation"].abs().transpose(1, 2).flatten(2).mean(2)
            dormant = size <= self.settings.threshold * size.mean(1, keepdim=True)
            into = incoming[f"{layer.name}.weight"]
            into |= _along(dormant, into, 1 if isinstance(layer, Convolution) else 2)
            if layer.bias:
                into = incoming[f"{layer.name}.bias"]
                into |= _along(dormant, into, 2)
            out = outgoing[f"{following.name}.weight"]
            if isinstance(following, Linear):  # every place of a feature map is an input
                out = out.view(*dormant.shape, -1, out.shape[-1])
            out |= _along(dormant, out, 2 if isinstance(following, Convolution) else 1)
        changed = _fresh(group, seeds, f"{self.kind}/{moment}").masked_fill(zeroed, 0.0)
        _replace(group, drawn | zeroed, changed)
        group.reset_moments(drawn | zeroed)


class LeakyReLU(Plugin):
    """ReLU lets a hundredth of what is negative through."""

    VERSION = 1
    kind = "leaky_relu"
    acting: ClassVar[dict[str, object]] = {}
    Settings = NoSettings

    def change_network(self, network: Network) -> Network:
        layers = (
            Activation("leaky_relu") if layer == Activation("relu") else layer
            for layer in network.layers
        )
        return replace(network, layers=tuple(layers))


class CReLU(Plugin):
    """Concatenated ReLU (Shang et al. 2016): a layer gives the positive parts of its outputs and of
    their negatives, so that one of each pair is active. The next layer has twice the inputs."""

    VERSION = 1
    kind = "crelu"
    acting: ClassVar[dict[str, object]] = {}
    Settings = NoSettings

    def change_network(self, network: Network) -> Network:
        layers: list[Layer] = []
        doubled = False
        for layer in network.layers:
            if layer == Activation("relu"):
                layers += [Mirrored(), layer]
                doubled = True
            elif isinstance(layer, Linear) and doubled:
                layers.append(replace(layer, inputs=2 * layer.inputs))
                doubled = False
            elif isinstance(layer, Convolution) and doubled:
                layers.append(replace(layer, in_channels=2 * layer.in_channels))
                doubled = False
            else:
                layers.append(layer)
        return replace(network, layers=tuple(layers))


class LayerResetSettings(PluginSettings):
    """Settings of resets of the last layers."""

    interval: int = Field(gt=0, description="optimiser steps between resets")
    layers: int = Field(gt=0, description="how many of the last layers are drawn anew")


class LayerReset(Plugin):
    """The last layers are drawn anew from time to time, with their optimiser moments (Nikishin et
    al., ICML 2022)."""

    VERSION = 1
    kind = "layer_reset"
    acting: ClassVar = {"interval": 4, "layers": 1}
    neutral: ClassVar = {"interval": 10**6, "layers": 1}
    Settings = LayerResetSettings

    def __init__(self, settings: LayerResetSettings) -> None:
        super().__init__(settings)
        self.settings = settings

    def attach(self, agent: Agent, total_updates: int) -> None:
        self.seeds = agent.seeds
        for group in agent.groups.values():
            group.after_step.append(self.after_step)

    def after_step(self, group: ParameterGroup) -> None:
        """Hook of every group."""
        if group.steps % self.settings.interval == 0:
            layers = [x for x in group.network.layers if isinstance(x, Linear | Convolution)]
            names = {layer.name for layer in layers[-self.settings.layers :]}
            reset = torch.zeros_like(group.parameters.flat, dtype=torch.bool)
            for part in group.parameters.slices:
                if part.layer in names and part.kind in ("weight", "bias"):
                    reset[:, part.start : part.stop] = True
            _replace(group, reset, _fresh(group, self.seeds, f"{self.kind}/{group.steps}"))
            group.reset_moments(reset)


class InjectionSettings(PluginSettings):
    """Settings of plasticity injection."""

    at: int = Field(gt=0, description="optimiser step after which the fresh network learns")


@dataclass(frozen=True)
class Injected(Network):
    """Three copies of a network whose outputs are the first's, plus the second's, less the
    third's."""

    def forward(
        self,
        parameters: Mapping[str, Tensor],
        x: Tensor,
        trace: dict[str, Tensor] | None = None,
    ) -> Tensor:
        """As `Network.forward`, for inputs [S, B, ...] and parameters [3 S, ...]; `trace` receives
        the units of all three, [S, B, 3 * units, ...]."""
        inside: dict[str, Tensor] | None = None if trace is None else {}
        found = super().forward(parameters, x.repeat_interleave(3, 0), inside)
        if trace is not None and inside is not None:
            for name, value in inside.items():
                apart = value.view(-1, 3, *value.shape[1:]).transpose(1, 2)
                trace[name] = apart.flatten(2, 3)
        own, fresh, taken = found[0::3], found[1::3], found[2::3]
        return own + (fresh - taken)


class PlasticityInjection(Plugin):
    """Once, a fresh network takes over learning without a change of any output (Nikishin et al.,
    NeurIPS 2023): to the old one, which learns no more, the fresh one is added and its initial
    state, which never learns, is taken off.

    All three lie in the group from the start, so that the agent's parameters tell its function.
    """

    VERSION = 1
    kind = "plasticity_injection"
    acting: ClassVar = {"at": 20}
    Settings = InjectionSettings

    def __init__(self, settings: InjectionSettings) -> None:
        super().__init__(settings)
        self.settings = settings

    @classmethod
    def refuses(
        cls, settings: BaseModel, agent_kind: str, agent_settings: Mapping[str, Any]
    ) -> str | None:
        if agent_kind in ("classifier", "image_classifier"):
            return None
        reason = super().refuses(settings, agent_kind, agent_settings)
        return reason or "it is made for networks without a target"

    def change_network(self, network: Network) -> Network:
        return Injected(network.name, network.role, network.layers, network.input_shape, copies=3)

    def attach(self, agent: Agent, total_updates: int) -> None:
        for group in agent.groups.values():
            copies = self._copies(group.parameters.flat.detach())
            copies[:, 2] = copies[:, 1]
            group.before_step.append(self.before_step)
            group.after_step.append(self.after_step)

    def before_step(self, group: ParameterGroup, gradient: Tensor) -> None:
        """Hook of every group: one copy learns."""
        copies = self._copies(gradient)
        copies[:, [1, 2] if group.steps < self.settings.at else [0, 2]] = 0.0

    def after_step(self, group: ParameterGroup) -> None:
        """Hook of every group: what has stopped learning has no momentum."""
        if group.steps == self.settings.at:
            group.reset_moments(torch.ones_like(group.parameters.flat, dtype=torch.bool))

    @staticmethod
    def _copies(flat: Tensor) -> Tensor:
        return flat.view(len(flat), 3, -1)


def _weights_and_biases(parameters: FlatParameters) -> Tensor:
    """Which columns [1, m] are weights or biases."""
    learned = torch.zeros_like(parameters.flat[:1], dtype=torch.bool)
    for part in parameters.slices:
        if part.kind in ("weight", "bias"):
            learned[:, part.start : part.stop] = True
    return learned


def _fresh(group: ParameterGroup, seeds: tuple[int, ...], purpose: str) -> Tensor:
    """Initial parameters [S, m], drawn anew for this purpose."""
    name, flat = f"{group.name}/{purpose}", group.parameters.flat
    return FlatParameters.initialise(group.network, seeds, name, flat.device).flat


def _replace(group: ParameterGroup, where: Tensor, values: Tensor) -> None:
    flat = group.parameters.flat.detach()
    flat.copy_(torch.where(where, values, flat))


def _hidden_pairs(network: Network) -> list[tuple[Linear | Convolution, Linear | Convolution]]:
    """Every layer that a nonlinearity follows, with the next layer of weights."""
    pairs: list[tuple[Linear | Convolution, Linear | Convolution]] = []
    before: Linear | Convolution | None = None
    active = False
    for layer in network.layers:
        if isinstance(layer, Activation):
            active = True
        elif isinstance(layer, Linear | Convolution):
            if before is not None and active:
                pairs.append((before, layer))
            before, active = layer, False
    return pairs


def _along(units: Tensor, like: Tensor, axis: int) -> Tensor:
    """Units [N, units] with axes of length 1, so that they lie along one axis of `like`."""
    shape = [len(units), *([1] * (like.ndim - 1))]
    shape[axis] = units.shape[1]
    return units.view(shape)
