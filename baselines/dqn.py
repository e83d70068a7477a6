"""Deep Q-learning (Mnih et al. 2015), plain or double (van Hasselt, Guez, Silver 2016), on MinAtar.

Follows kenjyoung/MinAtar at 4241f24, examples/dqn.py, and bluecontra/CHAIN at 21ac2d8 (DoubleDQN).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Self

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from baselines.networks import MOST_UNITS, minatar_q_network, mlp, too_small
from suite.stacked.layers import Network
from suite.stacked.optimisers import Adam, RMSprop
from suite.stacked.parameters import FlatParameters, ParameterGroup, copy_parameters
from suite.stacked.replay import Batch
from suite.stacked.spaces import ActionSpec
from suite.stacked.streams import SeedStreams, State, add_prefix, take_prefix


class DQNSettings(BaseModel):
    """Settings of DQN."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    warmup_steps: int = Field(ge=0, description="first steps, uniformly random and without updates")
    batch_size: int = Field(gt=0, description="transitions per update and seed")
    replay_capacity: int = Field(gt=0, description="transitions that a seed's replay holds")
    update_every: int = Field(gt=0, description="environment steps per update after the warm-up")
    convolution_filters: int = Field(
        gt=0, le=MOST_UNITS, description="filters of the convolution, if images"
    )
    hidden_units: int = Field(gt=0, le=MOST_UNITS, description="units of the hidden layer")
    discount: float = Field(ge=0, le=1, description="gamma")
    double: bool = Field(description="the online network chooses the next action of the target")
    loss: Literal["huber", "mse"] = Field(description="of the TD error; Huber turns linear at 1")
    target_update_interval: int = Field(gt=0, description="updates per copy to the target network")
    epsilon_start: float = Field(ge=0, le=1, description="share of random actions after warm-up")
    epsilon_end: float = Field(ge=0, le=1, description="share of random actions in the end")
    epsilon_decay_steps: int = Field(gt=0, description="steps from start to end, after warm-up")
    optimiser: Literal["adam", "rmsprop_centred"] = Field(description="as PyTorch defines them")
    learning_rate: float = Field(ge=0, description="step size")
    beta1: float = Field(ge=0, lt=1, description="decay of the mean gradient; RMSprop: alpha")
    beta2: float = Field(ge=0, lt=1, description="decay of the squared gradient; RMSprop: alpha")
    optimiser_epsilon: float = Field(ge=0, description="added to the root in the denominator")

    @model_validator(mode="after")
    def _one_alpha(self) -> Self:
        if self.optimiser == "rmsprop_centred" and self.beta1 != self.beta2:
            raise ValueError(
                f"centred RMSprop has one decay, alpha: beta1 ({self.beta1}) and beta2 "
                f"({self.beta2}) must be equal"
            )
        return self


class DQN:
    """S seeds of DQN, trained as one stack; images (H, W, C) get a convolution, vectors do not.

    Raises ValueError for an action space that is not discrete.
    """

    VERSION = 1
    Settings = DQNSettings
    kind = "dqn"
    loop = "off_policy"
    actions = ("discrete",)
    observations = ("vector", "grid")

    @staticmethod
    def refuses(
        settings: DQNSettings, observation_shape: tuple[int, ...], action_spec: ActionSpec
    ) -> str | None:
        """Why it can't act on such observations and actions; None if it can."""
        if action_spec.kind != "discrete":
            return f"DQN needs discrete actions, got {action_spec}"
        return too_small(observation_shape)

    def __init__(
        self,
        settings: DQNSettings,
        observation_shape: tuple[int, ...],
        action_spec: ActionSpec,
        seeds: Sequence[int],
        change_network: Callable[[Network], Network],
        device: str = "cpu",
    ) -> None:
        reason = self.refuses(settings, observation_shape, action_spec)
        if reason is not None:
            raise ValueError(reason)
        s = self.settings = settings
        self.action_count = action_spec.size
        self.seeds = tuple(seeds)
        self.device = device

        if len(observation_shape) == 3:
            filters, units = s.convolution_filters, s.hidden_units
            network = minatar_q_network(observation_shape, filters, units, self.action_count)
        else:
            (inputs,) = observation_shape
            network = mlp("q", "q", inputs, 1, s.hidden_units, self.action_count)
        self.network = change_network(network)
        parameters = FlatParameters.initialise(self.network, seeds, "q", device)
        optimiser: Adam | RMSprop
        if s.optimiser == "adam":
            betas = (s.beta1, s.beta2)
            optimiser = Adam(parameters.flat, s.learning_rate, betas, s.optimiser_epsilon)
        else:
            alpha, eps = s.beta1, s.optimiser_epsilon
            optimiser = RMSprop(parameters.flat, s.learning_rate, alpha, eps, centred=True)
        self.groups = {"q": ParameterGroup("q", parameters, optimiser, with_target=True)}
        self.policy = "q"
        self.updates = 0
        self.streams = {name: SeedStreams(seeds, name) for name in ("exploration", "random_action")}

    def act(self, observations: np.ndarray, step: int) -> np.ndarray:
        """Actions [S] to take at environment step `step` (from 0), for [S, *obs]."""
        random_action = self.streams["random_action"].integers(
            [self.action_count] * len(self.seeds)
        )
        explore = self.streams["exploration"].uniform() < self.epsilon(step)
        if explore.all():
            return random_action
        return np.where(explore, random_action, self.greedy(observations[:, None])[:, 0])

    def epsilon(self, step: int) -> float:
        """The share of random actions: 1 in the warm-up, then linear from start to end."""
        s = self.settings
        if step < s.warmup_steps:
            return 1.0
        progress = min(1.0, (step - s.warmup_steps) / s.epsilon_decay_steps)
        return s.epsilon_start + progress * (s.epsilon_end - s.epsilon_start)

    @torch.no_grad()
    def greedy(self, observations: np.ndarray) -> np.ndarray:
        """The actions of highest value, [S, B] for [S, B, *obs]."""
        x = torch.tensor(observations, dtype=torch.float32, device=self.device)
        values = self.network.forward(self.groups["q"].parameters.leaves, x)
        return values.argmax(dim=-1).cpu().numpy()

    def update(self, batch: Batch) -> None:
        """One optimiser step, and the copy to the target network when it is due."""
        q = self.groups["q"]
        assert q.target is not None
        q.step(self.loss(q.parameters.leaves, batch))
        self.updates += 1
        if self.updates % self.settings.target_update_interval == 0:
            copy_parameters(q.target, q.parameters)

    def loss(self, parameters: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Each seed's Huber or squared TD error, averaged over the batch, [S]."""
        s, target_parameters = self.settings, self.groups["q"].target
        assert target_parameters is not None
        with torch.no_grad():
            next_q = self.network.forward(target_parameters.leaves, batch.next_observation)
            if s.double:
                online = self.network.forward(parameters, batch.next_observation)
                value = next_q.gather(2, online.argmax(dim=2, keepdim=True)).squeeze(2)
            else:
                value = next_q.amax(dim=2)
            target = batch.reward + s.discount * (1 - batch.terminal) * value
        q = self.network.forward(parameters, batch.observation)
        q = q.gather(2, batch.action[..., None]).squeeze(2)
        if s.loss == "huber":
            return F.smooth_l1_loss(q, target, reduction="none").mean(dim=1)
        return (q - target).square().mean(dim=1)

    def losses(self) -> dict[str, Callable[[Mapping[str, Tensor], Batch], Tensor]]:
        """The group's loss as a pure function of (parameters, batch): their mean."""
        return {"q": self.loss}

    def state(self) -> State:
        """The group, the streams and the number of updates."""
        state: State = {"updates": np.full(len(self.seeds), self.updates)}
        state |= add_prefix("q", self.groups["q"].state())
        for name, streams in self.streams.items():
            state |= add_prefix(f"stream/{name}", streams.state())
        return state

    def load_state(self, state: State) -> None:
        """Continue from what `state` returned."""
        self.updates = int(state["updates"][0])
        self.groups["q"].load_state(take_prefix("q", state))
        for name, streams in self.streams.items():
            streams.load_state(take_prefix(f"stream/{name}", state))


# Differences from MinAtar's examples/dqn.py and CHAIN's DoubleDQN:
# - Seeds train stacked; every random number comes from a stream named by seed and purpose.
# - Images stay (height, width, channels); there they are turned to channels first. Equal networks.
# - Batches are drawn with replacement; examples/dqn.py draws a batch without.
# - examples/dqn.py tells non-terminal next states by selecting them; here 1 - terminal multiplies
#   the next value. Equal.
# - examples/dqn.py has no double targets; `double` switches them on for either preset.
# - The observations are bits in the replay and float32 in the network.
