"""Behaviour cloning of a policy that the run itself trains: PPTB paper, Sec. 5.2 and App. D.

A TD3 teacher plays and learns for `collect_steps` environment steps; from then on nothing is played
and a fresh policy learns to act as the replay does. The replay of a policy of medium quality is
what D4RL calls medium-replay (Fu et al. 2020, Sec. 5); its files are not used.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from baselines.networks import mlp
from baselines.td3 import TD3, TD3Settings
from suite.stacked.layers import Network
from suite.stacked.optimisers import SGD, Adam
from suite.stacked.parameters import FlatParameters, ParameterGroup
from suite.stacked.replay import Batch
from suite.stacked.spaces import ActionSpec
from suite.stacked.streams import SeedStreams, State, add_prefix, take_prefix


class CloningSettings(TD3Settings):
    """Settings of the teacher, and of the clone, which has the teacher's network and batches."""

    collect_steps: int = Field(
        gt=0,
        description="first steps, which the teacher plays; later ones are updates of the clone",
    )
    optimiser: Literal["adam", "sgd"] = Field(description="of the clone")
    learning_rate: float = Field(ge=0, description="step size of the clone's optimiser")


class Cloning:
    """S seeds of a teacher and its clone, each trained as one stack.

    Raises ValueError where TD3 does.
    """

    VERSION = 1
    Settings = CloningSettings
    kind = "cloning"
    loop = "off_policy"
    actions = TD3.actions
    observations = TD3.observations
    refuses = staticmethod(TD3.refuses)

    def __init__(
        self,
        settings: CloningSettings,
        observation_shape: tuple[int, ...],
        action_spec: ActionSpec,
        seeds: Sequence[int],
        change_network: Callable[[Network], Network],
        device: str = "cpu",
    ) -> None:
        s = self.settings = settings
        self.teacher = TD3(s, observation_shape, action_spec, seeds, lambda net: net, device)
        self.max_action = self.teacher.max_action
        self.action_size = self.teacher.action_size
        self.seeds = tuple(seeds)
        self.device = device
        (observations,) = observation_shape
        shape = (observations, s.hidden_layers, s.hidden_units, self.action_size)
        network = change_network(mlp("clone", "actor", *shape))
        parameters = FlatParameters.initialise(network, seeds, "clone", device)
        optimiser = (
            SGD(parameters.flat, s.learning_rate)
            if s.optimiser == "sgd"
            else Adam(
                parameters.flat, s.learning_rate, (s.adam_beta1, s.adam_beta2), s.adam_epsilon
            )
        )
        self.network = network
        self.groups = {"clone": ParameterGroup("clone", parameters, optimiser)}
        self.policy = "clone"
        self.updates = 0

    @property
    def streams(self) -> dict[str, SeedStreams]:
        """The teacher's; the clone draws nothing."""
        return self.teacher.streams

    @streams.setter
    def streams(self, streams: dict[str, SeedStreams]) -> None:
        self.teacher.streams = streams

    def act(self, observations: np.ndarray, step: int) -> np.ndarray:
        """The teacher's actions [S, size] at environment step `step` (from 0), for [S, *obs]."""
        return self.teacher.act(observations, step)

    @torch.no_grad()
    def greedy(self, observations: np.ndarray) -> np.ndarray:
        """The clone's actions [S, B, size] for [S, B, *obs]."""
        x = torch.tensor(observations, dtype=torch.float32, device=self.device)
        return self.pi(self.groups["clone"].parameters.leaves, x).cpu().numpy()

    def update(self, batch: Batch) -> None:
        """One learn call of the teacher while it plays, else an update of the clone."""
        if self.updates < self._teacher_updates:
            self.teacher.update(batch)
        else:
            clone = self.groups["clone"]
            clone.step(self.loss(clone.parameters.leaves, batch))
        self.updates += 1

    def loss(self, parameters: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Each seed's squared distance from the actions of the replay, a mean over the batch and
        the numbers of an action, [S]."""
        return (self.pi(parameters, batch.observation) - batch.action).square().mean(dim=(1, 2))

    def losses(self) -> dict[str, Callable[[Mapping[str, Tensor], Batch], Tensor]]:
        """The clone's loss as a pure function of (parameters, batch)."""
        return {"clone": self.loss}

    def pi(self, parameters: Mapping[str, Tensor], observation: Tensor) -> Tensor:
        """The clone: actions [S, B, size] for [S, B, obs]."""
        return self.max_action * torch.tanh(self.network.forward(parameters, observation))

    @property
    def _teacher_updates(self) -> int:
        s = self.settings
        first = -(-s.warmup_steps // s.update_every) * s.update_every
        return len(range(first, s.collect_steps, s.update_every))

    def state(self) -> State:
        """Teacher, clone and the number of learn calls."""
        return {
            "updates": np.full(len(self.seeds), self.updates),
            **add_prefix("teacher", self.teacher.state()),
            **add_prefix("clone", self.groups["clone"].state()),
        }

    def load_state(self, state: State) -> None:
        """Continue from what `state` returned."""
        self.updates = int(state["updates"][0])
        self.teacher.load_state(take_prefix("teacher", state))
        self.groups["clone"].load_state(take_prefix("clone", state))


# Differences from the paper, which names neither network, optimiser settings nor number of updates:
# - The data is the replay of this run's own teacher, not D4RL's halfcheetah-medium-replay.
# - Network and batch size are the teacher's, TD3's.
