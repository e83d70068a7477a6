"""Ablations and controls: parts of the methods alone, null models, and provocations for claims."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from suite.plugins.nap import NormSettings, Projection, insert_norms, normed_layers
from suite.plugins.path_window import Move, PathWindow
from suite.plugins.policy_path import PathSettings, PolicyPathPlugin
from suite.plugins.protocol import Agent, Plugin, PluginSettings
from suite.stacked.layers import Convolution, Linear, Network
from suite.stacked.parameters import ParameterGroup
from suite.stacked.streams import State, stream


class NormOnlySettings(NormSettings):
    """Settings of the norm without projection."""

    affine: Literal["free", "none"] = Field(description="gains and offsets: trained freely; absent")


class NormOnly(Plugin):
    """NaP's network (norms, no biases before them) without projection and schedule."""

    VERSION = 1
    kind = "norm"
    Settings = NormOnlySettings

    def __init__(self, settings: NormOnlySettings) -> None:
        super().__init__(settings)
        self.settings = settings

    def change_network(self, network: Network) -> Network:
        return insert_norms(network, self.settings, affine=self.settings.affine == "free")


class ProjectionOnlySettings(PluginSettings):
    """Settings of the projection without norm."""

    interval: int = Field(gt=0, description="optimiser steps between projections")
    first_layer: Literal["normed", "raw"] = Field(description="raw: the first layer is left alone")
    critic_norm_last_hidden: bool = Field(description="project a critic's last hidden layer too")


class ProjectionOnly(Plugin):
    """NaP's projection of the same weights in the unchanged network: it alters the function."""

    VERSION = 1
    kind = "projection"
    Settings = ProjectionOnlySettings

    def __init__(self, settings: ProjectionOnlySettings) -> None:
        super().__init__(settings)
        self.settings = settings
        self.projections: dict[str, Projection] = {}

    def attach(self, agent: Agent, total_updates: int) -> None:
        s = self.settings
        where = NormSettings(
            norm="layer",
            eps=0.0,
            first_layer=s.first_layer,
            critic_norm_last_hidden=s.critic_norm_last_hidden,
        )
        for name, group in agent.groups.items():
            weights = [(f"{layer}.weight",) for layer in normed_layers(group.network, where)]
            if weights:
                self.projections[name] = Projection(group.parameters, weights)
                group.after_step.append(self.after_step)

    def after_step(self, group: ParameterGroup) -> None:
        """Hook of every group with hidden layers."""
        if group.steps % self.settings.interval == 0:
            self.projections[group.name].project()

    def state(self) -> State:
        return {
            f"{name}/{key}": value
            for name, projection in self.projections.items()
            for key, value in projection.state().items()
        }

    def load_state(self, state: State) -> None:
        for name, projection in self.projections.items():
            projection.load_state({key: state[f"{name}/{key}"] for key in ("radius", "growth")})

    def diagnostics(self) -> dict[str, np.ndarray]:
        """Norm before the latest projection over the kept one, by group and tensor."""
        return {
            f"growth/{name}/{tensor}": value
            for name, projection in self.projections.items()
            for tensor, value in projection.diagnostics().items()
        }


class SnapshotAverageSettings(PathSettings):
    """Settings of snapshot averaging."""

    snapshots: int = Field(ge=2, description="h: how many of the newest snapshots are averaged")


class SnapshotAverage(PolicyPathPlugin):
    """The policy becomes the mean of its last h snapshots: the null model of trimming.

    Of a random walk, trimming n snapshots to rank r is close to averaging the last 1.12 n / r.
    Nothing is done before h snapshots are there.
    """

    VERSION = 1
    kind = "snapshot_average"
    Settings = SnapshotAverageSettings

    def __init__(self, settings: SnapshotAverageSettings) -> None:
        super().__init__(settings, settings.snapshots)
        self.settings = settings

    def move(self, window: PathWindow) -> Move | None:
        count = self.settings.snapshots
        if window.count < count:
            return None
        weights = torch.full((count,), 1.0 / count, dtype=torch.float64, device=self.memory.device)
        weights[-1] -= 1.0
        vector = window.combination(weights)
        return Move(vector, 1.0) if bool(torch.isfinite(vector).all()) else None


class InflateSettings(PluginSettings):
    """Settings of weight inflation."""

    factor: float = Field(
        gt=0, description="what the hidden layers' initial weights are multiplied by"
    )


class Inflate(Plugin):
    """Multiplies the hidden weights once, before training: the function of a normed net stays.

    Composed after NaP, the norms that NaP keeps are those from before (NaP paper Sec. 3.2).
    """

    VERSION = 1
    kind = "inflate"
    Settings = InflateSettings

    def __init__(self, settings: InflateSettings) -> None:
        super().__init__(settings)
        self.settings = settings

    def attach(self, agent: Agent, total_updates: int) -> None:
        for group in agent.groups.values():
            for layer in _hidden_layers(group.network):
                group.parameters.leaves[f"{layer}.weight"].detach().mul_(self.settings.factor)


class DeadenSettings(PluginSettings):
    """Settings of forced dead units."""

    fraction: float = Field(
        gt=0, le=1, description="share of the units of each layer that is killed"
    )
    probe_inputs: int = Field(
        gt=0, description="normal inputs on which a unit counts as alive or dead"
    )


class Deaden(Plugin):
    """Kills the first units of each hidden layer but the first, before training (NaP Prop. 1).

    Incoming weights become minus their size; inputs of these layers are not negative, so neither is
    minus what a killed unit receives. `revived_fraction` tells how many of them are active again
    for at least one of the probe inputs, which are the same for all seeds.
    """

    VERSION = 1
    kind = "deaden"
    Settings = DeadenSettings

    def __init__(self, settings: DeadenSettings) -> None:
        super().__init__(settings)
        self.settings = settings
        self.groups: dict[str, ParameterGroup] = {}

    def attach(self, agent: Agent, total_updates: int) -> None:
        for name, group in agent.groups.items():
            for layer in _hidden_layers(group.network)[1:]:
                weight = group.parameters.leaves[f"{layer}.weight"].detach()
                units = weight[..., : self._killed(weight.shape[-1])]
                units.copy_(-units.abs())
            self.groups[name] = group

    def diagnostics(self) -> dict[str, np.ndarray]:
        """Share of the killed units that are active again, over all layers of all groups."""
        revived: list[Tensor] = []
        for name, group in self.groups.items():
            shape = (self.settings.probe_inputs, *group.network.input_shape)
            drawn = stream(0, f"deaden/{name}").standard_normal(shape, np.float32)
            stack = next(iter(group.parameters.leaves.values())).shape[0]
            inputs = torch.as_tensor(drawn, device=group.parameters.flat.device)
            trace: dict[str, Tensor] = {}
            with torch.no_grad():
                group.network.forward(
                    group.parameters.leaves, inputs.expand(stack, *inputs.shape), trace
                )
            for layer in _hidden_layers(group.network)[1:]:
                active = (trace[f"{layer}_activation"] > 0).any(1)
                killed = active[:, : self._killed(active.shape[1])]
                revived.append(killed.reshape(-1, group.network.copies * killed.shape[1]))
        return {"revived_fraction": torch.cat(revived, 1).double().mean(1).cpu().numpy()}

    def _killed(self, units: int) -> int:
        return int(self.settings.fraction * units)


def _hidden_layers(network: Network) -> list[str]:
    layers = [layer for layer in network.layers if isinstance(layer, Linear | Convolution)]
    return [layer.name for layer in layers[:-1]]
