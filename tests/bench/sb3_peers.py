"""Stable-Baselines3 set up like our agents, for timing side by side.

Same network, batch, replay and update ratio as the presets `chain-ddqn`, `sac-mujoco`,
`td3-official` and `ppo-sb3-default`; one process, one thread. Only the bench environment installs
Stable-Baselines3.
"""

from typing import Any

import gymnasium
import numpy as np
import torch
from stable_baselines3 import DQN, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

from suite.envs.protocol import Environment


class AdapterEnv(gymnasium.Env[np.ndarray, Any]):
    """One of the suite's environments as Gymnasium sees it: both sides step the same one."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        action = environment.action
        shape = self._seen(np.zeros(environment.observation_shape)).shape
        if action.kind == "discrete":
            self.observation_space = gymnasium.spaces.Box(0.0, 1.0, shape, np.float32)
            self.action_space = gymnasium.spaces.Discrete(action.size)
        else:
            self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, shape, np.float32)
            self.action_space = gymnasium.spaces.Box(
                action.low, action.high, (action.size,), np.float32
            )
        self._episodes = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        self._episodes += 1
        return self._seen(self.environment.reset(seed or self._episodes)), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        observation, reward, terminal, truncated = self.environment.step(np.asarray(action))
        return self._seen(observation), reward, terminal, truncated, {}

    @staticmethod
    def _seen(observation: np.ndarray) -> np.ndarray:
        """As PyTorch's networks take it: float32, images channels first."""
        first = observation.transpose(2, 0, 1) if observation.ndim == 3 else observation
        return np.ascontiguousarray(first, dtype=np.float32)


class MinAtarFeatures(BaseFeaturesExtractor):
    """3x3 convolution with 16 filters and a hidden layer of 128, as in MinAtar's dqn.py."""

    def __init__(self, observation_space: gymnasium.spaces.Box) -> None:
        super().__init__(observation_space, 128)
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(observation_space.shape[0], 16, 3),
            torch.nn.ReLU(),
            torch.nn.Flatten(),
            torch.nn.Linear(1024, 128),
            torch.nn.ReLU(),
        )

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        return self.layers(observations)


def sb3_agent(algorithm: str, environment: Environment, seed: int) -> BaseAlgorithm:
    """A fresh SB3 agent: `td3` as `td3-official`, `sac` as `sac-mujoco`, `dqn` as `chain-ddqn`
    without double targets, `ppo` with its own defaults."""
    env = AdapterEnv(environment)
    if algorithm == "ppo":
        return PPO("MlpPolicy", env, seed=seed, device="cpu")
    if algorithm == "dqn":
        return DQN(
            "CnnPolicy",
            env,
            learning_rate=3e-4,
            buffer_size=100_000,
            learning_starts=1000,
            batch_size=32,
            gamma=0.99,
            train_freq=1,
            gradient_steps=1,
            target_update_interval=1000,
            exploration_fraction=1.0,
            exploration_final_eps=0.1,
            policy_kwargs={
                "features_extractor_class": MinAtarFeatures,
                "net_arch": [],
                "normalize_images": False,
            },
            seed=seed,
            device="cpu",
        )
    if algorithm == "sac":
        return SAC(
            "MlpPolicy",
            env,
            learning_rate=3e-4,
            buffer_size=1_000_000,
            learning_starts=1000,
            batch_size=256,
            tau=0.005,
            gamma=0.99,
            train_freq=1,
            gradient_steps=1,
            ent_coef="auto",
            target_entropy="auto",
            policy_kwargs={"net_arch": [256, 256]},
            seed=seed,
            device="cpu",
        )
    return TD3(
        "MlpPolicy",
        env,
        learning_rate=3e-4,
        buffer_size=1_000_000,
        learning_starts=1000,
        batch_size=256,
        tau=0.005,
        gamma=0.99,
        train_freq=1,
        gradient_steps=1,
        policy_delay=2,
        target_policy_noise=0.2,
        target_noise_clip=0.5,
        policy_kwargs={"net_arch": [256, 256]},
        seed=seed,
        device="cpu",
    )
