"""Plug-ins that store snapshots of the policy at one interval and change the policy at another."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal, Self

import numpy as np
import torch
from pydantic import Field, model_validator

from suite.plugins.path_window import Move, PathWindow
from suite.plugins.protocol import Agent, Plugin, PluginSettings
from suite.stacked.parameters import ParameterGroup
from suite.stacked.streams import State


class PathSettings(PluginSettings):
    """Settings of every plug-in that follows the policy's path."""

    store_interval: int = Field(gt=0, description="t_s, in `unit`: how often a snapshot is stored")
    interval: int = Field(
        gt=0, description="t_p, in `unit`: how often the policy is changed; a multiple of t_s"
    )
    unit: Literal["policy_updates", "learn_calls"] = Field(
        description="what the intervals count: optimiser steps of the policy, or learn calls of "
        "the agent (with one learn call per environment step: environment steps after warm-up)"
    )

    @model_validator(mode="after")
    def _snapshot_at_every_change(self) -> Self:
        if self.interval % self.store_interval:
            raise ValueError(
                f"interval {self.interval} is not a multiple of store_interval "
                f"{self.store_interval}: the policy that is changed must be the newest snapshot"
            )
        return self


class PolicyPathPlugin(Plugin):
    """Stores snapshots of the policy, and every `interval` adds what `move` says to the policy.

    The first snapshot is the initial policy, and the newest one is the policy about to be changed.
    Optimiser moments, targets, critics and replay are left alone.
    """

    def __init__(self, settings: PathSettings, capacity: int, layerwise: bool = False) -> None:
        super().__init__(settings)
        self.path = settings
        self.capacity = capacity
        self.layerwise = layerwise
        self.windows: list[PathWindow] = []
        self.seen = 0

    @abstractmethod
    def move(self, window: PathWindow, seed: int) -> Move | None:
        """The change of the newest snapshot in the window of row `seed`, None for no change."""

    def after_move(self, group: ParameterGroup, seed: int) -> None:
        """Called after the policy in row `seed` of the group was changed."""

    def attach(self, agent: Agent, total_updates: int) -> None:
        parameters = agent.groups[agent.policy].parameters
        flat = parameters.flat
        seeds, size = flat.shape
        rows = self._rows(total_updates)
        # Zeros: rows that are not stored yet are saved too.
        self.memory = torch.zeros(seeds, rows, size, dtype=flat.dtype, device=flat.device)
        segments = [slice(0, size)]
        if self.layerwise:
            layers = dict.fromkeys(part.layer for part in parameters.slices)
            own = [[part for part in parameters.slices if part.layer == name] for name in layers]
            segments = [slice(parts[0].start, parts[-1].stop) for parts in own]
        self.windows = [PathWindow(memory, segments) for memory in self.memory]
        self.seen = self._count(agent)
        self.policy, self.start = flat, flat.clone()
        self.moves = np.zeros(seeds)
        self.move_to_norm = np.zeros(seeds)
        self.kept_energy = np.ones(seeds)
        for window, row in zip(self.windows, flat, strict=True):
            window.append(row)

    def after_update(self, agent: Agent) -> None:
        count = self._count(agent)
        if not self.windows or count == self.seen:
            return
        self.seen = count
        group = agent.groups[agent.policy]
        if count % self.path.store_interval == 0:
            for window, row in zip(self.windows, group.parameters.flat, strict=True):
                window.append(row)
        if count % self.path.interval == 0:
            for seed, window in enumerate(self.windows):
                self._change(group, seed, window)

    def _change(self, group: ParameterGroup, seed: int, window: PathWindow) -> None:
        move = self.move(window, seed)
        if move is None:
            return
        policy = group.parameters.flat[seed]
        self.move_to_norm[seed] = float(move.vector.norm() / policy.norm())
        self.kept_energy[seed] = move.kept_energy
        policy += move.vector
        self.moves[seed] += 1
        self.after_move(group, seed)

    def _rows(self, count: int) -> int:
        """Rows that a seed can have used by then: the initial policy, then snapshots and, with
        `append_result`, changed policies."""
        stored = 1 + count // self.path.store_interval + count // self.path.interval
        return min(self.capacity, stored)

    def _count(self, agent: Agent) -> int:
        if self.path.unit == "learn_calls":
            return agent.updates
        return agent.groups[agent.policy].steps

    def state(self) -> State:
        """The windows with their inner products: mostly the snapshots, 4 bytes a number.

        Windows may differ in length; the width that is saved depends on `seen` alone.
        """
        if not self.windows:
            return {}
        used = self._rows(self.seen)
        places = {
            name: np.array([getattr(window, name) for window in self.windows])
            for name in ("count", "oldest", "pending")
        }
        return {
            "increments": self.memory[:, :used],
            "products": torch.stack([w.products[:, :used, :used] for w in self.windows]),
            "along": torch.stack([w.along[:, :used] for w in self.windows]),
            "newest": torch.stack([w.newest for w in self.windows]),
            **places,
            "start": self.start,
            "seen": np.full(len(self.windows), self.seen),
            "moves": self.moves,
            "move_to_norm": self.move_to_norm,
            "kept_energy": self.kept_energy,
        }

    def load_state(self, state: State) -> None:
        if not self.windows:
            return
        self.seen = int(state["seen"][0])
        self.start.copy_(torch.as_tensor(state["start"]))
        self.moves = np.array(state["moves"])
        self.move_to_norm = np.array(state["move_to_norm"])
        self.kept_energy = np.array(state["kept_energy"])
        used = slice(0, self._rows(self.seen))
        for seed, window in enumerate(self.windows):
            window.count = int(state["count"][seed])
            window.oldest = int(state["oldest"][seed])
            window.pending = int(state["pending"][seed])
            window.increments[used] = torch.as_tensor(state["increments"][seed])
            window.products[:, used, used] = torch.as_tensor(state["products"][seed])
            window.along[:, used] = torch.as_tensor(state["along"][seed])
            window.newest.copy_(torch.as_tensor(state["newest"][seed]))

    def diagnostics(self) -> dict[str, np.ndarray]:
        """Snapshots held, changes made, the latest change's size against the policy's norm, and how
        far the policy is from where it began."""
        if not self.windows:
            return {}
        return {
            "snapshots": np.array([float(window.count) for window in self.windows]),
            "moves": self.moves.copy(),
            "move_to_norm": self.move_to_norm.copy(),
            "displacement": (self.policy - self.start).norm(dim=1).double().cpu().numpy(),
        }
