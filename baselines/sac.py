"""Soft Actor-Critic with a trained temperature (Haarnoja et al. 2018, arXiv 1812.05905).

Follows Stable-Baselines3 1.8.0 (stable_baselines3/sac/sac.py), which the paper on gradient
subspaces (Schneider et al., ICLR 2024) trains with.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from baselines.networks import MOST_LAYERS, MOST_UNITS, mlp
from baselines.tanh_gaussian import tanh_gaussian
from baselines.temperature import Temperature
from suite.stacked.layers import Network
from suite.stacked.optimisers import Adam
from suite.stacked.parameters import FlatParameters, ParameterGroup, polyak_update
from suite.stacked.replay import Batch
from suite.stacked.spaces import ActionSpec
from suite.stacked.streams import SeedStreams, State, add_prefix, take_prefix

LOG_STD_RANGE = (-20.0, 2.0)  # SB3 1.8.0 sac/policies.py LOG_STD_MIN, LOG_STD_MAX


class SACSettings(BaseModel):
    """Settings of SAC; the target entropy is minus the number of action dimensions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    warmup_steps: int = Field(ge=0, description="first steps, uniformly random and without updates")
    batch_size: int = Field(gt=0, description="transitions per update and seed")
    replay_capacity: int = Field(gt=0, description="transitions that a seed's replay holds")
    update_every: int = Field(gt=0, description="environment steps between rounds of updates")
    gradient_steps: int = Field(gt=0, description="updates in a round, each on a batch of its own")
    hidden_layers: int = Field(
        gt=0, le=MOST_LAYERS, description="hidden layers of actor and critics"
    )
    hidden_units: int = Field(gt=0, le=MOST_UNITS, description="units of a hidden layer")
    discount: float = Field(ge=0, le=1, description="gamma")
    learning_rate: float = Field(ge=0, description="Adam's step size: actor, critics, temperature")
    adam_beta1: float = Field(ge=0, lt=1, description="Adam's decay of the mean gradient")
    adam_beta2: float = Field(ge=0, lt=1, description="Adam's decay of the squared gradient")
    adam_epsilon: float = Field(ge=0, description="Adam's epsilon")
    tau: float = Field(ge=0, le=1, description="share of the new parameters in a target update")
    initial_temperature: float = Field(
        gt=0, description="alpha, the entropy's weight, at the start"
    )


class SAC:
    """S seeds of SAC, trained as one stack.

    Raises ValueError for an action space that is not continuous and symmetric about 0.
    """

    VERSION = 1
    Settings = SACSettings
    kind = "sac"
    loop = "off_policy"
    actions = ("continuous",)
    observations = ("vector",)

    @staticmethod
    def refuses(
        settings: SACSettings, observation_shape: tuple[int, ...], action_spec: ActionSpec
    ) -> str | None:
        """Why it can't act on such observations and actions; None if it can."""
        if action_spec.kind == "continuous" and action_spec.low == -action_spec.high:
            return None
        return (
            f"SAC needs continuous actions between -high and high, got {action_spec}: "
            "rescale the actions of the environment"
        )

    def __init__(
        self,
        settings: SACSettings,
        observation_shape: tuple[int, ...],
        action_spec: ActionSpec,
        seeds: Sequence[int],
        change_network: Callable[[Network], Network],
        device: str = "cpu",
    ) -> None:
        reason = self.refuses(settings, observation_shape, action_spec)
        if reason is not None:
            raise ValueError(reason)
        (observations,) = observation_shape
        size = action_spec.size
        s = self.settings = settings
        self.max_action = action_spec.high
        self.seeds = tuple(seeds)
        self.device = device

        shape = (s.hidden_layers, s.hidden_units)
        self.actor = change_network(mlp("actor", "actor", observations, *shape, 2 * size))
        self.critic = change_network(
            mlp("q", "critic", observations + size, *shape, outputs=1, copies=2)
        )
        self.groups = {
            "actor": self._group("actor", self.actor, with_target=False),
            "critic": self._group("critic", self.critic, with_target=True),
        }
        betas = (s.adam_beta1, s.adam_beta2)
        self.temperature = Temperature(
            len(self.seeds), s.initial_temperature, s.learning_rate, betas, s.adam_epsilon, device
        )
        self.policy = "actor"
        self.updates = 0
        self.action_size = size
        self.target_entropy = -float(size)
        purposes = ("warmup", "exploration", "actor_noise", "target_noise")
        self.streams = {name: SeedStreams(seeds, name) for name in purposes}

    @torch.no_grad()
    def act(self, observations: np.ndarray, step: int) -> np.ndarray:
        """Actions [S, size] to take at environment step `step` (from 0), for [S, *obs]."""
        high = self.max_action
        if step < self.settings.warmup_steps:
            return self.streams["warmup"].uniform(self.action_size, low=-high, high=high)
        x = torch.tensor(observations[:, None], dtype=torch.float32, device=self.device)
        noise = self._noise("exploration", 1)
        action, _ = self.sample(self.groups["actor"].parameters.leaves, x, noise)
        return (high * action[:, 0]).cpu().numpy()

    @torch.no_grad()
    def greedy(self, observations: np.ndarray) -> np.ndarray:
        """The policy's most likely actions before the tanh, through it: [S, B, size]."""
        x = torch.tensor(observations, dtype=torch.float32, device=self.device)
        mean, _ = self.gaussian(self.groups["actor"].parameters.leaves, x)
        return (self.max_action * torch.tanh(mean)).cpu().numpy()

    def update(self, batch: Batch) -> None:
        """One update of temperature, critics, actor and targets, in this order.

        Critic and actor see the temperature from before its own step, as in SB3.
        """
        actor, critic = self.groups["actor"], self.groups["critic"]
        size = batch.reward.shape[1]
        alpha = self.temperature.value()
        # One sample serves the temperature and the actor, which does not change between them.
        noise = self._noise("actor_noise", size)
        action, log_prob = self.sample(actor.parameters.leaves, batch.observation, noise)
        self.temperature.step(log_prob, self.target_entropy)
        noise = self._noise("target_noise", size)
        critic.step(self.critic_loss(critic.parameters.leaves, batch, noise, alpha))
        actor.step(self.policy_loss(batch.observation, action, log_prob, alpha))
        assert critic.target is not None
        polyak_update(critic.target, critic.parameters, self.settings.tau)
        self.updates += 1

    def critic_loss(
        self, parameters: Mapping[str, Tensor], batch: Batch, noise: Tensor, alpha: Tensor
    ) -> Tensor:
        """Each seed's squared TD error, averaged over the batch, half the sum of both critics, [S].

        `noise` [S, B, size], standard normal, draws the next actions; `alpha` is [S, 1].
        """
        target_critic = self.groups["critic"].target
        assert target_critic is not None
        with torch.no_grad():
            actor = self.groups["actor"].parameters.leaves
            action, log_prob = self.sample(actor, batch.next_observation, noise)
            next_q = self.q(target_critic.leaves, batch.next_observation, action).amin(dim=1)
            value = next_q - alpha * log_prob
            target = batch.reward + self.settings.discount * (1 - batch.terminal) * value
        q = self.q(parameters, batch.observation, batch.action / self.max_action)
        return 0.5 * (q - target[:, None]).square().mean(dim=2).sum(dim=1)

    def actor_loss(
        self, parameters: Mapping[str, Tensor], batch: Batch, noise: Tensor, alpha: Tensor
    ) -> Tensor:
        """alpha log pi - min(Q1, Q2) for actions drawn with `noise` [S, B, size], [S]."""
        action, log_prob = self.sample(parameters, batch.observation, noise)
        return self.policy_loss(batch.observation, action, log_prob, alpha)

    def policy_loss(
        self, observation: Tensor, action: Tensor, log_prob: Tensor, alpha: Tensor
    ) -> Tensor:
        """The actor's loss for actions already drawn; no gradient for critics and temperature."""
        parameters = self.groups["critic"].parameters
        critic = parameters.with_flat(parameters.flat)
        q = self.q(critic, observation, action).amin(dim=1)
        return (alpha * log_prob - q).mean(dim=1)

    def losses(self) -> dict[str, Callable[[Mapping[str, Tensor], Batch], Tensor]]:
        """Each group's loss as a pure function of (parameters, batch): a mean over its transitions,
        each with noise of its own (`Batch.with_noise`)."""

        def actor_loss(parameters: Mapping[str, Tensor], batch: Batch) -> Tensor:
            assert batch.noise is not None
            return self.actor_loss(parameters, batch, batch.noise, self.temperature.value())

        def critic_loss(parameters: Mapping[str, Tensor], batch: Batch) -> Tensor:
            assert batch.noise is not None
            return self.critic_loss(parameters, batch, batch.noise, self.temperature.value())

        return {"actor": actor_loss, "critic": critic_loss}

    def gaussian(
        self, parameters: Mapping[str, Tensor], observation: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Mean and log std, before the tanh, [S, B, size] each, for [S, B, obs]."""
        mean, log_std = self.actor.forward(parameters, observation).chunk(2, dim=-1)
        return mean, log_std.clamp(*LOG_STD_RANGE)

    def sample(
        self, parameters: Mapping[str, Tensor], observation: Tensor, noise: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Actions in (-1, 1) [S, B, size] drawn with `noise`, and their log densities [S, B]."""
        return tanh_gaussian(*self.gaussian(parameters, observation), noise)

    def q(self, parameters: Mapping[str, Tensor], observation: Tensor, action: Tensor) -> Tensor:
        """Both critics' values [S, 2, B]; actions are in units of the largest action."""
        x = torch.cat((observation, action), dim=-1)
        values = self.critic.forward(parameters, x.repeat_interleave(2, dim=0))
        return values.view(x.shape[0], 2, x.shape[1])

    def state(self) -> State:
        """Both groups, the temperature, the streams and the number of updates."""
        state: State = {"updates": np.full(len(self.seeds), self.updates)}
        for name, group in self.groups.items():
            state |= add_prefix(name, group.state())
        state |= add_prefix("temperature", self.temperature.state())
        for name, streams in self.streams.items():
            state |= add_prefix(f"stream/{name}", streams.state())
        return state

    def load_state(self, state: State) -> None:
        """Continue from what `state` returned."""
        self.updates = int(state["updates"][0])
        for name, group in self.groups.items():
            group.load_state(take_prefix(name, state))
        self.temperature.load_state(take_prefix("temperature", state))
        for name, streams in self.streams.items():
            streams.load_state(take_prefix(f"stream/{name}", state))

    def _group(self, name: str, network: Network, with_target: bool) -> ParameterGroup:
        s = self.settings
        parameters = FlatParameters.initialise(network, self.seeds, name, self.device)
        betas = (s.adam_beta1, s.adam_beta2)
        optimiser = Adam(parameters.flat, s.learning_rate, betas, s.adam_epsilon)
        return ParameterGroup(name, parameters, optimiser, with_target)

    def _noise(self, stream: str, batch: int) -> Tensor:
        return self._tensor(self.streams[stream].normal(batch, self.action_size))

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.as_tensor(array, device=self.device)


# Differences from Stable-Baselines3 1.8.0:
# - Seeds train stacked; every random number comes from a stream named by seed and purpose.
# - One linear layer gives mean and log std; there two do. Equal: each column has its own values.
# - log(1 - tanh(x)^2) is exact; there it is log(1 - a^2 + 1e-6), which bounds it at -13.8.
# - Noise before the tanh is multiplied out; there torch.distributions draws it. Equal.
# - Actions in the replay are the environment's and divided by the largest one where the critics
#   see them; there they are stored divided. Equal.
# - The first update comes at the first multiple of `update_every` from `warmup_steps` on; there
#   updates follow each round of `train_freq` steps that ends after `learning_starts`.
# - The actor's gradient is taken for the actor alone; there the critics' gradient is computed too
#   and cleared before its next use.
# - No state-dependent exploration (gSDE), which the paper's BipedalWalker preset uses.
