"""RAD: Soft Actor-Critic on augmented pixels (Laskin et al., NeurIPS 2020).

Follows the authors' released code, MishaLaskin/rad at 18d079e: curl_sac.py, encoder.py, train.py.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from baselines.augmentation import crop, translate
from baselines.networks import MOST_LAYERS, MOST_UNITS, mlp, pixel_convolutions, pixel_features
from baselines.tanh_gaussian import tanh_gaussian
from baselines.temperature import Temperature
from suite.stacked.layers import Network
from suite.stacked.optimisers import Adam
from suite.stacked.parameters import FlatParameters, ParameterGroup, polyak_update, step_together
from suite.stacked.replay import Batch
from suite.stacked.spaces import ActionSpec
from suite.stacked.streams import SeedStreams, State, add_prefix, take_prefix

LOG_STD_RANGE = (-10.0, 2.0)  # curl_sac.py actor_log_std_min, actor_log_std_max
Parameters = Mapping[str, Tensor]


class RADSettings(BaseModel):
    """Settings of RAD; the target entropy is minus the number of action dimensions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    warmup_steps: int = Field(ge=0, description="first steps, uniformly random and without updates")
    batch_size: int = Field(gt=0, description="transitions per update and seed")
    replay_capacity: int = Field(gt=0, description="transitions that a seed's replay holds")
    update_every: int = Field(gt=0, description="environment steps per update after the warm-up")
    augmentation: Literal["crop", "translate"] = Field(description="part of it, or it on black")
    image_size: int = Field(gt=0, le=1024, description="side of the augmented image, in pixels")
    pixel_offset: float = Field(ge=0, le=1, description="taken from pixels, which are 0 to 1")
    convolutions: int = Field(
        gt=0, le=MOST_LAYERS, description="convolutional layers, the first of stride 2"
    )
    convolution_initialiser: Literal["delta_orthogonal_relu", "torch_default"] = Field(
        description="initial weights of the convolutions"
    )
    filters: int = Field(gt=0, le=MOST_UNITS, description="filters of each convolution")
    features: int = Field(gt=0, le=MOST_UNITS, description="numbers that an image becomes")
    hidden_units: int = Field(
        gt=0, le=MOST_UNITS, description="units of the two hidden layers of each trunk"
    )
    discount: float = Field(ge=0, le=1, description="gamma")
    actor_learning_rate: float = Field(ge=0, description="Adam's step size for the actor")
    critic_learning_rate: float = Field(ge=0, description="Adam's, critics and convolutions")
    temperature_learning_rate: float = Field(ge=0, description="Adam's step size for log alpha")
    adam_beta1: float = Field(ge=0, lt=1, description="Adam's decay of the mean gradient")
    adam_beta2: float = Field(ge=0, lt=1, description="Adam's decay of the squared gradient")
    temperature_beta1: float = Field(ge=0, lt=1, description="adam_beta1 of the temperature")
    adam_epsilon: float = Field(ge=0, description="Adam's epsilon")
    critic_tau: float = Field(ge=0, le=1, description="share of the new in a target critic")
    encoder_tau: float = Field(ge=0, le=1, description="share of the new in a target encoder")
    initial_temperature: float = Field(gt=0, description="alpha, the entropy's weight, at first")
    policy_delay: int = Field(gt=0, description="updates per update of actor and temperature")
    target_update_interval: int = Field(gt=0, description="updates per update of all targets")


class RAD:
    """S seeds of RAD, trained as one stack; observations are bytes (H, W, C).

    The policy is the actor's trunk; its features and the convolutions are groups of their own.
    Raises ValueError for actions not continuous and symmetric about 0, and images of a wrong size.
    """

    VERSION = 1
    Settings = RADSettings
    kind = "rad"
    loop = "off_policy"
    actions = ("continuous",)
    observations = ("pixels",)

    @staticmethod
    def refuses(
        settings: RADSettings, observation_shape: tuple[int, ...], action_spec: ActionSpec
    ) -> str | None:
        """Why it can't act on such observations and actions; None if it can."""
        s, (height, width, channels) = settings, observation_shape
        if action_spec.kind != "continuous" or action_spec.low != -action_spec.high:
            return f"RAD needs continuous actions, -high to high: rescale {action_spec}"
        margin = s.image_size - height if s.augmentation == "translate" else height - s.image_size
        if height != width or margin < 0:
            return (
                f"images of {height} x {width} can't be augmented by {s.augmentation} to "
                f"{s.image_size}: take squares, at least as large for crop, at most for translate"
            )
        # The first convolution has stride 2; each takes a border of 3 - 1 pixels.
        side = (s.image_size - 3) // 2 + 1 - 2 * (s.convolutions - 1)
        if side < 1:
            return (
                f"images of {s.image_size} x {s.image_size} vanish in {s.convolutions} convolutions"
            )
        if channels % 3:
            return f"images of {channels} channels are no stack of frames with 3 colours"
        return None

    def __init__(
        self,
        settings: RADSettings,
        observation_shape: tuple[int, ...],
        action_spec: ActionSpec,
        seeds: Sequence[int],
        change_network: Callable[[Network], Network],
        device: str = "cpu",
    ) -> None:
        reason = self.refuses(settings, observation_shape, action_spec)
        if reason is not None:
            raise ValueError(reason)
        height, _, channels = observation_shape
        s = self.settings = settings
        self.margin = abs(s.image_size - height)
        self.observation_shape = observation_shape
        self.max_action = action_spec.high
        self.action_size = size = action_spec.size
        self.target_entropy = -float(size)
        self.seeds = tuple(seeds)
        self.device = device

        sizes = (s.image_size, channels, s.filters, s.convolutions)
        convolutions = pixel_convolutions(*sizes, s.convolution_initialiser)
        (pixels,) = convolutions.output_shapes()[-1]
        trunk, orthogonal = (2, s.hidden_units), "orthogonal_1"
        networks = [
            convolutions,
            pixel_features("critic_features", pixels, s.features),
            mlp("q", "critic", s.features + size, *trunk, 1, copies=2, initialiser=orthogonal),
            pixel_features("actor_features", pixels, s.features),
            mlp("actor", "actor", s.features, *trunk, 2 * size, initialiser=orthogonal),
        ]
        names = ("convolutions", "critic_features", "critic", "actor_features", "actor")
        self.networks = {n: change_network(net) for n, net in zip(names, networks, strict=True)}
        self.groups = {name: self._group(name) for name in names}
        self.critic_side = [self.groups[n] for n in ("convolutions", "critic_features", "critic")]
        self.actor_side = [self.groups[n] for n in ("actor_features", "actor")]
        adam = (s.temperature_learning_rate, (s.temperature_beta1, s.adam_beta2), s.adam_epsilon)
        self.temperature = Temperature(len(seeds), s.initial_temperature, *adam, device)
        self.policy = "actor"
        self.updates = 0
        purposes = ["warmup", "exploration", "actor_noise", "target_noise"]
        purposes += ["augmentation", "next_augmentation"]
        self.streams = {name: SeedStreams(seeds, name) for name in purposes}

    @torch.no_grad()
    def act(self, observations: np.ndarray, step: int) -> np.ndarray:
        """Actions [S, size] to take at environment step `step` (from 0), for [S, *obs]."""
        high = self.max_action
        if step < self.settings.warmup_steps:
            return self.streams["warmup"].uniform(self.action_size, low=-high, high=high)
        noise = self._tensor(self.streams["exploration"].normal(1, self.action_size))
        encoded = self.encode(self._online(), self.centred(observations[:, None]))
        action, _ = self.sample(self._online(), encoded, noise)
        return (high * action[:, 0]).cpu().numpy()

    @torch.no_grad()
    def greedy(self, observations: np.ndarray) -> np.ndarray:
        """tanh of the policy's mean for centred images: [S, B, size] for [S, B, *obs]."""
        encoded = self.encode(self._online(), self.centred(observations))
        mean, _ = self.gaussian(self._online(), encoded)
        return (self.max_action * torch.tanh(mean)).cpu().numpy()

    def update(self, batch: Batch) -> None:
        """One update of convolutions and critics; of actor, temperature and targets when due."""
        s, alpha = self.settings, self.temperature.value()
        batch = self.augmented(batch, self.streams)
        size = batch.action.shape[1:]
        noise = self._tensor(self.streams["target_noise"].normal(*size))
        step_together(self.critic_side, self.critic_loss(self._online(), batch, noise, alpha))
        self.updates += 1
        if self.updates % s.policy_delay == 0:
            noise = self._tensor(self.streams["actor_noise"].normal(*size))
            loss, log_prob = self.actor_loss(self._online(), batch, noise, alpha)
            step_together(self.actor_side, loss)
            self.temperature.step(log_prob, self.target_entropy)
        if self.updates % s.target_update_interval == 0:
            for group in self.critic_side:
                assert group.target is not None
                tau = s.critic_tau if group.name == "critic" else s.encoder_tau
                polyak_update(group.target, group.parameters, tau)

    def augmented(self, batch: Batch, streams: Mapping[str, SeedStreams]) -> Batch:
        """The batch with augmented images. Crops of an observation and of the next one are drawn
        independently; a translation is the same for both."""
        corners = following = self._corners(streams["augmentation"], batch)
        if self.settings.augmentation == "crop":
            following = self._corners(streams["next_augmentation"], batch)
        images = self._placed(batch.observation, corners)
        next_images = self._placed(batch.next_observation, following)
        return Batch(images, batch.action, batch.reward, next_images, batch.terminal)

    def centred(self, observations: np.ndarray) -> Tensor:
        """Images [S, B, ...] at the size that the networks take: the middle, or in the middle."""
        images = torch.as_tensor(observations, device=self.device)
        corners = torch.full((*images.shape[:2], 2), self.margin // 2, device=self.device)
        return self._placed(images, corners)

    def critic_loss(
        self, p: Mapping[str, Parameters], batch: Batch, noise: Tensor, alpha: Tensor
    ) -> Tensor:
        """Each seed's squared TD error, averaged over the batch, summed over both critics, [S].

        `p` holds parameters by group; `noise` [S, B, size] is standard normal; `alpha` is [S, 1].
        """
        targets = {group.name: group.target.leaves for group in self.critic_side if group.target}
        with torch.no_grad():
            encoded = self.encode(self._online(), batch.next_observation)
            action, log_prob = self.sample(self._online(), encoded, noise)
            encoded = self.encode(targets, batch.next_observation)
            value = self.q(targets, encoded, action).amin(dim=1) - alpha * log_prob
            target = batch.reward + self.settings.discount * (1 - batch.terminal) * value
        q = self.q(p, self.encode(p, batch.observation), batch.action / self.max_action)
        return (q - target[:, None]).square().mean(dim=2).sum(dim=1)

    def actor_loss(
        self, p: Mapping[str, Parameters], batch: Batch, noise: Tensor, alpha: Tensor
    ) -> tuple[Tensor, Tensor]:
        """alpha log pi - min(Q1, Q2) [S] and log pi [S, B]; only the actor's own layers learn."""
        with torch.no_grad():
            encoded = self.encode(self._online(), batch.observation)
        action, log_prob = self.sample(p, encoded, noise)
        critics = {g.name: g.parameters.with_flat(g.parameters.flat) for g in self.critic_side}
        q = self.q(critics, encoded, action).amin(dim=1)
        return (alpha * log_prob - q).mean(dim=1), log_prob

    def losses(self) -> dict[str, Callable[[Parameters, Batch], Tensor]]:
        """Each group's loss as a pure function of (parameters, batch), the others as they are.

        Augmentation and noise are the same at every call, from streams that training does not use.
        """

        def loss(group: str, parameters: Parameters, batch: Batch) -> Tensor:
            names = ("augmentation", "next_augmentation", "action_noise")
            streams = {name: SeedStreams(self.seeds, f"analysis/{name}") for name in names}
            batch = self.augmented(batch, streams)
            noise = self._tensor(streams["action_noise"].normal(*batch.action.shape[1:]))
            p, alpha = {**self._online(), group: parameters}, self.temperature.value()
            if self.groups[group] in self.actor_side:
                return self.actor_loss(p, batch, noise, alpha)[0]
            return self.critic_loss(p, batch, noise, alpha)

        return {name: partial(loss, name) for name in self.groups}

    def encode(self, p: Mapping[str, Parameters], images: Tensor) -> Tensor:
        """The convolutions' output [S, B, n] for augmented images, bytes."""
        pixels = (images / 255).sub_(self.settings.pixel_offset)
        return self.networks["convolutions"].forward(p["convolutions"], pixels)

    def gaussian(self, p: Mapping[str, Parameters], encoded: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log std, before the tanh, [S, B, size] each."""
        features = self.networks["actor_features"].forward(p["actor_features"], encoded)
        mean, log_std = self.networks["actor"].forward(p["actor"], features).chunk(2, dim=-1)
        low, high = LOG_STD_RANGE
        return mean, low + 0.5 * (high - low) * (torch.tanh(log_std) + 1)

    def sample(
        self, p: Mapping[str, Parameters], encoded: Tensor, noise: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Actions in (-1, 1) [S, B, size] drawn with `noise`, and their log densities [S, B]."""
        return tanh_gaussian(*self.gaussian(p, encoded), noise)

    def q(self, p: Mapping[str, Parameters], encoded: Tensor, action: Tensor) -> Tensor:
        """Both critics' values [S, 2, B]; actions are in units of the largest action."""
        features = self.networks["critic_features"].forward(p["critic_features"], encoded)
        x = torch.cat((features, action), dim=-1).repeat_interleave(2, dim=0)
        return self.networks["critic"].forward(p["critic"], x).view(-1, 2, action.shape[1])

    def state(self) -> State:
        """The groups, the temperature, the streams and the number of updates."""
        state: State = {"updates": np.full(len(self.seeds), self.updates)}
        for name, part in self._parts().items():
            state |= add_prefix(name, part.state())
        return state

    def load_state(self, state: State) -> None:
        """Continue from what `state` returned."""
        self.updates = int(state["updates"][0])
        for name, part in self._parts().items():
            part.load_state(take_prefix(name, state))

    def _parts(self) -> dict[str, ParameterGroup | Temperature | SeedStreams]:
        streams = {f"stream/{name}": streams for name, streams in self.streams.items()}
        return {**self.groups, "temperature": self.temperature, **streams}

    def _group(self, name: str) -> ParameterGroup:
        s, actors = self.settings, name.startswith("actor")
        parameters = FlatParameters.initialise(self.networks[name], self.seeds, name, self.device)
        rate = s.actor_learning_rate if actors else s.critic_learning_rate
        optimiser = Adam(parameters.flat, rate, (s.adam_beta1, s.adam_beta2), s.adam_epsilon)
        return ParameterGroup(name, parameters, optimiser, with_target=not actors)

    def _online(self) -> dict[str, Parameters]:
        return {name: group.parameters.leaves for name, group in self.groups.items()}

    def _corners(self, streams: SeedStreams, batch: Batch) -> Tensor:
        highs = [self.margin + 1] * len(self.seeds)
        return self._tensor(streams.integers(highs, batch.reward.shape[1], 2))

    def _placed(self, images: Tensor, corners: Tensor) -> Tensor:
        change = crop if self.settings.augmentation == "crop" else translate
        return change(images, corners, self.settings.image_size)

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.as_tensor(array, device=self.device)


# Differences from the authors' code (MishaLaskin/rad at 18d079e):
# - Seeds train stacked; every random number comes from a stream named by seed and purpose.
# - Data collection acts on centred images, as evaluation does. There, with translate, it acts on
#   the raw larger frame, and evaluation renders larger and cuts to the middle first.
# - Evaluation has environments of its own; there it goes on in the training environment.
# - The temperature's gradient lacks the factor alpha, which Adam's scaling cancels.
# - log(1 - tanh(x)^2) is exact; there it is log(relu(1 - a^2) + 1e-6).
# - The layers of CURL, built there and never trained, are absent.
# - Any size of image: flattened features follow from it; there a table knows 84, 100 and 108.
