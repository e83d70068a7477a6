"""What would run at a scale, and about how long and how much memory it would take.

The estimates are for reading a plan and for sharing work out; no result depends on them.
"""

import functools
import json
import math
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from suite import cache
from suite.running_code import running_code
from suite.specs.models import Cell, Plan, RunSpec, Scale, canonical, digest
from suite.specs.project import Project
from suite.store.atomic import StoreError, replace_bytes

# CPU seconds on one core of a 2-core cloud machine (AMD EPYC, Zen 5), 2 to 8 seeds stacked, one
# thread, with other processes on both cores. `suite.engine.duration` has its time of a fixed piece
# of work.
SECONDS_PER_UPDATE = {
    "td3": 6.6e-3,
    "cloning": 1.9e-3,  # of the clone; its teacher is a TD3
    "sac": 9.2e-3,
    "rad": 1.7e-8,  # per pixel and filter of a batch: 70 ms for rad-small, 0.5 s for rad-official
    "dqn": 1.6e-3,
    "ppo": 5.0e-4,
    "classifier": 1.6e-4,
    "twins": 7.0e-4,
    "image_classifier": 2.2e-3,  # of two convolutions of 32 channels on 8 x 8 images
    "dead_unit_walk": 6.0e-6,
}
SECONDS_PER_UPDATE_ELSEWHERE = 1.0e-3  # a guess, for agents of other packages
NORMALISED = {"classifier": 1.7, "dqn": 1.6, "ppo": 1.3}  # times as long with normalised layers
NORMALISED_ELSEWHERE = 1.1
NORMALISING = ("norm", "nap")  # kinds of plug-ins
SECONDS_PER_STEP = {  # of the environment and the acting, in training and in evaluation
    "mujoco": 1.0e-4,
    "dmc": 3.0e-4,
    "dmc_pixels": 4.2e-3,
    "minatar": 5.0e-5,
    "classic": 3.0e-5,
    "gymnasium": 1.0e-4,
    "synthetic": 0.0,
}
SECONDS_PER_STEP_ELSEWHERE = 1.0e-4  # a guess, for environments of other packages
SECONDS_PER_START = {"dmc_pixels": 1.5}  # building a seed's environments; elsewhere little
EPISODE_STEPS = 100  # of an evaluation episode without a limit
PROCESS_BYTES = 400_000_000  # Python, PyTorch and the environments
FLOAT_BYTES = 4


def plan(project: Project, scale: Scale) -> Plan:
    """The cells of a scale, in the order in which the studies name them."""
    return Plan(scale=scale, cells=project.cells[scale])


def updates(run: RunSpec) -> int:
    """Learn calls of a run."""
    from suite.specs import registry

    settings = run.agent.settings
    if registry.AGENTS[run.agent.kind].loop == "on_policy":
        rollout = int(settings["n_steps"]) * int(settings["n_envs"])
        batches = int(settings["epochs"]) * (rollout // int(settings["batch_size"]))
        return run.budget // rollout * batches
    warmup = int(settings.get("warmup_steps", 0))
    rounds = max(0, math.ceil((run.budget - warmup) / int(settings.get("update_every", 1))))
    return rounds * int(settings.get("gradient_steps", 1))


def seconds_estimate(cell: Cell) -> float:
    """Seconds of one core that all seeds of the cell take together on the machine where the
    constants were measured."""
    # They differ in their seed only.
    return len(cell.runs) * _of_a_seed(cell.runs[0], "seconds", _seconds)


def memory_estimate(cell: Cell) -> int:
    """Bytes of one process that trains all seeds of the cell."""
    return PROCESS_BYTES + len(cell.runs) * int(_of_a_seed(cell.runs[0], "bytes", _bytes))


def _of_a_seed(run: RunSpec, what: str, estimate: Callable[[RunSpec], float]) -> float:
    """An estimate; what this code found before is kept, as agents take long to import."""
    known, key = _kept(), f"{what} {run.model_copy(update={'seed': 0}).key()}"
    if key not in known:
        known[key] = estimate(run)
    return known[key]


@functools.cache
def _kept() -> dict[str, float]:
    """What the file has of this code."""
    try:
        file = json.loads(_file().read_bytes())
        return {key: float(of) for key, of in file["of"].items()} if file["by"] == _code() else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def keep_estimates() -> None:
    """Write what was estimated so far, for the next process."""
    content = canonical({"by": _code(), "of": _kept()}).encode()
    # Without a folder to write to, the next process estimates anew.
    with suppress(OSError, StoreError):
        _file().parent.mkdir(parents=True, exist_ok=True)
        replace_bytes(_file(), content, durable=False)


def _file() -> Path:
    return cache.folder() / "estimates.json"


def _code() -> str:
    return digest(dict(running_code()))


def _seconds(run: RunSpec) -> float:
    update = SECONDS_PER_UPDATE.get(run.agent.kind, SECONDS_PER_UPDATE_ELSEWHERE)
    if run.agent.kind == "rad":
        s = run.agent.settings
        update *= int(s["batch_size"]) * int(s["image_size"]) ** 2 * int(s["filters"])
    if any(plugin.kind in NORMALISING for plugin in run.plugins):
        update *= NORMALISED.get(run.agent.kind, NORMALISED_ELSEWHERE)
    step = SECONDS_PER_STEP.get(run.task.family, SECONDS_PER_STEP_ELSEWHERE)
    evaluations = 1 + run.budget // run.evaluate_every
    evaluation = evaluations * run.evaluation_episodes * (run.task.episode_limit or EPISODE_STEPS)
    acting = (run.budget + evaluation) * step
    learning = updates(run) * update
    if run.agent.kind == "cloning":
        s = run.agent.settings
        taught = max(0, int(s["collect_steps"]) - int(s["warmup_steps"])) // int(s["update_every"])
        learning += taught * (SECONDS_PER_UPDATE["td3"] - update)
    return learning + acting + SECONDS_PER_START.get(run.task.family, 0.0)


def _bytes(run: RunSpec) -> int:
    """Replay or rollout, snapshots, and the parameters with what goes with them, of one seed."""
    from suite.specs import registry

    kind = registry.AGENTS[run.agent.kind]
    if kind.loop == "simulation":
        return 0
    policy, parameters = _parameter_counts(run)
    settings, experience = run.agent.settings, 0
    if kind.loop == "off_policy":
        rows = min(int(settings["replay_capacity"]), run.budget)
        experience = rows * _transition_bytes(run)
    if kind.loop == "on_policy":
        # Stored in order, and once more shuffled.
        rows = int(settings["n_steps"]) * int(settings["n_envs"])
        experience = 2 * rows * _rollout_step_bytes(run)
    return experience + FLOAT_BYTES * (_snapshots(run) * policy + 5 * parameters)


def _transition_bytes(run: RunSpec) -> int:
    """As the replays store it: bools as bits, pixels as one frame; action, reward and terminal."""
    from suite.specs import registry

    environment = registry.environment(run.task)
    if environment.observations == "pixels":
        height, width, _ = environment.observation_shape
        frame = 3 * height * width
        return frame + FLOAT_BYTES * environment.action_size + 5
    size = math.prod(environment.observation_shape)
    action = 8 if environment.actions == "discrete" else FLOAT_BYTES * environment.action_size
    bits = environment.observation_dtype == "bool"
    return 2 * (math.ceil(size / 8) if bits else FLOAT_BYTES * size) + action + 5


def _rollout_step_bytes(run: RunSpec) -> int:
    """Floats of a step of `suite.stacked.rollout.RolloutBatch`; discrete actions take two."""
    from suite.specs import registry

    environment = registry.environment(run.task)
    action = 2 if environment.actions == "discrete" else environment.action_size
    return FLOAT_BYTES * (math.prod(environment.observation_shape) + action + 3)


def _snapshots(run: RunSpec) -> int:
    """Snapshots of the policy that plug-ins hold in the end."""
    policy_updates = updates(run) // int(run.agent.settings.get("policy_delay", 1))
    held = 0
    for plugin in run.plugins:
        if plugin.kind in ("pptb", "random_projection"):
            rows = 1 + policy_updates // int(plugin.settings["store_interval"])
            held += min(rows, int(plugin.settings["capacity"]))
        elif plugin.kind == "snapshot_average":
            held += int(plugin.settings["snapshots"])
    return held


def _parameter_counts(run: RunSpec) -> tuple[int, int]:
    """Parameters of the policy and of all groups of the agent, without plug-ins, for one seed."""
    from suite.specs import registry

    environment = registry.environment(run.task)
    kind: Any = registry.AGENTS[run.agent.kind]
    settings = kind.Settings.model_validate(run.agent.settings)
    shape = environment.observation_shape
    # Of no seed: rows of the right length, without any memory.
    agent = kind(settings, shape, environment.action, [], lambda network: network)
    sizes = {name: group.parameters.flat.shape[1] for name, group in agent.groups.items()}
    return sizes[agent.policy], sum(sizes.values())
