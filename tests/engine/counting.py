"""A stand-in for training: counts steps, and misbehaves as the agent's settings say."""

import hashlib
import os
import signal
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from suite.specs.models import AgentSpec, Cell, RunSpec, TaskSpec
from suite.store.atomic import StoreError


@dataclass(frozen=True)
class Progress:
    keys: tuple[str, ...]
    step: int
    total: int
    steps_per_second: float
    last_return: float | None


def cell_of(name, seeds=(1, 2), budget=20, **settings):
    """A cell of runs for `count`. Settings: `sleep` seconds a step; `raise_for`, `full_disk_for`,
    `kill_for` a seed, in the middle; `kill_once` a path that is there after the first kill;
    `kill_after` so many steps of a process; `checkpoint_within` seconds between two checkpoints,
    which are not made when asked for less often;
    `log` a file that gets a line `pid first_step` whenever a run starts; `warn` of what."""
    task = TaskSpec(name=name, family="minatar", environment="breakout", episode_limit=10)
    agent = AgentSpec(name="counter", kind="td3", settings=settings)
    runs = tuple(
        RunSpec(
            task=task,
            agent=agent,
            seed=seed,
            budget=budget,
            evaluate_every=budget,
            evaluation_episodes=1,
            versions={"agent/td3": 1},
        )
        for seed in seeds
    )
    return Cell(id=f"{name}--counter--none", scale="smoke", runs=runs)


def count(runs, store, cell, scale, device, report, checkpoint_seconds):
    """Train as `suite.training.shard.train_shard` does, one seed after the other."""
    for run in runs:
        within = run.agent.settings.get("checkpoint_within", checkpoint_seconds)
        _count(run, store, cell, scale, report, len(runs), checkpoint_seconds <= within)


def _count(run, store, cell, scale, report, companions, checkpoints):
    key, settings = run.key(), run.agent.settings
    checkpoint = store.load_checkpoint(key)
    step = checkpoint.step if checkpoint else 0
    value = checkpoint.values["value"] if checkpoint else ""
    if "log" in settings:
        with Path(settings["log"]).open("a") as file:
            file.write(f"{os.getpid()} {step}\n")
    if "warn" in settings:
        warnings.warn(f"seed {run.seed} {settings['warn']}", stacklevel=1)
    first = step
    while step < run.budget:
        if step - first == settings.get("kill_after"):
            os.kill(os.getpid(), signal.SIGKILL)
        if step == run.budget // 2:
            _misbehave(run.seed, settings)
        time.sleep(settings.get("sleep", 0.0))
        step += 1
        value = hashlib.sha256(f"{run.seed}/{step}/{value}".encode()).hexdigest()
        if checkpoints:
            store.save_checkpoint(key, step, {"step": np.array(step)}, {"value": value})
        report(Progress((key,), step, run.budget, 100.0, float(step)))
    record = {
        "key": key,
        "cell": cell,
        "scale": scale,
        "seed": run.seed,
        "message": "",
        "spec": run.model_dump(mode="json"),
        "series": {"return": {"step": [0, step], "value": [0.0, float(step)]}},
        "figures": {"value": int(value[:8], 16)},
    }
    store.complete(key, record, {"process": os.getpid(), "companions": companions})


def _misbehave(seed, settings):
    if settings.get("raise_for") == seed:
        raise ZeroDivisionError(f"seed {seed} divides by zero")
    if settings.get("full_disk_for") == seed:
        raise StoreError("cannot write x: No space left on device. The disk is full")
    if settings.get("kill_for") == seed:
        once = settings.get("kill_once")
        if once is None or not Path(once).exists():
            if once is not None:
                Path(once).touch()
            os.kill(os.getpid(), signal.SIGKILL)
