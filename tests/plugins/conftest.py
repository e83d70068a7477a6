"""Small agents with plug-ins, and batches that depend on the seed alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch

from baselines.classifier import Classifier
from baselines.dqn import DQN
from baselines.ppo import PPO
from baselines.rad import RAD
from baselines.sac import SAC
from baselines.td3 import TD3
from suite.plugins.protocol import Plugin
from suite.plugins.registry import build_plugins
from suite.stacked.replay import Batch
from suite.stacked.rollout import RolloutBatch
from suite.stacked.spaces import ActionSpec
from suite.stacked.streams import stream

TD3_SETTINGS = dict(
    warmup_steps=0,
    batch_size=8,
    replay_capacity=100,
    update_every=1,
    hidden_layers=2,
    hidden_units=16,
    discount=0.99,
    actor_learning_rate=1e-3,
    critic_learning_rate=1e-3,
    adam_beta1=0.9,
    adam_beta2=0.999,
    adam_epsilon=1e-8,
    tau=0.005,
    policy_delay=2,
    exploration_noise=0.1,
    target_noise=0.2,
    target_noise_clip=0.5,
)
SAC_SETTINGS = dict(
    warmup_steps=0,
    batch_size=8,
    replay_capacity=100,
    update_every=1,
    gradient_steps=1,
    hidden_layers=2,
    hidden_units=16,
    discount=0.99,
    learning_rate=1e-3,
    adam_beta1=0.9,
    adam_beta2=0.999,
    adam_epsilon=1e-8,
    tau=0.005,
    initial_temperature=1.0,
)
RAD_SETTINGS = dict(
    warmup_steps=0,
    batch_size=8,
    replay_capacity=100,
    update_every=1,
    augmentation="crop",
    image_size=12,
    pixel_offset=0.0,
    convolutions=2,
    convolution_initialiser="delta_orthogonal_relu",
    filters=4,
    features=8,
    hidden_units=16,
    discount=0.99,
    actor_learning_rate=1e-3,
    critic_learning_rate=1e-3,
    temperature_learning_rate=1e-4,
    adam_beta1=0.9,
    adam_beta2=0.999,
    temperature_beta1=0.5,
    adam_epsilon=1e-8,
    critic_tau=0.01,
    encoder_tau=0.05,
    initial_temperature=0.1,
    policy_delay=2,
    target_update_interval=2,
)
DQN_SETTINGS = dict(
    warmup_steps=0,
    batch_size=8,
    replay_capacity=100,
    update_every=1,
    convolution_filters=4,
    hidden_units=16,
    discount=0.99,
    double=True,
    loss="mse",
    target_update_interval=10,
    epsilon_start=1.0,
    epsilon_end=0.1,
    epsilon_decay_steps=100,
    optimiser="adam",
    learning_rate=1e-3,
    beta1=0.9,
    beta2=0.999,
    optimiser_epsilon=1e-8,
)
PPO_SETTINGS = dict(
    n_envs=1,
    n_steps=16,
    batch_size=8,
    epochs=2,
    hidden_layers=2,
    hidden_units=16,
    convolution_filters=4,
    activation="relu",
    orthogonal=True,
    initial_log_std=0.0,
    discount=0.99,
    gae_lambda=0.95,
    clip_range=0.2,
    entropy_coefficient=0.01,
    value_coefficient=0.5,
    max_gradient_norm=0.5,
    learning_rate=1e-3,
    schedule="constant",
    adam_beta1=0.9,
    adam_beta2=0.999,
    adam_epsilon=1e-5,
    normalise_observations=False,
    normalise_rewards=False,
)
CLASSIFIER_SETTINGS = dict(
    batch_size=8,
    hidden_layers=3,
    hidden_units=16,
    learning_rate=1e-3,
    adam_beta1=0.9,
    adam_beta2=0.999,
    adam_epsilon=1e-8,
)
BUILDS: dict[str, tuple[Any, dict[str, Any], tuple[int, ...], ActionSpec]] = {
    "td3": (TD3, TD3_SETTINGS, (5,), ActionSpec("continuous", 2, -1.0, 1.0)),
    "sac": (SAC, SAC_SETTINGS, (5,), ActionSpec("continuous", 2, -1.0, 1.0)),
    "rad": (RAD, RAD_SETTINGS, (14, 14, 3), ActionSpec("continuous", 2, -1.0, 1.0)),
    "dqn": (DQN, DQN_SETTINGS, (6, 6, 3), ActionSpec("discrete", 4)),
    "ppo": (PPO, PPO_SETTINGS, (5,), ActionSpec("continuous", 2, -1.0, 1.0)),
    "classifier": (Classifier, CLASSIFIER_SETTINGS, (8,), ActionSpec("labels", 4)),
}
PPTB = dict(
    capacity=12,
    store_interval=2,
    interval=4,
    unit="policy_updates",
    trim_rank=3,
    boost_rank=2,
    boost_coefficient=0.1,
    buffer_after="keep",
    centre="none",
    layerwise=False,
    reset_optimiser=False,
    sync_target=False,
)
NAP = dict(
    norm="layer",
    eps=1e-5,
    first_layer="normed",
    critic_norm_last_hidden=False,
    affine="free",
    affine_decay=0.01,
    interval=1,
    schedule="constant",
    schedule_ratio=60.0,
    schedule_fraction=0.5,
)
NORM = {key: NAP[key] for key in ("norm", "eps", "first_layer", "critic_norm_last_hidden")}
PRESETS: dict[str, tuple[str, dict[str, Any]]] = {
    "pptb": ("pptb", PPTB),
    "nap": ("nap", NAP),
    "nap_linear": ("nap", NAP | {"schedule": "linear"}),
    "nap_decay": ("nap", NAP | {"affine": "decay", "interval": 3}),
    "nap_joint": ("nap", NAP | {"affine": "joint", "norm": "rms"}),
    "ln": ("norm", NORM | {"affine": "free"}),
    "proj_only": (
        "projection",
        {"interval": 1, "first_layer": "normed", "critic_norm_last_hidden": False},
    ),
    "decay": ("decay", {"ratio": 60.0, "fraction": 0.5}),
    "cosine": ("cosine", {"periods": 2, "warmup": 4, "start_ratio": 100.0, "ratio": 60.0}),
    "replayed": ("replayed", {"points": [[0.0, 1.0], [1.0, 0.1]]}),
    "snapshot_average": (
        "snapshot_average",
        {
            "store_interval": 1,
            "interval": 5,
            "unit": "policy_updates",
            "snapshots": 4,
            "decay": 1.0,
        },
    ),
    "random_projection": (
        "random_projection",
        {
            "store_interval": 1,
            "interval": 5,
            "unit": "policy_updates",
            "capacity": 12,
            "rank": 2,
        },
    ),
    "inflate": ("inflate", {"factor": 3.0}),
    "deaden": ("deaden", {"fraction": 0.5, "probe_inputs": 32}),
    "l2": ("l2", {"coefficient": 0.01}),
    "regenerative": ("regenerative", {"coefficient": 0.01}),
    "weight_decay": ("weight_decay", {"coefficient": 1.0}),
    "shrink_perturb": ("shrink_perturb", {"interval": 4, "shrink": 0.9, "perturb": 0.1}),
    "update_noise": ("update_noise", {"scale": 0.001}),
    "redo": ("redo", {"interval": 4, "threshold": 0.7}),
    "leaky_relu": ("leaky_relu", {}),
    "crelu": ("crelu", {}),
    "layer_reset": ("layer_reset", {"interval": 4, "layers": 1}),
    "plasticity_injection": ("plasticity_injection", {"at": 15}),
}


@dataclass(frozen=True)
class Choice:
    kind: str
    settings: dict[str, Any]


@dataclass
class Trained:
    """An agent with its plug-ins, as a training loop holds them."""

    kind: str
    seeds: tuple[int, ...]
    agent: Any
    plugins: list[Plugin]
    total: int
    updates: int = field(default=0)

    def train(self, updates: int) -> "Trained":
        for _ in range(updates):
            batch = batch_for(self.kind, self.seeds, self.updates)
            for plugin in self.plugins:
                plugin.before_update(self.agent, batch.observation)
            self.agent.update(batch)
            for plugin in self.plugins:
                plugin.after_update(self.agent)
            self.updates += 1
        return self

    def policy(self) -> torch.Tensor:
        return self.agent.groups[self.agent.policy].parameters.flat.clone()

    def flats(self) -> torch.Tensor:
        """Parameters and targets of all groups, [S, ...]."""
        groups = self.agent.groups.values()
        parts = [g.parameters.flat for g in groups]
        parts += [g.target.flat for g in groups if g.target is not None]
        return torch.cat(parts, 1)

    def state(self) -> dict[str, Any]:
        whole = dict(self.agent.state())
        for index, plugin in enumerate(self.plugins):
            whole |= {f"plugin/{index}/{k}": v for k, v in plugin.state().items()}
        return whole

    def load_state(self, state: dict[str, Any], updates: int) -> None:
        self.agent.load_state(state)
        for index, plugin in enumerate(self.plugins):
            start = f"plugin/{index}/"
            plugin.load_state({k[len(start) :]: v for k, v in state.items() if k.startswith(start)})
        self.updates = updates


def batch_for(kind: str, seeds: Sequence[int], number: int) -> Batch | RolloutBatch:
    _, settings, shape, action = BUILDS[kind]
    size = settings["batch_size"]
    rows = []
    for seed in seeds:
        draw = stream(seed, f"batch/{number}")
        if action.kind == "continuous":
            taken = draw.uniform(-1, 1, (size, action.size)).astype(np.float32)
        else:
            taken = draw.integers(action.size, size=size)
        rows.append(
            (
                draw.standard_normal((size, *shape), np.float32),
                taken,
                draw.standard_normal(size, np.float32),
                draw.standard_normal((size, *shape), np.float32),
                (draw.random(size) < 0.1).astype(np.float32),
            )
        )
    columns = [torch.as_tensor(np.stack(column)) for column in zip(*rows, strict=True)]
    if kind == "rad":
        columns[0], columns[3] = (
            (column * 40 + 128).clamp(0, 255).to(torch.uint8) for column in (columns[0], columns[3])
        )
    if kind == "ppo":
        observation, taken, number_a, _, number_b = columns
        return RolloutBatch(observation, taken, -2 - number_b, number_a, number_a)
    return Batch(*columns)


def build(
    kind: str,
    presets: Sequence[str | tuple[str, dict[str, Any]]] = (),
    seeds: Sequence[int] = (0,),
    total: int = 40,
) -> Trained:
    """An agent of the kind with plug-ins: names of PRESETS, or (kind, settings)."""
    chosen = [PRESETS[p] if isinstance(p, str) else p for p in presets]
    plugins = build_plugins([Choice(*c) for c in chosen])

    def change(network):
        for plugin in plugins:
            network = plugin.change_network(network)
        return network

    agent_class, settings, shape, action = BUILDS[kind]
    agent = agent_class(agent_class.Settings(**settings), shape, action, tuple(seeds), change)
    for plugin in plugins:
        plugin.attach(agent, total)
    return Trained(kind, tuple(seeds), agent, plugins, total)


@pytest.fixture(name="build")
def _build() -> Callable[..., Trained]:
    return build


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
