"""Small runs of every agent: seconds where real ones take hours."""

from pathlib import Path
from typing import Any

from suite.analysis.registry import recording
from suite.plugins.registry import PLUGINS
from suite.specs import registry
from suite.specs.models import AgentSpec, PluginSpec, RunSpec, TaskSpec
from suite.store.store import Store
from suite.training.shard import train_shard

TASKS = {
    "inverted-pendulum": TaskSpec(
        name="inverted-pendulum",
        family="mujoco",
        environment="InvertedPendulum-v5",
        episode_limit=20,
    ),
    "breakout": TaskSpec(
        name="breakout", family="minatar", environment="breakout", episode_limit=30
    ),
    "pendulum-pixels": TaskSpec(
        name="pendulum-pixels",
        family="dmc_pixels",
        environment="pendulum-swingup",
        arguments={
            "renderer": "raycast",
            "height": 12,
            "width": 12,
            "camera": 0,
            "frame_stack": 2,
            "supersampling": 1,
        },
        action_repeat=4,
        episode_limit=20,
    ),
    "random-labels": TaskSpec(
        name="random-labels",
        family="synthetic",
        environment="random_labels",
        arguments={"inputs": 64, "dimensions": 8, "classes": 10, "steps_per_task": 20},
    ),
    "digits": TaskSpec(
        name="digits",
        family="synthetic",
        environment="digits",
        arguments={"labels": "random", "inputs": 64, "batch_size": 16, "steps_per_task": 20},
    ),
    "dead-unit-walk": TaskSpec(
        name="dead-unit-walk", family="synthetic", environment="dead_unit_walk"
    ),
}

TD3 = {
    "warmup_steps": 20,
    "batch_size": 16,
    "replay_capacity": 1000,
    "update_every": 1,
    "hidden_layers": 2,
    "hidden_units": 16,
    "discount": 0.99,
    "actor_learning_rate": 1e-3,
    "critic_learning_rate": 1e-3,
    "adam_beta1": 0.9,
    "adam_beta2": 0.999,
    "adam_epsilon": 1e-8,
    "tau": 0.005,
    "policy_delay": 2,
    "exploration_noise": 0.1,
    "target_noise": 0.2,
    "target_noise_clip": 0.5,
}
CLONING = {**TD3, "collect_steps": 40, "optimiser": "adam", "learning_rate": 1e-3}
SAC = {
    "warmup_steps": 20,
    "batch_size": 16,
    "replay_capacity": 1000,
    "update_every": 1,
    "gradient_steps": 1,
    "hidden_layers": 2,
    "hidden_units": 16,
    "discount": 0.99,
    "learning_rate": 1e-3,
    "adam_beta1": 0.9,
    "adam_beta2": 0.999,
    "adam_epsilon": 1e-8,
    "tau": 0.005,
    "initial_temperature": 1.0,
}
RAD = {
    "warmup_steps": 20,
    "batch_size": 8,
    "replay_capacity": 1000,
    "update_every": 1,
    "augmentation": "crop",
    "image_size": 10,
    "pixel_offset": 0.0,
    "convolutions": 2,
    "convolution_initialiser": "delta_orthogonal_relu",
    "filters": 4,
    "features": 8,
    "hidden_units": 16,
    "discount": 0.99,
    "actor_learning_rate": 1e-3,
    "critic_learning_rate": 1e-3,
    "temperature_learning_rate": 1e-4,
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
DQN = {
    "warmup_steps": 20,
    "batch_size": 8,
    "replay_capacity": 1000,
    "update_every": 1,
    "convolution_filters": 4,
    "hidden_units": 16,
    "discount": 0.99,
    "double": True,
    "loss": "mse",
    "target_update_interval": 15,
    "epsilon_start": 1.0,
    "epsilon_end": 0.1,
    "epsilon_decay_steps": 50,
    "optimiser": "adam",
    "learning_rate": 1e-3,
    "beta1": 0.9,
    "beta2": 0.999,
    "optimiser_epsilon": 1e-8,
}
PPO = {
    "n_envs": 1,
    "n_steps": 16,
    "batch_size": 8,
    "epochs": 2,
    "hidden_layers": 2,
    "hidden_units": 16,
    "convolution_filters": 4,
    "activation": "relu",  # the plug-in that projects jointly takes no other
    "orthogonal": True,
    "initial_log_std": 0.0,
    "discount": 0.99,
    "gae_lambda": 0.95,
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
CLASSIFIER = {
    "batch_size": 16,
    "hidden_layers": 3,
    "hidden_units": 16,
    "learning_rate": 3e-3,
    "adam_beta1": 0.9,
    "adam_beta2": 0.999,
    "adam_epsilon": 1e-8,
}
AGENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "td3": ("inverted-pendulum", TD3),
    "cloning": ("inverted-pendulum", CLONING),
    "sac": ("inverted-pendulum", SAC),
    "rad": ("pendulum-pixels", RAD),
    "dqn": ("breakout", DQN),
    "ppo": ("inverted-pendulum", PPO),
    "classifier": ("random-labels", CLASSIFIER),
    "twins": (
        "random-labels",
        CLASSIFIER | {"optimiser": "adam", "matching": "global", "rescale_gradients": True},
    ),
    "image_classifier": ("digits", CLASSIFIER | {"convolutions": 2, "filters": 4}),
}


def acting(kind: str, **changes: Any) -> PluginSpec:
    """A plug-in with the settings that make it act within a small run."""
    return PluginSpec(name=kind, kind=kind, settings={**PLUGINS[kind].acting, **changes})


def neutral(kind: str) -> PluginSpec:
    """A plug-in with its neutral settings. Raises ValueError when it has none."""
    settings = PLUGINS[kind].neutral
    if settings is None:
        raise ValueError(f"plug-in {kind!r} has no neutral settings")
    return PluginSpec(name=kind, kind=kind, settings=dict(settings))


def small_runs(
    kind: str,
    seeds: list[int],
    plugins: list[PluginSpec] | tuple[PluginSpec, ...] = (),
    recordings: tuple[str, ...] = (),
    budget: int = 80,
    evaluate_every: int = 25,
    evaluation_episodes: int = 2,
    task: TaskSpec | None = None,
    **settings: Any,
) -> list[RunSpec]:
    """A run per seed of an agent on its small task; `settings` change the agent's."""
    task_name, defaults = AGENTS[kind]
    supervised = registry.AGENTS[kind].loop == "supervised"
    return [
        RunSpec(
            task=task or TASKS[task_name],
            agent=AgentSpec(name=f"{kind}-small", kind=kind, settings=defaults | settings),
            plugins=tuple(plugins),
            recordings=tuple(recording(kind, {}) for kind in recordings),
            seed=seed,
            budget=budget,
            evaluate_every=evaluate_every,
            evaluation_episodes=0 if supervised else evaluation_episodes,
        )
        for seed in seeds
    ]


def train(runs: list[RunSpec], folder: Path) -> Store:
    """Train runs as one shard in a store of their own."""
    store = Store(folder)
    for run in runs:
        store.begin(run.key(), run.trained())
    train_shard(runs, store, "cell", "smoke")
    return store


def result(store: Store, run: RunSpec) -> dict[str, bytes]:
    """The bytes of everything in a complete run that must not depend on how it was trained."""
    folder = store.folder(run.key())
    paths = [*folder.glob("*.safetensors"), *folder.glob("recordings/*/*")]
    names = sorted(str(path.relative_to(folder)) for path in paths)
    return {name: (folder / name).read_bytes() for name in ["record.json", *names, "COMPLETE"]}
