"""Small agents of each kind, and batches in which a seed's rows depend on that seed alone."""

import copy

import numpy as np
import torch

from baselines.classifier import Classifier
from baselines.cloning import Cloning
from baselines.dqn import DQN
from baselines.ppo import ADVANTAGE_EPSILON, PPO
from baselines.rad import RAD
from baselines.sac import SAC
from baselines.td3 import TD3
from suite.stacked.replay import Batch
from suite.stacked.rollout import RolloutBatch
from suite.stacked.spaces import ActionSpec
from suite.stacked.streams import SeedStreams

OFF_POLICY = {"warmup_steps": 5, "batch_size": 16, "replay_capacity": 100, "update_every": 1}
TD3_SETTINGS = {
    **OFF_POLICY,
    "hidden_layers": 2,
    "hidden_units": 32,
    "discount": 0.9,
    "actor_learning_rate": 1e-3,
    "critic_learning_rate": 2e-3,
    "adam_beta1": 0.9,
    "adam_beta2": 0.999,
    "adam_epsilon": 1e-8,
    "tau": 0.05,
    "policy_delay": 2,
    "exploration_noise": 0.1,
    "target_noise": 0.2,
    "target_noise_clip": 0.5,
}
CLONING_SETTINGS = {
    **TD3_SETTINGS,
    "collect_steps": 7,
    "optimiser": "sgd",
    "learning_rate": 0.1,
}
SAC_SETTINGS = {
    **OFF_POLICY,
    "gradient_steps": 1,
    "hidden_layers": 2,
    "hidden_units": 32,
    "discount": 0.9,
    "learning_rate": 1e-3,
    "adam_beta1": 0.9,
    "adam_beta2": 0.999,
    "adam_epsilon": 1e-8,
    "tau": 0.05,
    "initial_temperature": 0.5,
}
RAD_SETTINGS = {
    **OFF_POLICY,
    "augmentation": "crop",
    "image_size": 20,
    "pixel_offset": 0.0,
    "convolutions": 4,
    "convolution_initialiser": "delta_orthogonal_relu",
    "filters": 4,
    "features": 16,
    "hidden_units": 32,
    "discount": 0.9,
    "actor_learning_rate": 1e-3,
    "critic_learning_rate": 2e-3,
    "temperature_learning_rate": 1e-3,
    "adam_beta1": 0.9,
    "adam_beta2": 0.999,
    "temperature_beta1": 0.5,
    "adam_epsilon": 1e-8,
    "critic_tau": 0.01,
    "encoder_tau": 0.05,
    "initial_temperature": 0.1,
    "policy_delay": 2,
    "target_update_interval": 2,
}
DQN_SETTINGS = {
    **OFF_POLICY,
    "convolution_filters": 16,
    "hidden_units": 32,
    "discount": 0.9,
    "double": True,
    "loss": "mse",
    "target_update_interval": 3,
    "epsilon_start": 1.0,
    "epsilon_end": 0.1,
    "epsilon_decay_steps": 10,
    "optimiser": "adam",
    "learning_rate": 1e-3,
    "beta1": 0.9,
    "beta2": 0.999,
    "optimiser_epsilon": 1e-8,
}
RMSPROP = {"optimiser": "rmsprop_centred", "beta1": 0.95, "beta2": 0.95, "optimiser_epsilon": 0.01}
PPO_SETTINGS = {
    "n_envs": 1,
    "n_steps": 64,
    "batch_size": 16,
    "epochs": 2,
    "hidden_layers": 2,
    "hidden_units": 32,
    "convolution_filters": 16,
    "activation": "tanh",
    "orthogonal": True,
    "initial_log_std": -0.5,
    "discount": 0.9,
    "gae_lambda": 0.8,
    "clip_range": 0.2,
    "entropy_coefficient": 0.01,
    "value_coefficient": 0.5,
    "max_gradient_norm": 0.5,
    "learning_rate": 1e-3,
    "schedule": "constant",
    "adam_beta1": 0.9,
    "adam_beta2": 0.999,
    "adam_epsilon": 1e-5,
    "normalise_observations": True,
    "normalise_rewards": True,
}
CLASSIFIER_SETTINGS = {
    "batch_size": 16,
    "hidden_layers": 3,
    "hidden_units": 64,
    "learning_rate": 3e-3,
    "adam_beta1": 0.9,
    "adam_beta2": 0.999,
    "adam_epsilon": 1e-8,
}


def td3(seeds, inputs=3, actions=1, high=2.0, change_network=lambda n: n, **changes):
    settings = TD3.Settings(**(TD3_SETTINGS | changes))
    space = ActionSpec("continuous", actions, -high, high)
    return TD3(settings, (inputs,), space, seeds, change_network)


def cloning(seeds, inputs=3, actions=1, high=2.0, change_network=lambda n: n, **changes):
    settings = Cloning.Settings(**(CLONING_SETTINGS | changes))
    space = ActionSpec("continuous", actions, -high, high)
    return Cloning(settings, (inputs,), space, seeds, change_network)


def sac(seeds, inputs=3, actions=1, high=2.0, change_network=lambda n: n, **changes):
    settings = SAC.Settings(**(SAC_SETTINGS | changes))
    space = ActionSpec("continuous", actions, -high, high)
    return SAC(settings, (inputs,), space, seeds, change_network)


def rad(seeds, shape=(24, 24, 9), actions=1, high=2.0, change_network=lambda n: n, **changes):
    settings = RAD.Settings(**(RAD_SETTINGS | changes))
    space = ActionSpec("continuous", actions, -high, high)
    return RAD(settings, shape, space, seeds, change_network)


def observation_shape(agent) -> tuple[int, ...]:
    if agent.kind == "rad":  # its policy sees features
        return agent.observation_shape
    return agent.groups[agent.policy].network.input_shape


def dqn(seeds, shape=(10, 10, 4), actions=6, change_network=lambda n: n, **changes):
    settings = DQN.Settings(**(DQN_SETTINGS | changes))
    return DQN(settings, shape, ActionSpec("discrete", actions), seeds, change_network)


def ppo(seeds, shape=(3,), size=1, kind="continuous", change_network=lambda n: n, **changes):
    settings = PPO.Settings(**(PPO_SETTINGS | changes))
    return PPO(settings, shape, ActionSpec(kind, size, -2.0, 2.0), seeds, change_network)


def classifier(seeds, change_network=lambda n: n, **changes):
    settings = Classifier.Settings(**(CLASSIFIER_SETTINGS | changes))
    return Classifier(settings, (32,), ActionSpec("labels", 10), seeds, change_network)


AGENTS = {
    "td3": td3,
    "td3-6-actions": lambda seeds: td3(seeds, inputs=17, actions=6, high=1.0),
    "cloning": cloning,
    "cloning-adam": lambda seeds: cloning(seeds, 17, 6, 1.0, optimiser="adam", learning_rate=1e-3),
    "sac": sac,
    "sac-6-actions": lambda seeds: sac(seeds, inputs=17, actions=6, high=1.0),
    "rad": rad,
    "rad-translate": lambda seeds: rad(seeds, (17, 17, 3), 6, augmentation="translate"),
    "dqn": dqn,
    "dqn-6-channels": lambda seeds: dqn(seeds, shape=(10, 10, 6)),
    "dqn-official": lambda seeds: dqn(seeds, double=False, loss="huber", **RMSPROP),
    "dqn-vector": lambda seeds: dqn(seeds, shape=(5,), actions=3),
    "ppo": ppo,
    "ppo-6-actions": lambda seeds: ppo(seeds, (17,), 6, n_envs=3),
    "ppo-relu": lambda seeds: ppo(seeds, (11,), 3, activation="relu", orthogonal=False),
    "ppo-discrete": lambda seeds: ppo(seeds, (5,), 3, "discrete", n_envs=2),
    "ppo-images": lambda seeds: ppo(seeds, (10, 10, 4), 6, "discrete"),
    "classifier": classifier,
}


def random_batch(agent, seeds, number: int, size: int = 16) -> Batch | RolloutBatch:
    """Batch `number` for an agent built by this file."""
    if agent.loop == "on_policy":
        return random_rollout_batch(agent, seeds, number, size)
    streams = SeedStreams(seeds, f"test/batch/{number}")
    shape = observation_shape(agent)
    observations = streams.normal(2, size, *shape)
    if agent.kind == "rad":
        observations = (observations * 40 + 128).clip(0, 255).astype(np.uint8)
    elif len(shape) == 3:
        observations = (observations > 1).astype(np.float32)
    if agent.actions == ("continuous",):
        high = agent.max_action
        action = streams.uniform(size, agent.action_size, low=-high, high=high)
    else:
        count = agent.groups[agent.policy].network.output_shapes()[-1][0]
        action = streams.integers([count] * len(seeds), size)
    return Batch(
        observation=torch.tensor(observations[:, 0]),
        action=torch.tensor(action),
        reward=torch.tensor(streams.normal(size)),
        next_observation=torch.tensor(observations[:, 1]),
        terminal=torch.tensor((streams.uniform(size) < 0.2).astype(np.float32)),
    )


def loss_batch(agent, seeds, number: int, size: int = 16) -> Batch | RolloutBatch:
    """`random_batch` as `losses` take it: with normalised advantages, or with noise."""
    batch = random_batch(agent, seeds, number, size)
    if agent.loop == "on_policy":
        return batch.normalised(ADVANTAGE_EPSILON)
    purpose = {"sac": "action_noise", "td3": "target_noise"}.get(agent.kind)
    return batch.with_noise(SeedStreams(seeds, f"analysis/{purpose}")) if purpose else batch


def random_rollout_batch(agent, seeds, number: int, size: int) -> RolloutBatch:
    streams = SeedStreams(seeds, f"test/batch/{number}")
    action = streams.integers([agent.action.size] * len(seeds), size)
    if agent.continuous:
        action = streams.normal(size, agent.action.size)
    return RolloutBatch(
        observation=torch.tensor(streams.normal(size, *agent.actor.input_shape)),
        action=torch.tensor(action),
        log_prob=torch.tensor(streams.normal(size) * np.float32(0.1) - 1),
        advantage=torch.tensor(streams.normal(size)),
        value_target=torch.tensor(streams.normal(size)),
    )


def act_and_observe(agent, seeds, number: int) -> None:
    """One step of on-policy acting: an action, and everything that the normaliser takes in."""
    streams = SeedStreams(seeds, f"test/observation/{number}")
    n_envs = agent.settings.n_envs
    seen = agent.normaliser.observe(streams.normal(n_envs, *agent.actor.input_shape))
    agent.act(seen)
    agent.normaliser.reward(streams.normal(n_envs), streams.uniform(n_envs) < 0.2)


def trained(agent, seeds, updates: int, first: int = 0):
    """The agent after `updates` updates, acting between them where it can."""
    shape = observation_shape(agent)
    for number in range(first, first + updates):
        agent.update(random_batch(agent, seeds, number))
        if agent.loop == "off_policy":
            agent.act(SeedStreams(seeds, f"test/observation/{number}").normal(*shape), number)
        if agent.loop == "on_policy":
            act_and_observe(agent, seeds, number)
    return agent


def saved(agent) -> dict:
    """A copy of the agent's state."""
    return copy.deepcopy(agent.state())
