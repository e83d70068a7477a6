"""I2 for environments that the project's tasks do not use: trained, killed, resumed, same bytes."""

import multiprocessing
import os
import shutil
import signal
import time
import tomllib
from pathlib import Path

import pytest

import suite.training.shard
from suite.conformance.small_runs import result, small_runs, train
from suite.engine.shards import Shard
from suite.engine.work import work
from suite.envs.families import FAMILIES, unusable
from suite.extensions import ENVIRONMENTS_GROUP, Extended
from suite.specs.models import TaskSpec
from suite.store.store import Store
from suite.training.shard import train_shard

EXAMPLE = Path(__file__).parents[2] / "docs" / "example_environment"
TASKS = {
    name: TaskSpec(
        name=name, family=family, environment=environment, arguments=arguments, episode_limit=30
    )
    for name, family, environment, arguments in [
        ("swimmer", "mujoco", "Swimmer-v5", {}),
        ("humanoid", "mujoco", "Humanoid-v5", {"healthy_reward": 1.0}),
        ("pusher", "mujoco", "Pusher-v5", {}),
        ("cartpole", "gymnasium", "CartPole-v1", {}),
        ("lunarlander", "gymnasium", "LunarLander-v3", {}),
        ("corridor", "corridor", "corridor", {"length": 4}),
    ]
}
KINDS = {
    "swimmer": ("td3", "sac"),
    "humanoid": ("sac", "ppo"),
    "pusher": ("td3", "ppo"),
    "cartpole": ("dqn", "ppo"),
    "lunarlander": ("dqn", "ppo"),
    "corridor": ("dqn", "ppo"),
}


@pytest.fixture
def corridor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The documentation's environment, as its package installs it."""
    shutil.copy(EXAMPLE / "corridor.py", tmp_path)
    points = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]["entry-points"]
    lines = [f"{name} = {value}" for name, value in points[ENVIRONMENTS_GROUP].items()]
    info = tmp_path / "corridor-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: corridor\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("\n".join([f"[{ENVIRONMENTS_GROUP}]", *lines]))
    monkeypatch.syspath_prepend(tmp_path)
    own = {name: FAMILIES[name] for name in ("mujoco", "gymnasium")}
    found = Extended(own, ENVIRONMENTS_GROUP, unusable)
    monkeypatch.setattr("suite.envs.make.FAMILIES", found)


def _train(runs, root, checkpoint_share):
    # Without a limit on their share of the time there is a checkpoint after every step.
    suite.training.shard.CHECKPOINT_SHARE = checkpoint_share
    work(Shard("cell", "smoke", tuple(runs), 1.0), root, train_shard, "cpu", 0.0)


@pytest.mark.usefixtures("corridor")
@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, kind) for name, kinds in KINDS.items() for kind in kinds],
)
def test_a_killed_run_in_any_environment_ends_with_the_same_bytes(name, kind, tmp_path):
    runs = small_runs(kind, [0, 1], budget=160, evaluate_every=40, task=TASKS[name])
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["suite.engine.work", "suite.training.shard"])
    store = Store(tmp_path / "killed")
    store.root.mkdir()
    child = context.Process(target=_train, args=(runs, store.root, 1e9))
    child.start()
    # Two checkpoints a step: in the middle of the second episode of at most 30 steps, or later.
    seen, deadline = set(), time.monotonic() + 60
    while len(seen) < 90 and child.is_alive() and time.monotonic() < deadline:
        seen |= set(store.root.glob("*/checkpoint-*"))
    assert child.is_alive(), "the run ended before it was killed"
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert {store.state(run.key()).state for run in runs} == {"interrupted"}
    child = context.Process(target=_train, args=(runs, store.root, 0.05))
    child.start()
    child.join(120)
    assert child.exitcode == 0
    unbroken = train(runs, tmp_path / "unbroken")
    for run in runs:
        assert result(store, run) == result(unbroken, run)
        assert len(unbroken.record(run.key())["series"]["return"]["value"]) == 5
