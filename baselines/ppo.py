"""Proximal Policy Optimisation with a clipped surrogate (Schulman et al. 2017).

Follows Stable-Baselines3 2.x: ppo/ppo.py, common/on_policy_algorithm.py, common/policies.py, and
its VecNormalize for observations and rewards.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, Self

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from baselines.networks import MOST_LAYERS, MOST_UNITS, minatar_network, mlp, too_small
from suite.stacked.layers import LearnedConstant, Network
from suite.stacked.normaliser import Normaliser
from suite.stacked.optimisers import Adam
from suite.stacked.parameters import FlatParameters, ParameterGroup, clip_jointly, joint_gradients
from suite.stacked.rollout import Rollout, RolloutBatch, gae
from suite.stacked.spaces import ActionSpec
from suite.stacked.streams import SeedStreams, State, add_prefix, take_prefix

ADVANTAGE_EPSILON = 1e-8  # added to the standard deviation of a batch's advantages (ppo.py)


class PPOSettings(BaseModel):
    """Settings of PPO."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    n_envs: int = Field(gt=0, description="environments of a seed")
    n_steps: int = Field(gt=0, description="steps of each environment between update phases")
    batch_size: int = Field(gt=1, description="steps per update and seed")
    epochs: int = Field(gt=0, description="passes over the rollout in an update phase")
    hidden_layers: int = Field(
        gt=0, le=MOST_LAYERS, description="hidden layers of actor and critic, if vectors"
    )
    hidden_units: int = Field(gt=0, le=MOST_UNITS, description="units of a hidden layer")
    convolution_filters: int = Field(
        gt=0, le=MOST_UNITS, description="filters of the convolution, if images"
    )
    activation: Literal["relu", "tanh"] = Field(description="of the hidden layers")
    orthogonal: bool = Field(description="orthogonal initial weights; otherwise PyTorch's default")
    initial_log_std: float = Field(description="log of the policy's initial std, if continuous")
    discount: float = Field(ge=0, le=1, description="gamma")
    gae_lambda: float = Field(ge=0, le=1, description="lambda of the advantage estimates")
    clip_range: float = Field(gt=0, description="epsilon: how far a ratio from 1 still counts")
    entropy_coefficient: float = Field(ge=0, description="weight of the entropy bonus")
    value_coefficient: float = Field(ge=0, description="weight of the critic's loss")
    max_gradient_norm: float = Field(gt=0, description="bound of actor's and critic's joint norm")
    learning_rate: float = Field(ge=0, description="Adam's step size")
    schedule: Literal["constant", "linear"] = Field(
        description="learning rate and clip range: constant, or falling to 0 over the budget"
    )
    adam_beta1: float = Field(ge=0, lt=1, description="Adam's decay of the mean gradient")
    adam_beta2: float = Field(ge=0, lt=1, description="Adam's decay of the squared gradient")
    adam_epsilon: float = Field(ge=0, description="Adam's epsilon")
    normalise_observations: bool = Field(description="by their running mean and std, clipped")
    normalise_rewards: bool = Field(description="by the discounted return's running std, clipped")

    @model_validator(mode="after")
    def _whole_batches(self) -> Self:
        steps = self.n_steps * self.n_envs
        if steps % self.batch_size:
            parts = f"n_steps {self.n_steps} x n_envs {self.n_envs}"
            raise ValueError(
                f"batch_size {self.batch_size} does not divide a rollout's {steps} steps ({parts})"
            )
        return self


class PPO:
    """S seeds of PPO, trained as one stack; images (H, W, C) get a convolution, vectors do not.

    Raises ValueError for an action space that is neither continuous nor discrete.
    """

    VERSION = 1
    Settings = PPOSettings
    kind = "ppo"
    loop = "on_policy"
    actions = ("continuous", "discrete")
    observations = ("vector", "grid")

    @classmethod
    def refuses(
        cls, settings: PPOSettings, observation_shape: tuple[int, ...], action_spec: ActionSpec
    ) -> str | None:
        """Why it can't act on such observations and actions; None if it can."""
        if action_spec.kind not in cls.actions:
            return f"PPO needs continuous or discrete actions, got {action_spec}"
        return too_small(observation_shape)

    def __init__(
        self,
        settings: PPOSettings,
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
        self.action = action_spec
        self.continuous = action_spec.kind == "continuous"
        self.seeds = tuple(seeds)
        self.device = device

        actor = self._network("actor", observation_shape, action_spec.size)
        if self.continuous:
            log_std = LearnedConstant("log_std", action_spec.size, s.initial_log_std)
            layers = (*actor.layers, log_std)
            actor = Network(actor.name, actor.role, layers, observation_shape)
        self.actor = change_network(actor)
        self.critic = change_network(self._network("critic", observation_shape, 1))
        self.groups = {
            "actor": self._group("actor", self.actor),
            "critic": self._group("critic", self.critic),
        }
        self.policy = "actor"
        self.updates = 0
        self.clip_range = s.clip_range
        switches = (s.normalise_observations, s.normalise_rewards)
        shape = observation_shape
        self.normaliser = Normaliser(len(seeds), s.n_envs, shape, s.discount, *switches)
        self.streams = {name: SeedStreams(seeds, name) for name in ("exploration", "shuffle")}

    def bootstrapped(
        self, reward: np.ndarray, following: np.ndarray, truncated: np.ndarray
    ) -> np.ndarray:
        """Rewards [S, n_envs] with the discounted value of the last observation where an episode
        was cut; `following` [S, n_envs, *obs] is what came after the step, normalised."""
        future = np.float32(self.settings.discount) * self.value(following)
        rewards: np.ndarray = np.where(truncated, reward + future, reward)
        return rewards

    @torch.no_grad()
    def act(self, observations: np.ndarray) -> np.ndarray:
        """Sampled actions [S, n_envs, ...] for normalised observations [S, n_envs, *obs]."""
        parameters = self.groups["actor"].parameters.leaves
        out = self.actor.forward(parameters, self._tensor(observations))
        n_envs = out.shape[1]
        if self.continuous:
            noise = self._tensor(self.streams["exploration"].normal(n_envs, self.action.size))
            return (out + self._log_std(parameters).exp() * noise).cpu().numpy()
        bounds = out.softmax(dim=2).cpu().numpy().cumsum(axis=2)[..., :-1]
        drawn: np.ndarray = (bounds <= self.streams["exploration"].uniform(n_envs, 1)).sum(axis=2)
        return drawn

    def to_environment(self, actions: np.ndarray) -> np.ndarray:
        """Actions within the environment's bounds."""
        return np.clip(actions, self.action.low, self.action.high) if self.continuous else actions

    @torch.no_grad()
    def greedy(self, observations: np.ndarray) -> np.ndarray:
        """The likeliest actions, [S, B, ...] for observations [S, B, *obs] not yet normalised."""
        x = self._tensor(self.normaliser.normalised(observations))
        out = self.actor.forward(self.groups["actor"].parameters.leaves, x)
        if self.continuous:
            return self.to_environment(out.cpu().numpy())
        return out.argmax(dim=-1).cpu().numpy()

    @torch.no_grad()
    def value(self, observations: np.ndarray) -> np.ndarray:
        """The critic's values [S, B] of normalised observations [S, B, *obs]."""
        values = self.v(self.groups["critic"].parameters.leaves, self._tensor(observations))
        return values.cpu().numpy()

    def whole(self, rollout: Rollout, observation: np.ndarray) -> RolloutBatch:
        """All steps of a full rollout as one batch, with their advantages and value targets.

        `observation` [S, n_envs, *obs], normalised, follows the rollout.
        """
        s, count = self.settings, len(self.seeds)
        flat = rollout.observation.reshape(count, -1, *observation.shape[2:])
        value = self.value(flat).reshape(rollout.reward.shape)
        last_value = self.value(observation)
        advantage = gae(rollout.reward, value, last_value, rollout.ended, s.discount, s.gae_lambda)
        observations = self._tensor(flat)
        actions = self._tensor(rollout.action).flatten(1, 2)
        with torch.no_grad():
            log_prob, _ = self.log_prob(
                self.groups["actor"].parameters.leaves, observations, actions
            )
        targets = [self._tensor(x.reshape(count, -1)) for x in (advantage, advantage + value)]
        return RolloutBatch(observations, actions, log_prob, *targets)

    def batches(
        self, rollout: Rollout, observation: np.ndarray, progress: float
    ) -> Iterator[RolloutBatch]:
        """The batches of an update phase: each epoch goes through a full rollout in random order.

        `observation` [S, n_envs, *obs], normalised, follows the rollout; `progress` is the share
        of the budget that is used up.
        """
        s = self.settings
        if s.schedule == "linear":
            self.clip_range = s.clip_range * (1 - progress)
            for group in self.groups.values():
                group.optimiser.learning_rate = s.learning_rate * (1 - progress)
        whole = self.whole(rollout, observation)
        for _ in range(s.epochs):
            order = self.streams["shuffle"].permutation(whole.action.shape[1])
            yield from whole.shuffled(order, s.batch_size)

    def update(self, batch: RolloutBatch) -> None:
        """One optimiser step of actor and critic."""
        batch = batch.normalised(ADVANTAGE_EPSILON)
        actor, critic = self.groups["actor"], self.groups["critic"]
        actor_loss = self.actor_loss(actor.parameters.leaves, batch)
        critic_loss = self.critic_loss(critic.parameters.leaves, batch)
        gradients = joint_gradients([actor, critic], actor_loss + critic_loss)
        clip_jointly(gradients, self.settings.max_gradient_norm)
        actor.descend(gradients[0], actor_loss)
        critic.descend(gradients[1], critic_loss)
        self.updates += 1

    def actor_loss(self, parameters: Mapping[str, Tensor], batch: RolloutBatch) -> Tensor:
        """Minus the clipped surrogate and the entropy bonus, averaged over the batch, [S].

        Its advantages are normalised already.
        """
        log_prob, entropy = self.log_prob(parameters, batch.observation, batch.action)
        advantage = batch.advantage
        ratio = (log_prob - batch.log_prob).exp()
        # A clipped ratio times A: at most (1 + epsilon) A where A > 0, (1 - epsilon) A elsewhere.
        bound = advantage + self.clip_range * advantage.abs()
        surrogate = torch.minimum(advantage * ratio, bound)
        return -surrogate.mean(dim=1) - self.settings.entropy_coefficient * entropy.mean(dim=1)

    def critic_loss(self, parameters: Mapping[str, Tensor], batch: RolloutBatch) -> Tensor:
        """The squared error of the values, averaged over the batch and weighted, [S]."""
        error = self.v(parameters, batch.observation) - batch.value_target
        return self.settings.value_coefficient * error.square().mean(dim=1)

    def losses(self) -> dict[str, Callable[[Mapping[str, Tensor], RolloutBatch], Tensor]]:
        """Each group's loss as a pure function of (parameters, batch): a mean over its steps, whose
        advantages are normalised already."""
        return {"actor": self.actor_loss, "critic": self.critic_loss}

    def log_prob(
        self, parameters: Mapping[str, Tensor], observation: Tensor, action: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Log-probabilities of actions [S, B], and the policy's entropies [S, B or 1]."""
        out = self.actor.forward(parameters, observation)
        if self.continuous:
            mean, log_std = out, self._log_std(parameters)
            deviation = (action - mean) * (-log_std).exp()
            scale = log_std.sum(dim=2) + self.action.size * math.log(2 * math.pi) / 2
            return -0.5 * deviation.square().sum(dim=2) - scale, scale + self.action.size / 2
        log_probs = out.log_softmax(dim=2)
        entropy = -(log_probs.exp() * log_probs).sum(dim=2)
        return log_probs.gather(2, action[..., None]).squeeze(2), entropy

    def v(self, parameters: Mapping[str, Tensor], observation: Tensor) -> Tensor:
        """The critic's values [S, B]."""
        return self.critic.forward(parameters, observation).squeeze(2)

    def state(self) -> State:
        """Both groups, the statistics, the streams, the clip range and the number of updates."""
        state: State = {
            "updates": np.full(len(self.seeds), self.updates),
            "clip_range": np.full(len(self.seeds), self.clip_range),
            **add_prefix("normaliser", self.normaliser.state()),
        }
        for name, group in self.groups.items():
            state |= add_prefix(name, group.state())
        for name, streams in self.streams.items():
            state |= add_prefix(f"stream/{name}", streams.state())
        return state

    def load_state(self, state: State) -> None:
        """Continue from what `state` returned."""
        self.updates = int(state["updates"][0])
        self.clip_range = float(state["clip_range"][0])
        self.normaliser.load_state(take_prefix("normaliser", state))
        for name, group in self.groups.items():
            group.load_state(take_prefix(name, state))
        for name, streams in self.streams.items():
            streams.load_state(take_prefix(f"stream/{name}", state))

    def _log_std(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """The policy's log standard deviations [S, 1, size]."""
        # Contiguous: exp's bits depend on how its operand lies in memory.
        return parameters["log_std.constant"].contiguous()

    def _network(
        self, role: Literal["actor", "critic"], shape: tuple[int, ...], outputs: int
    ) -> Network:
        s = self.settings
        first = last = "torch_default"
        if s.orthogonal:
            first, last = "orthogonal_sqrt2", f"orthogonal_{'0.01' if role == 'actor' else '1'}"
        if len(shape) == 3:
            sizes = (s.convolution_filters, s.hidden_units, outputs)
            return minatar_network(role, role, shape, *sizes, first, last, s.activation)
        (inputs,) = shape
        network = (role, role, inputs, s.hidden_layers, s.hidden_units, outputs)
        return mlp(*network, initialiser=first, output_initialiser=last, activation=s.activation)

    def _group(self, name: str, network: Network) -> ParameterGroup:
        s = self.settings
        parameters = FlatParameters.initialise(network, self.seeds, name, self.device)
        betas = (s.adam_beta1, s.adam_beta2)
        optimiser = Adam(parameters.flat, s.learning_rate, betas, s.adam_epsilon)
        return ParameterGroup(name, parameters, optimiser)

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.as_tensor(array, device=self.device)


# Differences from Stable-Baselines3's PPO:
# - Seeds train stacked; every random number comes from a stream named by seed and purpose.
# - Statistics, advantage normalisation and the bound of the gradient's norm belong to one seed.
# - Values and log-probabilities of a rollout are computed at its end, in one pass, not at each
#   step: the parameters do not change in between.
# - Images share no layers either: actor and critic each have a convolution (there, one is shared).
# - A rollout that the budget cuts short is not learned from; there, the budget is overrun.
# - Value clipping, early stopping by KL divergence and gSDE do not exist.
# - A batch must divide the rollout; there, the last batch of an epoch may be smaller.
