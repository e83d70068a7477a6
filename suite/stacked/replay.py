"""Replay memories of S seeds that step together, and the batches drawn from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from suite.stacked.streams import SeedStreams, State, add_prefix, take_prefix


@dataclass(frozen=True)
class Batch:
    """Transitions; S seeds of B.

    observation, next_observation: [S, B, *shape] float32
    action: [S, B, *shape], float32 or int64
    reward: [S, B] float32
    terminal: [S, B] float32, 1 where the task ended, 0 where time ran out
    noise: [S, B, *shape of an action] standard normal, for losses that are functions of it
    """

    observation: Tensor
    action: Tensor
    reward: Tensor
    next_observation: Tensor
    terminal: Tensor
    noise: Tensor | None = None

    def with_noise(self, streams: SeedStreams) -> Batch:
        """The same transitions with noise from these streams."""
        noise = torch.from_numpy(streams.normal(*self.action.shape[1:]))
        return replace(self, noise=noise.to(self.action.device))


class Replay:
    """The latest `capacity` transitions of each seed, drawn uniformly with replacement.

    It lies in the host's memory; batches are on `device`. Boolean observations are stored as bits.
    Memory per transition: 2 observations (4 bytes a float, 1 bit a bool), the action, and 5 bytes.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        capacity: int,
        observation_shape: tuple[int, ...],
        observation_dtype: Literal["float32", "bool"],
        action_shape: tuple[int, ...],
        action_dtype: Literal["float32", "int64"],
        device: str | torch.device = "cpu",
    ) -> None:
        self.seeds = tuple(seeds)
        self.capacity = capacity
        self.appended = 0
        self.observation_shape = observation_shape
        self.packed = observation_dtype == "bool"
        self.streams = SeedStreams(seeds, "replay")
        size = math.prod(observation_shape)
        stored = ((size + 7) // 8,) if self.packed else (size,)
        kind = "uint8" if self.packed else "float32"
        shapes: dict[str, tuple[tuple[int, ...], str]] = {
            "observation": (stored, kind),
            "action": (action_shape, action_dtype),
            "reward": ((), "float32"),
            "next_observation": (stored, kind),
            "terminal": ((), "bool"),
        }
        self._fields = {
            name: np.zeros((len(seeds), capacity, *shape), dtype)
            for name, (shape, dtype) in shapes.items()
        }
        self._starts = np.arange(len(seeds))[:, None] * capacity
        self._device = device

    def __len__(self) -> int:
        """Transitions that a seed holds."""
        return min(self.appended, self.capacity)

    def clear(self) -> None:
        """Forget all transitions."""
        self.appended = 0

    def append(
        self,
        observation: np.ndarray,
        action: np.ndarray,
        reward: np.ndarray,
        next_observation: np.ndarray,
        terminal: np.ndarray,
    ) -> None:
        """Store one transition per seed, [S, ...] each, over the oldest one when full."""
        values = {
            "observation": self._stored(observation),
            "action": action,
            "reward": reward,
            "next_observation": self._stored(next_observation),
            "terminal": terminal,
        }
        position = self.appended % self.capacity
        for name, value in values.items():
            self._fields[name][:, position] = value
        self.appended += 1

    def sample(self, batch_size: int) -> Batch:
        """`batch_size` transitions per seed.

        Raises ValueError when nothing has been stored.
        """
        if not self.appended:
            raise ValueError("the replay is empty: append a transition before sampling")
        count = len(self._starts)
        drawn = self.streams.integers([len(self)] * count, batch_size)
        rows = (drawn + self._starts).reshape(-1)
        taken = {
            name: field.reshape(-1, *field.shape[2:])
            .take(rows, axis=0)
            .reshape(count, batch_size, *field.shape[2:])
            for name, field in self._fields.items()
        }
        return Batch(
            self._observations(taken["observation"]),
            self._tensor(taken["action"]),
            self._tensor(taken["reward"]),
            self._observations(taken["next_observation"]),
            self._tensor(taken["terminal"].astype(np.float32)),
        )

    def state(self) -> State:
        """The filled part of each field, [S, filled, ...], the count and the sampling streams."""
        count = len(self._starts)
        return {
            **{name: field[:, : len(self)] for name, field in self._fields.items()},
            "appended": np.full(count, self.appended),
            **add_prefix("stream", self.streams.state()),
        }

    def load_state(self, state: State) -> None:
        """Continue from what `state` returned."""
        self.appended = int(state["appended"][0])
        for name, field in self._fields.items():
            field[:, : len(self)] = state[name]
        self.streams.load_state(take_prefix("stream", state))

    def _stored(self, observation: np.ndarray) -> np.ndarray:
        rows = np.asarray(observation).reshape(len(self._starts), -1)
        return np.packbits(rows.astype(bool), axis=1) if self.packed else rows

    def _observations(self, stored: np.ndarray) -> Tensor:
        if not self.packed:
            return self._tensor(stored.reshape(*stored.shape[:2], *self.observation_shape))
        # The batch stays innermost in memory, as convolutions want it.
        size = math.prod(self.observation_shape)
        bits = self._tensor(np.unpackbits(stored.mT, axis=1, count=size))
        return bits.float().view(len(stored), *self.observation_shape, -1).movedim(-1, 1)

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).to(self._device)
