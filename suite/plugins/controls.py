"""Ablations and controls: parts of the methods alone, null models, and provocations for claims."""

from __future__ import annotations

from typing import ClassVar, Literal

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
    acting: ClassVar = {
        "norm": "layer",
        "eps": 1e-5,
        "first_layer": "normed",
        "critic_norm_last_hidden": False,
        "affine": "free",
    }
    Settings = NormOnlySettings

    def __init__(self, settings: NormOnlySettings) -> None:
        super().__init__(settings)
        self.settings = settings

    def change_network(self, network: Network) -> Network:
        learned = self.settings.affine == "free"
        return insert_norms(network, self.settings, "both" if learned else "none")


class ProjectionOnlySettings(PluginSettings):
    """Settings of the projection without norm."""

    interval: int = Field(gt=0, description="optimiser steps between projections")
    first_layer: Literal["normed", "raw"] = Field(description="raw: the first layer is left alone")
    critic_norm_last_hidden: bool = Field(description="project a critic's last hidden layer too")


class ProjectionOnly(Plugin):
    """NaP's projection of the same weights in the unchanged network: it alters the function."""

    VERSION = 1
    kind = "projection"
    acting: ClassVar = {"interval": 2, "first_layer": "normed", "critic_norm_last_hidden": False}
    neutral: ClassVar = {**acting, "interval": 10**6}
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
    decay: float = Field(
        gt=0, le=1, description="weight of a snapshot over that of the next newer one; 1: the mean"
    )


class SnapshotAverage(PolicyPathPlugin):
    """The policy becomes the mean of its last h snapshots: the null model of trimming.

    Of a random walk, trimming n snapshots to rank r is close to averaging the last 0.56 n / r.
    With a `decay` below 1 the mean is exponential. Nothing is done before h snapshots are there.
    """

    VERSION = 3
    kind = "snapshot_average"
    acting: ClassVar = {
        "store_interval": 2,
        "interval": 4,
        "unit": "policy_updates",
        "snapshots": 3,
        "decay": 1.0,
    }
    neutral: ClassVar = {**acting, "interval": 10**6}
    Settings = SnapshotAverageSettings

    def __init__(self, settings: SnapshotAverageSettings) -> None:
        super().__init__(settings, settings.snapshots)
        self.settings = settings

    def move(self, window: PathWindow, seed: int) -> Move | None:
        count = self.settings.snapshots
        if window.count < count:
            return None
        ages = torch.arange(count - 1, -1, -1, dtype=torch.float64, device=self.memory.device)
        weights = self.settings.decay**ages
        weights /= weights.sum()
        weights[-1] -= 1.0
        vector = window.combination(weights)
        return Move(vector, 1.0) if bool(torch.isfinite(vector).all()) else None


class RandomProjectionSettings(PathSettings):
    """Settings of the projection on random directions of the path."""

    capacity: int = Field(ge=2, description="k: snapshots held, the oldest is dropped first")
    rank: int = Field(ge=1, description="r: random directions of the window that are kept")


class RandomProjection(PolicyPathPlugin):
    """The policy's change since the oldest snapshot becomes its projection on r random directions
    of the window: trimming without the choice of directions.

    Directions are uniform in the span of the snapshots' differences, anew at every change. Nothing
    is done before there are more than r differences.
    """

    VERSION = 1
    kind = "random_projection"
    acting: ClassVar = {
        "store_interval": 2,
        "interval": 4,
        "unit": "policy_updates",
        "capacity": 8,
        "rank": 2,
    }
    neutral: ClassVar = {**acting, "interval": 10**6}
    Settings = RandomProjectionSettings

    def __init__(self, settings: RandomProjectionSettings) -> None:
        super().__init__(settings, settings.capacity)
        self.settings = settings

    def attach(self, agent: Agent, total_updates: int) -> None:
        super().attach(agent, total_updates)
        self.seeds = tuple(agent.seeds)

    def move(self, window: PathWindow, seed: int) -> Move | None:
        if window.count < self.settings.rank + 2:
            return None
        values, vectors = window.differences()
        if len(values) <= self.settings.rank:
            return None
        # Coordinates of the newest snapshot less the oldest along orthonormal directions.
        change = values.sqrt() * vectors[:, -1]
        name = f"random_projection/{int(self.moves[seed])}"
        drawn = stream(self.seeds[seed], name).standard_normal((len(values), self.settings.rank))
        basis = torch.linalg.qr(torch.as_tensor(drawn, device=change.device))[0]
        weights = ((basis @ (basis.T @ change) - change) / values.sqrt()) @ vectors
        weights[0] -= weights.sum()
        return Move(window.combination(weights), 1.0)


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
    acting: ClassVar = {"factor": 10.0}
    neutral: ClassVar = {"factor": 1.0}
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
    minus what a killed unit receives. A unit is dead if it is active for none of the probe inputs,
    which are the same for all seeds. Layer normalisation may leave some of the killed units active;
    `killed_dead_fraction` tells how many were dead at the start, and `revived_fraction` how many of
    those are active now.
    """

    VERSION = 1
    kind = "deaden"
    acting: ClassVar = {"fraction": 0.5, "probe_inputs": 64}
    Settings = DeadenSettings

    def __init__(self, settings: DeadenSettings) -> None:
        super().__init__(settings)
        self.settings = settings

    def attach(self, agent: Agent, total_updates: int) -> None:
        """Raises ValueError if no group has a second hidden layer of linear units."""
        self.groups = [g for g in agent.groups.values() if _later_linear_layers(g.network)]
        if not self.groups:
            raise ValueError("deaden needs an agent with at least two hidden layers")
        for group in self.groups:
            for layer in _later_linear_layers(group.network):
                weight = group.parameters.leaves[f"{layer}.weight"].detach()
                units = weight[..., : self._killed(weight.shape[-1])]
                units.copy_(-units.abs())
        self.dead_at_start = ~self._active()

    def diagnostics(self) -> dict[str, np.ndarray]:
        """Shares of the killed units, and of those of them that were dead, over all layers."""
        dead = self.dead_at_start
        revived = (self._active() & dead).sum(1) / dead.sum(1).clamp(min=1)
        return {
            "killed_dead_fraction": dead.double().mean(1).cpu().numpy(),
            "revived_fraction": revived.double().cpu().numpy(),
        }

    def state(self) -> State:
        return {"dead_at_start": self.dead_at_start.to(torch.uint8)}

    def load_state(self, state: State) -> None:
        self.dead_at_start.copy_(torch.as_tensor(state["dead_at_start"]).bool())

    def _active(self) -> Tensor:
        """Which of the killed units are active for at least one probe input, bool [S, units]."""
        active: list[Tensor] = []
        for group in self.groups:
            network, leaves = group.network, group.parameters.leaves
            shape = (self.settings.probe_inputs, *network.input_shape)
            drawn = stream(0, f"deaden/{group.name}").standard_normal(shape, np.float32)
            inputs = torch.as_tensor(drawn, device=group.parameters.flat.device)
            stack = group.parameters.flat.shape[0] * network.copies
            trace: dict[str, Tensor] = {}
            with torch.no_grad():
                network.forward(leaves, inputs.expand(stack, *inputs.shape), trace)
            for layer in _later_linear_layers(network):
                units = (trace[f"{layer}_activation"] > 0).any(1)
                killed = units[:, : self._killed(units.shape[1])]
                active.append(killed.reshape(-1, network.copies * killed.shape[1]))
        return torch.cat(active, 1)

    def _killed(self, units: int) -> int:
        return int(self.settings.fraction * units)


def _later_linear_layers(network: Network) -> list[str]:
    """Hidden linear layers but the network's first layer: those that receive ReLU outputs."""
    layers = [layer for layer in network.layers if isinstance(layer, Linear | Convolution)]
    return [layer.name for layer in layers[1:-1] if isinstance(layer, Linear)]


def _hidden_layers(network: Network) -> list[str]:
    layers = [layer for layer in network.layers if isinstance(layer, Linear | Convolution)]
    return [layer.name for layer in layers[:-1]]
