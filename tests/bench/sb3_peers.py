"""Stable-Baselines3 set up like our agents, from the same settings.

One process, one thread. Only the bench environment installs Stable-Baselines3.
"""

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import torch
from stable_baselines3 import DQN, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

from suite.envs.episodes import episode_seed
from suite.envs.make import make_environment
from suite.envs.protocol import Environment
from suite.specs.models import RunSpec

Settings = Mapping[str, Any]
ACTIVATIONS = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}


def as_seen(observations: np.ndarray) -> np.ndarray:
    """Observations [..., *shape] as PyTorch's networks take them: float32, images (H, W, C)
    channels first. Vectors are [size] or [B, size], images [H, W, C] or [B, H, W, C]."""
    first = np.moveaxis(observations, -1, -3) if observations.ndim >= 3 else observations
    return np.ascontiguousarray(first, dtype=np.float32)


class AdapterEnv(gymnasium.Env[np.ndarray, Any]):
    """One of the suite's environments as Gymnasium sees it, through the episodes that the suite's
    own loop would play for this seed: both sides step the same one from the same start states."""

    def __init__(self, environment: Environment, seed: int) -> None:
        self.environment = environment
        self._seed, self._episode = seed, 0
        action = environment.action
        shape = as_seen(np.zeros(environment.observation_shape)).shape
        if action.kind == "discrete":
            self.observation_space = gymnasium.spaces.Box(0.0, 1.0, shape, np.float32)
            self.action_space = gymnasium.spaces.Discrete(action.size)
        else:
            self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, shape, np.float32)
            self.action_space = gymnasium.spaces.Box(
                action.low, action.high, (action.size,), np.float32
            )

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        observation = self.environment.reset(episode_seed(self._seed, "train", self._episode))
        self._episode += 1
        return as_seen(observation), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        observation, reward, terminal, truncated = self.environment.step(np.asarray(action))
        return as_seen(observation), reward, terminal, truncated, {}


class MinAtarFeatures(BaseFeaturesExtractor):
    """One 3x3 convolution and a hidden layer, as in MinAtar's dqn.py."""

    def __init__(self, observation_space: gymnasium.spaces.Box, filters: int, units: int) -> None:
        super().__init__(observation_space, units)
        channels, height, width = observation_space.shape
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(channels, filters, 3),
            torch.nn.ReLU(),
            torch.nn.Flatten(),
            torch.nn.Linear(filters * (height - 2) * (width - 2), units),
            torch.nn.ReLU(),
        )

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        return self.layers(observations)


class NoiseAfterWarmup(ActionNoise):
    """Normal noise on the actions of the policy. SB3 adds its noise to the uniform actions of the
    warm-up too; ours and the authors' TD3 do not."""

    def __init__(self, size: int, std: float, warmup_steps: int) -> None:
        super().__init__()
        self._size, self._std, self._warmup = size, std, warmup_steps
        self._calls = 0

    def __call__(self) -> np.ndarray:
        self._calls += 1
        if self._calls <= self._warmup:
            return np.zeros(self._size, np.float32)
        return np.random.normal(0.0, self._std, self._size).astype(np.float32)


def sb3_agent(run: RunSpec, total_steps: int) -> BaseAlgorithm:
    """A fresh SB3 agent with the run's task, settings and seed, for `learn(total_steps)`.

    Raises ValueError for a setting that SB3's agent cannot have.
    """
    env = AdapterEnv(make_environment(run.task), run.seed)
    build = {"ppo": _ppo, "dqn": _dqn, "sac": _sac, "td3": _td3}[run.agent.kind]
    return build(run.agent.settings, env, {"seed": run.seed, "device": "cpu"}, total_steps)


def _must_be(settings: Settings, **needed: Any) -> None:
    """Refuse settings of ours that SB3's agent has no counterpart for."""
    for name, value in needed.items():
        if settings[name] != value:
            raise ValueError(
                f"{name} is {settings[name]!r}; Stable-Baselines3's agent can only have {value!r}"
            )


def _ppo(s: Settings, env: AdapterEnv, common: dict, total_steps: int) -> BaseAlgorithm:
    _must_be(
        s, n_envs=1, schedule="constant", normalise_observations=False, normalise_rewards=False
    )
    return PPO(
        "MlpPolicy",
        env,
        learning_rate=s["learning_rate"],
        n_steps=s["n_steps"],
        batch_size=s["batch_size"],
        n_epochs=s["epochs"],
        gamma=s["discount"],
        gae_lambda=s["gae_lambda"],
        clip_range=s["clip_range"],
        ent_coef=s["entropy_coefficient"],
        vf_coef=s["value_coefficient"],
        max_grad_norm=s["max_gradient_norm"],
        policy_kwargs={
            "net_arch": [s["hidden_units"]] * s["hidden_layers"],
            "activation_fn": ACTIVATIONS[s["activation"]],
            "ortho_init": s["orthogonal"],
            "log_std_init": s["initial_log_std"],
            "optimizer_kwargs": _adam(s["adam_beta1"], s["adam_beta2"], s["adam_epsilon"]),
        },
        **common,
    )


def _dqn(s: Settings, env: AdapterEnv, common: dict, total_steps: int) -> BaseAlgorithm:
    _must_be(s, double=False, loss="huber", optimiser="adam")
    # Both epsilons fall on one line and are the same from the end of the warm-up on; SB3's line
    # starts at step 0, above 1 if need be, and does not matter before.
    slope = (s["epsilon_start"] - s["epsilon_end"]) / s["epsilon_decay_steps"]
    return DQN(
        "CnnPolicy",
        env,
        **_replay(s),
        learning_rate=s["learning_rate"],
        target_update_interval=s["target_update_interval"],
        exploration_initial_eps=s["epsilon_start"] + slope * s["warmup_steps"],
        exploration_final_eps=s["epsilon_end"],
        exploration_fraction=(s["warmup_steps"] + s["epsilon_decay_steps"]) / total_steps,
        max_grad_norm=float("inf"),
        policy_kwargs={
            "features_extractor_class": MinAtarFeatures,
            "features_extractor_kwargs": {
                "filters": s["convolution_filters"],
                "units": s["hidden_units"],
            },
            "net_arch": [],
            "normalize_images": False,
            "optimizer_kwargs": _adam(s["beta1"], s["beta2"], s["optimiser_epsilon"]),
        },
        **common,
    )


def _sac(s: Settings, env: AdapterEnv, common: dict, total_steps: int) -> BaseAlgorithm:
    # SB3's Adam of the temperature has PyTorch's defaults.
    _must_be(s, adam_beta1=0.9, adam_beta2=0.999, adam_epsilon=1e-8)
    return SAC(
        "MlpPolicy",
        env,
        **_replay(s),
        learning_rate=s["learning_rate"],
        tau=s["tau"],
        gradient_steps=s["gradient_steps"],
        ent_coef=f"auto_{s['initial_temperature']}",
        target_entropy="auto",
        policy_kwargs={"net_arch": [s["hidden_units"]] * s["hidden_layers"]},
        **common,
    )


def _td3(s: Settings, env: AdapterEnv, common: dict, total_steps: int) -> BaseAlgorithm:
    _must_be(s, actor_learning_rate=s["critic_learning_rate"])
    size, warmup = env.environment.action.size, s["warmup_steps"]
    return TD3(
        "MlpPolicy",
        env,
        **_replay(s),
        learning_rate=s["critic_learning_rate"],
        tau=s["tau"],
        policy_delay=s["policy_delay"],
        action_noise=NoiseAfterWarmup(size, s["exploration_noise"], warmup),
        target_policy_noise=s["target_noise"],
        target_noise_clip=s["target_noise_clip"],
        policy_kwargs={
            "net_arch": [s["hidden_units"]] * s["hidden_layers"],
            "optimizer_kwargs": _adam(s["adam_beta1"], s["adam_beta2"], s["adam_epsilon"]),
        },
        **common,
    )


def _replay(s: Settings) -> dict[str, Any]:
    """What the off-policy agents share."""
    return {
        "buffer_size": s["replay_capacity"],
        "learning_starts": s["warmup_steps"],
        "batch_size": s["batch_size"],
        "gamma": s["discount"],
        "train_freq": s["update_every"],
    }


def _adam(beta1: float, beta2: float, epsilon: float) -> dict[str, Any]:
    return {"betas": (beta1, beta2), "eps": epsilon}
