"""Shards: records, provenance, divergence, and where training goes on."""

import json
import warnings
from typing import ClassVar

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from suite.conformance.small_runs import AGENTS, TASKS, result, small_runs, train
from suite.plugins.protocol import Plugin, PluginSettings
from suite.plugins.registry import PLUGINS
from suite.specs.models import PluginSpec
from suite.stacked import perceptron, products
from suite.store import numerics
from suite.store.store import Store
from suite.training import learner
from suite.training.shard import train_shard


class PoisonSettings(PluginSettings):
    seed: int
    at: int
    what: str = "parameters"


class Poison(Plugin):
    """Makes one seed diverge after a number of learn calls; the others are left alone."""

    VERSION: ClassVar[int] = 1
    kind = "poison"
    Settings = PoisonSettings

    def __init__(self, settings):
        super().__init__(settings)
        self.settings = settings

    def after_update(self, agent):
        if agent.updates == self.settings.at and self.settings.seed in agent.seeds:
            row = agent.seeds.index(self.settings.seed)
            with torch.no_grad():
                if self.settings.what == "parameters":
                    agent.groups[agent.policy].parameters.flat[row, 3] = torch.nan
                else:  # finite weights whose outputs are not: the first layer times the second
                    agent.groups[agent.policy].parameters.flat[row] = 1e38


@pytest.fixture
def poison(monkeypatch):
    monkeypatch.setitem(PLUGINS, "poison", Poison)

    def spec(**settings):
        return PluginSpec(name="poison", kind="poison", settings=settings)

    return spec


@pytest.mark.parametrize("kind", AGENTS)
@pytest.mark.parametrize("diverged", [0, 1, 2])
def test_the_siblings_of_a_diverged_seed_finish_as_if_it_had_never_been(
    kind, diverged, poison, tmp_path
):
    plugins = [poison(seed=diverged, at=15)]
    runs = small_runs(kind, [0, 1, 2], plugins, recordings=("norms",))
    store = train(runs, tmp_path / "together")
    siblings = [run for run in runs if run.seed != diverged]
    alone = train(siblings, tmp_path / "alone")
    for run in siblings:
        assert store.state(run.key()).state == "done"
        assert result(store, run) == result(alone, run)
    state = store.state(runs[diverged].key())
    assert state.state == "diverged" and "step" in state.message
    record = store.record(runs[diverged].key())
    assert record["state"] == "diverged" and record["message"] == state.message
    # Nothing is recorded after the step at which it was seen.
    seen = int(state.message.split()[-1])
    steps = [step for series in record["series"].values() for step in series["step"]]
    assert seen < runs[0].budget and max(steps) <= seen


def test_an_action_that_is_not_finite_never_reaches_the_environment(poison, tmp_path, monkeypatch):
    monkeypatch.setattr("suite.training.off_policy.CHECK_EVERY", 10**9)
    runs = small_runs("td3", [0, 1], [poison(seed=0, at=15)], evaluate_every=1000)
    seen = []
    from suite.envs.mujoco import MuJoCo

    step = MuJoCo.step
    monkeypatch.setattr(
        MuJoCo, "step", lambda self, action: seen.append(action.copy()) or step(self, action)
    )
    store = train(runs, tmp_path)
    assert store.state(runs[0].key()).state == "diverged"
    assert store.state(runs[0].key()).message.endswith("step 36")  # the act after 15 updates
    assert store.state(runs[1].key()).state == "done"
    assert np.isfinite(seen).all()


def test_finite_weights_with_an_output_that_is_not_count_as_diverged(poison, tmp_path):
    runs = small_runs("td3", [0, 1], [poison(seed=1, at=15, what="outputs")])
    store = train(runs, tmp_path)
    assert [store.state(run.key()).state for run in runs] == ["done", "diverged"]


def test_a_shard_whose_seeds_all_diverge_stops_early(poison, tmp_path, monkeypatch):
    runs = small_runs("dqn", [4], [poison(seed=4, at=15)], budget=100_000_000, evaluate_every=50)
    store = train(runs, tmp_path)
    record = store.record(runs[0].key())
    assert record["state"] == "diverged"
    assert record["series"]["return"]["step"] == [0, 50]


@pytest.mark.parametrize("kind", AGENTS)
def test_the_record_says_what_was_trained_and_what_came_out(kind, tmp_path):
    (run,) = small_runs(kind, [7], recordings=("norms",))
    store = train([run], tmp_path)
    record = store.record(run.key())
    assert set(record) == {
        "record_version",
        "key",
        "cell",
        "scale",
        "seed",
        "state",
        "message",
        "spec",
        "series",
        "figures",
    }
    assert (record["key"], record["seed"], record["state"]) == (run.key(), 7, "done")
    again = type(run).model_validate_json(json.dumps(record["spec"]))
    assert again == run.model_copy(update={"recordings": ()}) and again.key() == run.key()
    if "online_accuracy" not in record["series"]:
        assert record["series"]["return"]["step"] == [0, 25, 50, 75, 80]
        assert record["figures"]["return_last"] == record["series"]["return"]["value"][-1]
    provenance = store.provenance(run.key())
    seconds = provenance["seconds"]
    parts = sum(seconds.get(part, 0.0) for part in ("update", "environment", "evaluation"))
    assert 0 < parts <= seconds["total"] < 60
    assert provenance["torch_threads"] == 1 and provenance["flush_denormal"] is True
    assert provenance["renderer"] == run.task.arguments.get("renderer")


def test_seconds_name_each_plug_in_and_its_hooks_are_not_counted_as_update(tmp_path, monkeypatch):
    clock = [0.0]  # stands still but for the plug-in
    monkeypatch.setattr(learner, "perf_counter", lambda: clock[0])

    def spend(seconds):
        clock[0] += seconds

    class SlowSettings(PluginSettings):
        pass

    class Slow(Plugin):
        VERSION: ClassVar[int] = 1
        kind = "slow"
        Settings = SlowSettings

        def attach(self, agent, total_updates):
            for group in agent.groups.values():
                group.after_step.append(lambda group: spend(0.01))

        def after_update(self, agent):
            spend(0.002)

    monkeypatch.setitem(PLUGINS, "slow", Slow)
    slow = PluginSpec(name="slow", kind="slow")
    runs = small_runs("dqn", [0, 1], [slow], warmup_steps=30)
    store = train(runs, tmp_path)
    seconds = [store.provenance(run.key())["seconds"] for run in runs]
    assert seconds[0] == seconds[1]
    # 50 learn calls of 10 ms in a hook and 2 ms after it, shared by two seeds.
    assert seconds[0]["plugin/slow"] == pytest.approx(0.3)
    assert seconds[0].get("update", 0.0) == pytest.approx(0.0)


class Stopped(Exception):
    pass


def stopping_store(root, at):
    """A store in which training ends with an exception at the first checkpoint from step `at`."""

    class Stopping(Store):
        def save_checkpoint(self, key, step, arrays, values):
            super().save_checkpoint(key, step, arrays, values)
            if step >= at:
                raise Stopped

    return Stopping(root)


def test_seeds_that_are_behind_catch_up_and_join_the_others(tmp_path, monkeypatch):
    """As after a kill between two seeds' checkpoints, or when a seed is added later."""
    monkeypatch.setattr("suite.training.shard.CHECKPOINT_SHARE", 1e9)
    monkeypatch.setattr("suite.training.shard.PROGRESS_SECONDS", 0.0)
    runs = small_runs("td3", [0, 1, 2], recordings=("norms",))
    store = Store(tmp_path / "resumed")
    for run in runs:
        store.begin(run.key(), run.model_dump(mode="json"))
    for run, step in ((runs[1], 10), (runs[2], 30)):
        with pytest.raises(Stopped):
            stopped = stopping_store(store.root, step)
            train_shard([run], stopped, "cell", "smoke", checkpoint_seconds=0)
    assert [store.state(run.key()).step for run in runs] == [None, 10, 30]
    reports = []
    train_shard(runs, store, "cell", "smoke", report=reports.append)
    seeds = {run.key(): run.seed for run in runs}
    together = {report.step: sorted(seeds[key] for key in report.keys) for report in reports}
    assert [together[step] for step in (10, 11, 30, 31, 80)] == [
        [0],
        [0, 1],
        [0, 1],
        [0, 1, 2],
        [0, 1, 2],
    ]
    unbroken = train(runs, tmp_path / "unbroken")
    for run in runs:
        assert result(store, run) == result(unbroken, run)


@pytest.fixture
def other_numerics(monkeypatch):
    """A function that has this process multiply with other kernels, which round differently."""
    product = products.product

    def exact(a, b, bias=None):
        y = product(a.astype(np.float64), b.astype(np.float64), bias)
        return y.astype(a.dtype)

    def change():
        monkeypatch.setattr(products, "KERNELS", "exact")
        monkeypatch.setattr(products, "product", exact)
        monkeypatch.setattr(perceptron, "product", exact)

    return change


def interrupted(runs, folder, at):
    """A store with checkpoints of runs at the steps given."""
    store = Store(folder)
    for run, step in zip(runs, at, strict=True):
        store.begin(run.key(), run.model_dump(mode="json"))
        with pytest.raises(Stopped):
            train_shard([run], stopping_store(folder, step), "cell", "smoke", checkpoint_seconds=0)
    return store


def test_a_run_starts_again_under_other_numerics(tmp_path, monkeypatch, other_numerics):
    monkeypatch.setattr("suite.training.shard.CHECKPOINT_SHARE", 1e9)
    runs = small_runs("td3", [0, 1, 2], recordings=("norms",))
    before = train(runs, tmp_path / "before")
    store = interrupted(runs[:2], tmp_path / "resumed", (40, 60))
    first = products.kernels("cpu")
    other_numerics()
    second = products.kernels("cpu")
    store.begin(runs[2].key(), runs[2].model_dump(mode="json"))
    with pytest.warns(UserWarning, match="starts again") as warned:
        train_shard(runs, store, "cell", "smoke")
    assert [str(warning.message) for warning in warned] == [
        f"cell smoke seed {seed} starts again from its beginning; its work up to step {step} is"
        f" dropped: the numerics changed (products: {first} | {second})"
        for seed, step in ((0, 40), (1, 60))
    ]
    unbroken = train(runs, tmp_path / "unbroken")
    for run in runs:
        assert result(store, run) == result(unbroken, run)
        assert result(store, run) != result(before, run), "the kernels change nothing"
        told = [s.provenance(run.key())["numerics"]["products"] for s in (before, store)]
        assert told == [first, second]


def test_bf16_is_another_run_of_other_numerics_and_as_free_of_its_stack(tmp_path):
    sizes = {"hidden_units": 32, "batch_size": 32}
    runs = small_runs("td3", [0, 1, 2], **sizes)
    rounded = [
        run.model_copy(update={"agent": run.agent.model_copy(update={"precision": "bf16"})})
        for run in runs
    ]
    store, whole = train(runs, tmp_path / "float32"), train(rounded, tmp_path / "whole")
    parts = train(rounded[:2], tmp_path / "parts")
    train(rounded[2:], tmp_path / "parts")
    for one, other in zip(runs, rounded, strict=True):
        assert one.key() != other.key()
        assert store.record(one.key())["series"] != whole.record(other.key())["series"]
        assert whole.record_digest(other.key()) == parts.record_digest(other.key())
        told = [
            kept.provenance(key)["numerics"]["products"]
            for kept, key in ((store, one.key()), (whole, other.key()))
        ]
        assert "bf16" in told[1] and "bf16" not in told[0]
    assert whole.record(rounded[0].key())["spec"]["agent"]["precision"] == "bf16"
    assert "precision" not in store.record(runs[0].key())["spec"]["agent"]


def test_a_run_goes_on_under_equal_numerics(tmp_path, monkeypatch):
    monkeypatch.setattr("suite.training.shard.CHECKPOINT_SHARE", 1e9)
    monkeypatch.setattr("suite.training.shard.PROGRESS_SECONDS", 0.0)
    runs = small_runs("td3", [0])
    store = interrupted(runs, tmp_path, (40,))
    reports = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train_shard(runs, store, "cell", "smoke", report=reports.append)
    assert reports[0].step == 41
    assert store.provenance(runs[0].key())["numerics"] == numerics.present()


def test_a_checkpoint_that_does_not_tell_its_numerics_is_not_gone_on_from(tmp_path, monkeypatch):
    monkeypatch.setattr("suite.training.shard.CHECKPOINT_SHARE", 1e9)
    runs = small_runs("dqn", [0], budget=60)
    store = interrupted(runs, tmp_path / "resumed", (40,))
    checkpoint = store.load_checkpoint(runs[0].key())
    values = {name: x for name, x in checkpoint.values.items() if name != "numerics"}
    assert values.keys() != checkpoint.values.keys()
    store.save_checkpoint(runs[0].key(), 40, checkpoint.arrays, values)
    with pytest.warns(UserWarning, match="seed 0 starts .* step 40 .* does not tell its numerics"):
        train_shard(runs, store, "cell", "smoke")
    assert result(store, runs[0]) == result(train(runs, tmp_path / "unbroken"), runs[0])


def test_the_first_checkpoint_after_a_new_start_takes_the_place_of_the_earlier_one(
    tmp_path, monkeypatch, other_numerics
):
    monkeypatch.setattr("suite.training.shard.CHECKPOINT_SHARE", 1e9)
    runs = small_runs("td3", [0])
    store = interrupted(runs, tmp_path / "resumed", (40,))
    other_numerics()
    with pytest.warns(UserWarning, match="starts again"), pytest.raises(Stopped):
        train_shard(runs, stopping_store(store.root, 10), "cell", "smoke", checkpoint_seconds=0)
    assert store.checkpoint_step(runs[0].key()) == 10
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train_shard(runs, store, "cell", "smoke")
    assert result(store, runs[0]) == result(train(runs, tmp_path / "unbroken"), runs[0])


def test_seconds_add_up_over_resumes(tmp_path, monkeypatch):
    monkeypatch.setattr("suite.training.shard.CHECKPOINT_SHARE", 1e9)
    runs = small_runs("td3", [0, 1], budget=60, evaluate_every=60)
    store = Store(tmp_path)
    for run in runs:
        store.begin(run.key(), run.model_dump(mode="json"))
    with pytest.raises(Stopped):
        train_shard(runs, stopping_store(tmp_path, 40), "cell", "smoke", checkpoint_seconds=0)
    before = store.load_checkpoint(runs[0].key()).values["learner/seconds"]
    train_shard(runs, store, "cell", "smoke")
    after = store.provenance(runs[0].key())["seconds"]
    assert all(after[part] > before[part] > 0 for part in ("total", "update", "environment"))


def test_complete_runs_are_left_alone(tmp_path):
    runs = small_runs("dqn", [0, 1], budget=30)
    store = train(runs[:1], tmp_path)
    before = (store.folder(runs[0].key()) / "provenance.json").read_bytes()
    store.begin(runs[1].key(), runs[1].model_dump(mode="json"))
    train_shard(runs, store, "cell", "smoke")
    assert (store.folder(runs[0].key()) / "provenance.json").read_bytes() == before
    assert store.state(runs[1].key()).state == "done"
    assert store.provenance(runs[1].key())["companions"] == []


def test_progress_tells_step_speed_and_return(tmp_path, monkeypatch):
    monkeypatch.setattr("suite.training.shard.PROGRESS_SECONDS", 0.0)
    runs = small_runs("dqn", [0, 1], budget=30, evaluate_every=10)
    store = Store(tmp_path)
    reports = []
    for run in runs:
        store.begin(run.key(), run.model_dump(mode="json"))
    train_shard(runs, store, "cell", "smoke", report=reports.append)
    assert [progress.step for progress in reports] == list(range(1, 31))
    assert reports[0].keys == tuple(run.key() for run in runs)
    assert all(progress.total == 30 and progress.steps_per_second > 0 for progress in reports)
    last = [store.record(run.key())["series"]["return"]["value"][-1] for run in runs]
    assert reports[-1].last_return == pytest.approx(np.mean(last))


def test_runs_that_differ_in_more_than_the_seed_are_refused(tmp_path):
    runs = small_runs("dqn", [0]) + small_runs("dqn", [1], learning_rate=0.5)
    with pytest.raises(ValueError, match=r"seeds \[1\] differ from the run of seed 0"):
        train_shard(runs, Store(tmp_path), "cell", "smoke")


def test_the_walk_of_dead_units_is_run_and_recorded(tmp_path):
    settings = {"dimension": 20, "update": "sign", "norm": "none", "step_size": 1.0}
    (base,) = small_runs("dqn", [0], budget=100, evaluate_every=10, evaluation_episodes=0)
    agent = base.agent.model_copy(update={"kind": "dead_unit_walk", "settings": settings})
    runs = [
        base.model_copy(update={"agent": agent, "task": TASKS["dead-unit-walk"], "seed": seed})
        for seed in range(3)
    ]
    store = train(runs, tmp_path / "three")
    record = store.record(runs[2].key())
    assert record["series"]["dead_fraction"]["step"] == list(range(0, 101, 10))
    assert record["figures"]["dead_fraction"] == record["series"]["dead_fraction"]["value"][-1]
    assert 0 < record["figures"]["dead_fraction_last_half"] <= 1
    assert result(train(runs[2:], tmp_path / "one"), runs[2]) == result(store, runs[2])


def test_the_stored_agent_holds_the_final_weights(tmp_path):
    (run,) = small_runs("td3", [0])
    arrays = load_file(train([run], tmp_path).folder(run.key()) / "agent.safetensors")
    assert {"agent/actor/flat", "agent/critic/target", "observation_shape", "action"} <= set(arrays)
    assert arrays["observation_shape"].tolist() == [4]
    assert arrays["action"].tolist() == [1.0, -3.0, 3.0]
