"""Agents rebuilt from the store alone."""

import json

import numpy as np
import pytest
from invariants.combinations import NAP_PLUGIN, PPTB_PLUGIN

from suite.conformance.small_runs import small_runs, train
from suite.specs.registry import AGENTS
from suite.store.atomic import StoreError
from suite.store.store import Store
from suite.training.loading import agent_from_checkpoint
from suite.training.shard import LOOPS, train_shard

SHAPES = {"td3": (4,), "sac": (4,), "classifier": (8,)}


@pytest.mark.parametrize("kind", ["td3", "cloning", "sac", "dqn", "ppo", "classifier"])
@pytest.mark.parametrize("plugins", [[], [NAP_PLUGIN, PPTB_PLUGIN]], ids=["none", "nap+pptb"])
def test_a_complete_run_gives_its_agent_without_an_environment(
    kind, plugins, tmp_path, monkeypatch
):
    runs = small_runs(kind, [0, 1], plugins)
    loop_kind = AGENTS[kind].loop
    loops = []
    build = LOOPS[loop_kind]
    monkeypatch.setitem(
        LOOPS, loop_kind, lambda *arguments: loops.append(build(*arguments)) or loops[-1]
    )
    store = train(runs, tmp_path)
    monkeypatch.setattr("suite.envs.vector.make_environment", None)
    agent = agent_from_checkpoint(store, runs[1].key())
    shape = loops[0].learner._observation_shape
    observations = np.random.default_rng(0).random((1, 5, *shape), np.float32)
    both = np.repeat(observations, 2, axis=0)
    np.testing.assert_array_equal(agent.greedy(observations)[0], loops[0].agent.greedy(both)[1])
    assert agent.updates == loops[0].agent.updates


def test_a_run_is_read_whose_spec_has_a_description_that_is_gone(tmp_path):
    (run,) = small_runs("dqn", [0])
    store = train([run], tmp_path)
    path = store.folder(run.key()) / "spec.json"
    spec = json.loads(path.read_text())
    path.write_text(json.dumps(spec | {"task": spec["task"] | {"told": "of the task"}}))
    assert agent_from_checkpoint(store, run.key()).updates > 0


def test_an_unfinished_run_gives_the_agent_of_its_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr("suite.training.shard.CHECKPOINT_SHARE", 1e9)

    class Stopped(Exception):
        pass

    class Stopping(Store):
        def save_checkpoint(self, key, step, arrays, values):
            super().save_checkpoint(key, step, arrays, values)
            if step >= 40:
                raise Stopped

    (run,) = small_runs("dqn", [0], budget=60)
    store = Stopping(tmp_path)
    store.begin(run.key(), run.model_dump(mode="json"))
    with pytest.raises(StoreError, match="no checkpoint yet"):
        agent_from_checkpoint(store, run.key())
    with pytest.raises(Stopped):
        train_shard([run], store, "cell", "smoke", checkpoint_seconds=0)
    agent = agent_from_checkpoint(store, run.key())
    step = store.state(run.key()).step
    assert agent.updates == step - 20


def test_a_run_that_was_never_begun_is_named(tmp_path):
    with pytest.raises(StoreError, match="run abc was never begun"):
        agent_from_checkpoint(Store(tmp_path), "abc")
