"""Twin Delayed Deep Deterministic policy gradient (Fujimoto, van Hoof, Meger, ICML 2018).

Follows the authors' released code, sfujim/TD3 at 34770cc: TD3.py and main.py.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from baselines.networks import MOST_LAYERS, MOST_UNITS, mlp
from suite.stacked.layers import Network
from suite.stacked.optimisers import Adam
from suite.stacked.parameters import FlatParameters, ParameterGroup, polyak_update
from suite.stacked.replay import Batch
from suite.stacked.spaces import ActionSpec
from suite.stacked.streams import SeedStreams, State, add_prefix, take_prefix


class TD3Settings(BaseModel):
    """Settings of TD3; noise is in units of the largest action."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    warmup_steps: int = Field(ge=0, description="first steps, uniformly random and without updates")
    batch_size: int = Field(gt=0, description="transitions per update and seed")
    replay_capacity: int = Field(gt=0, description="transitions that a seed's replay holds")
    update_every: int = Field(gt=0, description="environment steps per update after the warm-up")
    hidden_layers: int = Field(
        gt=0, le=MOST_LAYERS, description="hidden layers of actor and critics"
    )
    hidden_units: int = Field(gt=0, le=MOST_UNITS, description="units of a hidden layer")
    discount: float = Field(ge=0, le=1, description="gamma")
    actor_learning_rate: float = Field(ge=0, description="Adam's step size for the actor")
    critic_learning_rate: float = Field(ge=0, description="Adam's step size for the critics")
    adam_beta1: float = Field(ge=0, lt=1, description="Adam's decay of the mean gradient")
    adam_beta2: float = Field(ge=0, lt=1, description="Adam's decay of the squared gradient")
    adam_epsilon: float = Field(ge=0, description="Adam's epsilon")
    tau: float = Field(ge=0, le=1, description="share of the new parameters in a target update")
    policy_delay: int = Field(gt=0, description="updates per update of the actor and all targets")
    exploration_noise: float = Field(ge=0, description="std of the noise on actions taken")
    target_noise: float = Field(ge=0, description="std of the noise on the target policy's actions")
    target_noise_clip: float = Field(ge=0, description="bound of the noise on the target policy")


class TD3:
    """S seeds of TD3, trained as one stack.

    Raises ValueError for an action space that is not continuous and symmetric about 0.
    """

    VERSION = 1
    Settings = TD3Settings
    kind = "td3"
    loop = "off_policy"
    actions = ("continuous",)
    observations = ("vector",)

    @staticmethod
    def refuses(
        settings: TD3Settings, observation_shape: tuple[int, ...], action_spec: ActionSpec
    ) -> str | None:
        """Why it can't act on such observations and actions; None if it can."""
        if action_spec.kind == "continuous" and action_spec.low == -action_spec.high:
            return None
        return (
            f"TD3 needs continuous actions between -high and high, got {action_spec}: "
            "rescale the actions of the environment"
        )

    def __init__(
        self,
        settings: TD3Settings,
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
        self.actor = change_network(mlp("actor", "actor", observations, *shape, size))
        self.critic = change_network(
            mlp("q", "critic", observations + size, *shape, outputs=1, copies=2)
        )
        self.first_critic = replace(self.critic, copies=1)
        self.groups = {
            "actor": self._group("actor", self.actor, s.actor_learning_rate),
            "critic": self._group("critic", self.critic, s.critic_learning_rate),
        }
        self.policy = "actor"
        self.updates = 0
        self.action_size = size
        self.streams = {
            name: SeedStreams(seeds, name) for name in ("warmup", "exploration", "target_noise")
        }

    def act(self, observations: np.ndarray, step: int) -> np.ndarray:
        """Actions [S, size] to take at environment step `step` (from 0), for [S, *obs]."""
        high = self.max_action
        if step < self.settings.warmup_steps:
            return self.streams["warmup"].uniform(self.action_size, low=-high, high=high)
        noise = self.streams["exploration"].normal(self.action_size)
        action = self.greedy(observations[:, None])[:, 0]
        return np.clip(action + high * self.settings.exploration_noise * noise, -high, high)

    @torch.no_grad()
    def greedy(self, observations: np.ndarray) -> np.ndarray:
        """The policy's own actions [S, B, size] for [S, B, *obs]."""
        x = torch.tensor(observations, dtype=torch.float32, device=self.device)
        return self.pi(self.groups["actor"].parameters.leaves, x).cpu().numpy()

    def update(self, batch: Batch) -> None:
        """One update of the critics; of actor and targets too, every `policy_delay` updates."""
        actor, critic = self.groups["actor"], self.groups["critic"]
        noise = self.streams["target_noise"].normal(*batch.action.shape[1:])
        critic.step(self.critic_loss(critic.parameters.leaves, batch, self._tensor(noise)))
        self.updates += 1
        if self.updates % self.settings.policy_delay == 0:
            actor.step(self.actor_loss(actor.parameters.leaves, batch))
            for group in (critic, actor):
                assert group.target is not None
                polyak_update(group.target, group.parameters, self.settings.tau)

    def critic_loss(self, parameters: Mapping[str, Tensor], batch: Batch, noise: Tensor) -> Tensor:
        """Each seed's squared TD error, averaged over the batch and summed over both critics, [S].

        `noise` [S, B, size], standard normal, smooths the target policy.
        """
        s, high = self.settings, self.max_action
        target_actor, target_critic = self.groups["actor"].target, self.groups["critic"].target
        assert target_actor is not None and target_critic is not None
        with torch.no_grad():
            clip = s.target_noise_clip * high
            smoothing = (noise * (s.target_noise * high)).clamp(-clip, clip)
            next_action = self.pi(target_actor.leaves, batch.next_observation) + smoothing
            next_action = next_action.clamp(-high, high)
            next_q = self.q(target_critic.leaves, batch.next_observation, next_action).amin(dim=1)
            target = batch.reward + s.discount * (1 - batch.terminal) * next_q
        error = self.q(parameters, batch.observation, batch.action) - target[:, None]
        return error.square().mean(dim=2).sum(dim=1)

    def actor_loss(self, parameters: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Minus the first critic's value of the policy's actions, [S]."""
        action = self.pi(parameters, batch.observation)
        x = torch.cat((batch.observation, action), dim=-1)
        critic = self.groups["critic"].parameters.of_copy(0)
        return -self.first_critic.forward(critic, x).mean(dim=(1, 2))

    def losses(self) -> dict[str, Callable[[Mapping[str, Tensor], Batch], Tensor]]:
        """Each group's loss as a pure function of (parameters, batch): a mean over its transitions,
        each with noise of its own (`Batch.with_noise`)."""

        def critic_loss(parameters: Mapping[str, Tensor], batch: Batch) -> Tensor:
            assert batch.noise is not None
            return self.critic_loss(parameters, batch, batch.noise)

        return {"actor": self.actor_loss, "critic": critic_loss}

    def pi(self, parameters: Mapping[str, Tensor], observation: Tensor) -> Tensor:
        """The deterministic policy: actions [S, B, size] for [S, B, obs]."""
        return self.max_action * torch.tanh(self.actor.forward(parameters, observation))

    def q(self, parameters: Mapping[str, Tensor], observation: Tensor, action: Tensor) -> Tensor:
        """Both critics' values [S, 2, B]."""
        x = torch.cat((observation, action), dim=-1)
        values = self.critic.forward(parameters, x.repeat_interleave(2, dim=0))
        return values.view(x.shape[0], 2, x.shape[1])

    def state(self) -> State:
        """Both groups, the streams and the number of updates."""
        state: State = {"updates": np.full(len(self.seeds), self.updates)}
        for name, group in self.groups.items():
            state |= add_prefix(name, group.state())
        for name, streams in self.streams.items():
            state |= add_prefix(f"stream/{name}", streams.state())
        return state

    def load_state(self, state: State) -> None:
        """Continue from what `state` returned."""
        self.updates = int(state["updates"][0])
        for name, group in self.groups.items():
            group.load_state(take_prefix(name, state))
        for name, streams in self.streams.items():
            streams.load_state(take_prefix(f"stream/{name}", state))

    def _group(self, name: str, network: Network, learning_rate: float) -> ParameterGroup:
        s = self.settings
        parameters = FlatParameters.initialise(network, self.seeds, name, self.device)
        betas = (s.adam_beta1, s.adam_beta2)
        optimiser = Adam(parameters.flat, learning_rate, betas, s.adam_epsilon)
        return ParameterGroup(name, parameters, optimiser, with_target=True)

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.as_tensor(array, device=self.device)


# Differences from the authors' code (sfujim/TD3 at 34770cc):
# - Seeds train stacked, in float32 throughout; the replay there holds float64 arrays.
# - Every random number comes from a stream named by seed and purpose, not from global generators.
# - Target parameters move by lerp(target, source, tau): equal but for rounding.
# - The actor's gradient is taken for the actor alone; there the critic's gradient is computed too
#   and cleared before its next use.
# - `update_every` exists; the authors' code makes one update per step, value 1.
