"""What S seeds experience between two update phases, and the advantages of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from suite.stacked.streams import State


@dataclass(frozen=True)
class RolloutBatch:
    """Steps of a rollout; S seeds of B.

    observation: [S, B, *shape] float32, as the agent normalised it
    action: [S, B, *shape], float32 or int64, before it was clipped to the environment's bounds
    log_prob: [S, B] float32, of the action under the policy that took it
    advantage: [S, B] float32
    value_target: [S, B] float32
    """

    observation: Tensor
    action: Tensor
    log_prob: Tensor
    advantage: Tensor
    value_target: Tensor

    def normalised(self, epsilon: float) -> RolloutBatch:
        """The same steps, each seed's advantages less their mean and over their std + `epsilon`."""
        std, mean = torch.std_mean(self.advantage, dim=1, keepdim=True)
        return replace(self, advantage=(self.advantage - mean) / (std + epsilon))

    def shuffled(self, order: np.ndarray, batch_size: int) -> Iterator[RolloutBatch]:
        """All steps in batches, each seed's in the order [S, B] given; B is a multiple of
        `batch_size`."""
        count, size = order.shape
        rows = (order + np.arange(count)[:, None] * size).reshape(count, -1, batch_size)
        # One gather for all batches: [batches, S, batch_size], so that each lies in one piece.
        places = torch.as_tensor(rows.swapaxes(0, 1).reshape(-1), device=self.action.device)
        shape = (-1, count, batch_size)
        fields = (self.observation, self.action, self.log_prob, self.advantage, self.value_target)
        taken = (field.flatten(0, 1).index_select(0, places) for field in fields)
        for batch in zip(*(x.view(*shape, *x.shape[1:]) for x in taken), strict=True):
            yield RolloutBatch(*batch)


class Rollout:
    """Up to `n_steps` steps of `n_envs` environments per seed, in the order in which they happen.

    observation: [S, n_steps, n_envs, *observation_shape] float32
    action: [S, n_steps, n_envs, *action_shape] float32 or int64
    reward: [S, n_steps, n_envs] float32
    ended: [S, n_steps, n_envs] float32, 1 where the step ended its episode for any reason
    """

    def __init__(
        self,
        count: int,
        n_steps: int,
        n_envs: int,
        observation_shape: tuple[int, ...],
        action_shape: tuple[int, ...],
        action_dtype: Literal["float32", "int64"],
    ) -> None:
        steps = (count, n_steps, n_envs)
        self.length = 0
        self.observation = np.zeros((*steps, *observation_shape), np.float32)
        self.action = np.zeros((*steps, *action_shape), action_dtype)
        self.reward = np.zeros(steps, np.float32)
        self.ended = np.zeros(steps, np.float32)

    @property
    def full(self) -> bool:
        """Whether there is no room for another step."""
        return self.length == self.reward.shape[1]

    def append(
        self, observation: np.ndarray, action: np.ndarray, reward: np.ndarray, ended: np.ndarray
    ) -> None:
        """Store one step of every environment, [S, n_envs, ...] each."""
        self.observation[:, self.length] = observation
        self.action[:, self.length] = action
        self.reward[:, self.length] = reward
        self.ended[:, self.length] = ended
        self.length += 1

    def clear(self) -> None:
        """Start over."""
        self.length = 0

    def state(self) -> State:
        """The filled part of each field, [S, length, ...], and the length."""
        state: State = {name: field[:, : self.length] for name, field in self._fields().items()}
        return state | {"length": np.full(len(self.reward), self.length)}

    def load_state(self, state: State) -> None:
        """Continue from what `state` returned."""
        self.length = int(state["length"][0])
        for name, field in self._fields().items():
            field[:, : self.length] = state[name]

    def _fields(self) -> dict[str, np.ndarray]:
        return {
            "observation": self.observation,
            "action": self.action,
            "reward": self.reward,
            "ended": self.ended,
        }


def gae(
    reward: np.ndarray,
    value: np.ndarray,
    last_value: np.ndarray,
    ended: np.ndarray,
    discount: float,
    gae_lambda: float,
) -> np.ndarray:
    """Generalised advantage estimates [S, T, E] float32 (Schulman et al. 2016, Eq. 16).

    `value` [S, T, E] belongs to the observations acted on, `last_value` [S, E] to those after the
    last step; `ended` is 1 where a step ended its episode, whose future then counts for nothing:
    where it was cut, the value of its last observation must already be in `reward`.
    """
    following = np.concatenate((value[:, 1:], last_value[:, None]), axis=1)
    goes_on = 1 - ended
    error = reward + np.float32(discount) * goes_on * following - value
    decay = np.float32(discount * gae_lambda) * goes_on
    advantage = np.empty_like(reward)
    running = np.zeros_like(last_value)
    for t in reversed(range(reward.shape[1])):
        running = error[:, t] + decay[:, t] * running
        advantage[:, t] = running
    return advantage
