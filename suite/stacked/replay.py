"""Replay memories of S seeds that step together, and the batches drawn from them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
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
    """

    observation: Tensor
    action: Tensor
    reward: Tensor
    next_observation: Tensor
    terminal: Tensor


class Replay:
    """The latest `capacity` transitions of each seed, drawn uniformly with replacement.

    Boolean observations are stored as bits. Memory per transition: 2 observations (4 bytes a float,
    1 bit a bool), the action, and 5 bytes.
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
        self.capacity = capacity
        self.appended = 0
        self.observation_shape = observation_shape
        self.packed = observation_dtype == "bool"
        self.streams = SeedStreams(seeds, "replay")
        size = math.prod(observation_shape)
        stored = ((size + 7) // 8,) if self.packed else (size,)
        kind = torch.uint8 if self.packed else torch.float32
        shapes = {
            "observation": (stored, kind),
            "action": (action_shape, getattr(torch, action_dtype)),
            "reward": ((), torch.float32),
            "next_observation": (stored, kind),
            "terminal": ((), torch.bool),
        }
        self._fields = {
            name: torch.zeros((len(seeds), capacity, *shape), dtype=dtype, device=device)
            for name, (shape, dtype) in shapes.items()
        }
        self._starts = np.arange(len(seeds))[:, None] * capacity
        self._device = device
        # numpy packs the first of eight bits as the highest.
        self._shifts = torch.arange(7, -1, -1, dtype=torch.uint8, device=device)[:, None]

    def __len__(self) -> int:
        """Transitions that a seed holds."""
        return min(self.appended, self.capacity)

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
            self._fields[name][:, position] = torch.as_tensor(value)
        self.appended += 1

    def sample(self, batch_size: int) -> Batch:
        """`batch_size` transitions per seed.

        Raises ValueError when nothing has been stored.
        """
        if not self.appended:
            raise ValueError("the replay is empty: append a transition before sampling")
        count = len(self._starts)
        drawn = self.streams.integers([len(self)] * count, batch_size)
        rows = torch.as_tensor((drawn + self._starts).reshape(-1), device=self._device)
        taken = {
            name: field.flatten(0, 1)
            .index_select(0, rows)
            .view(count, batch_size, *field.shape[2:])
            for name, field in self._fields.items()
        }
        return Batch(
            self._observations(taken["observation"]),
            taken["action"],
            taken["reward"],
            self._observations(taken["next_observation"]),
            taken["terminal"].float(),
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
            field[:, : len(self)] = torch.as_tensor(state[name])
        self.streams.load_state(take_prefix("stream", state))

    def _stored(self, observation: np.ndarray) -> np.ndarray:
        rows = np.asarray(observation).reshape(len(self._starts), -1)
        return np.packbits(rows.astype(bool), axis=1) if self.packed else rows

    def _observations(self, stored: Tensor) -> Tensor:
        if not self.packed:
            return stored.view(*stored.shape[:2], *self.observation_shape)
        size = math.prod(self.observation_shape)
        bits = (stored.mT[:, :, None] >> self._shifts) & 1
        # The batch stays innermost in memory, as convolutions want it.
        rows = bits.flatten(1, 2)[:, :size].float()
        return rows.view(stored.shape[0], *self.observation_shape, -1).movedim(-1, 1)
