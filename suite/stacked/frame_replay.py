"""A replay memory of stacked frames that keeps one frame a transition and stacks when it draws."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from suite.stacked.replay import Batch
from suite.stacked.streams import SeedStreams, State, add_prefix, take_prefix

FRAME_CHANNELS = 3  # red, green, blue


class FrameReplay:
    """The latest `capacity` transitions of each seed, drawn uniformly with replacement.

    Observations are uint8 (height, width, 3 * frames), the newest frame last; the first one of an
    episode repeats its only frame. Batches hold uint8 observations and draw what a `Replay` of the
    same seeds would. Memory per transition: one frame, and another one at the end of an episode.

    Raises ValueError for an observation shape that is not a stack of frames.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        capacity: int,
        observation_shape: tuple[int, ...],
        action_shape: tuple[int, ...],
        action_dtype: Literal["float32", "int64"],
        device: str | torch.device = "cpu",
    ) -> None:
        if len(observation_shape) != 3 or observation_shape[2] % FRAME_CHANNELS:
            raise ValueError(
                f"frames are stacked as (height, width, {FRAME_CHANNELS} * frames), got "
                f"{observation_shape}: use Replay for other observations"
            )
        height, width, channels = observation_shape
        self.capacity = capacity
        self.appended = 0
        self.frames = channels // FRAME_CHANNELS
        # The frames before the oldest transition and the one after the newest are held too.
        self.slots = capacity + self.frames
        self.streams = SeedStreams(seeds, "replay")
        self._device = device
        frame = (height, width, FRAME_CHANNELS)

        def ring(slots: int, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
            return torch.zeros((len(seeds), slots, *shape), dtype=dtype, device=device)

        # By place among the slots: the newest frame before the action of transition t, at t.
        self._frames = ring(self.slots, frame, torch.uint8)
        # By place among the transitions. Memory of `final`, the frame after the last step of an
        # episode, is taken where it is written: elsewhere the system never provides it.
        self._fields = {
            "action": ring(capacity, action_shape, getattr(torch, action_dtype)),
            "reward": ring(capacity, (), torch.float32),
            "terminal": ring(capacity, (), torch.bool),
            "ended": ring(capacity, (), torch.bool),
            "age": ring(capacity, (), torch.int64),
            "final": ring(capacity, frame, torch.uint8),
        }
        self._age = np.zeros(len(seeds), np.int64)

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
        ended: np.ndarray,
    ) -> None:
        """Store one transition per seed, [S, ...] each, over the oldest one when full.

        `ended` [S] bool: the episode ended here, by its rules (`terminal`) or by a limit.
        """
        newest = torch.as_tensor(next_observation[..., -FRAME_CHANNELS:])
        self._frames[:, self.appended % self.slots] = torch.as_tensor(
            observation[..., -FRAME_CHANNELS:]
        )
        self._frames[:, (self.appended + 1) % self.slots] = newest
        position = self.appended % self.capacity
        values = {"action": action, "reward": reward, "terminal": terminal, "ended": ended}
        for name, value in {**values, "age": self._age}.items():
            self._fields[name][:, position] = torch.as_tensor(value)
        for row in np.flatnonzero(ended):
            self._fields["final"][row, position] = newest[row]
        self._age = np.where(ended, 0, self._age + 1)
        self.appended += 1

    def sample(self, batch_size: int) -> Batch:
        """`batch_size` transitions per seed.

        Raises ValueError when nothing has been stored.
        """
        if not self.appended:
            raise ValueError("the replay is empty: append a transition before sampling")
        count = len(self._age)
        drawn = torch.as_tensor(
            self.streams.integers([len(self)] * count, batch_size), device=self._device
        )
        seeds = torch.arange(count, device=self._device)[:, None]
        taken = {
            name: field[seeds, drawn] for name, field in self._fields.items() if name != "final"
        }
        newest = self.appended - 1
        time = newest - (newest - drawn) % self.capacity
        back = torch.arange(self.frames - 1, -1, -1, device=self._device)
        # No further back than the episode's first frame.
        before = time[..., None] - torch.minimum(back, taken["age"][..., None])
        places = torch.cat((before, time[..., None] + 1), dim=2) % self.slots
        frames = self._frames[seeds[..., None], places]
        rows, columns = taken["ended"].nonzero(as_tuple=True)
        frames[rows, columns, -1] = self._fields["final"][rows, drawn[rows, columns]]
        return Batch(
            self._stack(frames[:, :, :-1]),
            taken["action"],
            taken["reward"],
            self._stack(frames[:, :, 1:]),
            taken["terminal"].float(),
        )

    def state(self) -> State:
        """The filled part of each field, [S, filled, ...], the counts and the sampling streams."""
        return {
            **{name: field[:, : len(self)] for name, field in self._fields.items()},
            "frames": self._frames[:, : self.appended + 1],
            "running_age": self._age.copy(),
            "appended": np.full(len(self._age), self.appended),
            **add_prefix("stream", self.streams.state()),
        }

    def load_state(self, state: State) -> None:
        """Continue from what `state` returned."""
        self.appended = int(state["appended"][0])
        for name, field in self._fields.items():
            field[:, : len(self)] = torch.as_tensor(state[name])
        self._frames[:, : self.appended + 1] = torch.as_tensor(state["frames"])
        self._age = np.asarray(state["running_age"]).copy()
        self.streams.load_state(take_prefix("stream", state))

    def _stack(self, frames: Tensor) -> Tensor:
        """[S, B, frames, height, width, 3] as observations [S, B, height, width, 3 * frames]."""
        return torch.cat(frames.unbind(2), dim=-1)  # a quarter of the time of a permuted copy
