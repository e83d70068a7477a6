"""I3: evaluating, probing, reporting and checkpointing change no bit of what is trained."""

import pytest
from training.small_runs import AGENTS, small_runs, train

from invariants.combinations import NAP_PLUGIN, PPTB_PLUGIN
from suite.store.store import Store
from suite.training.shard import train_shard

PLUGINS = [NAP_PLUGIN, PPTB_PLUGIN]


def agents(store, runs):
    paths = [store.folder(run.key()) / "agent.safetensors" for run in runs]
    return [path.read_bytes() for path in paths]


@pytest.mark.parametrize("kind", AGENTS)
def test_evaluation_changes_no_final_weight(kind, tmp_path):
    often = small_runs(kind, [0, 1], PLUGINS, evaluate_every=7, evaluation_episodes=3)
    never = small_runs(kind, [0, 1], PLUGINS, evaluate_every=10**6, evaluation_episodes=0)
    looked, not_looked = train(often, tmp_path / "often"), train(never, tmp_path / "never")
    assert agents(looked, often) == agents(not_looked, never)
    if kind != "classifier":
        assert "return" not in not_looked.record(never[0].key())["series"]


@pytest.mark.parametrize("kind", AGENTS)
def test_probes_change_no_final_weight(kind, tmp_path):
    probed = small_runs(kind, [0, 1], PLUGINS, probes=("weight_norms", "policy_path"))
    plain = small_runs(kind, [0, 1], PLUGINS)
    assert agents(train(probed, tmp_path / "probed"), probed) == agents(
        train(plain, tmp_path / "plain"), plain
    )


@pytest.mark.parametrize("kind", AGENTS)
def test_reports_and_checkpoints_change_no_byte_of_the_result(kind, tmp_path, monkeypatch):
    runs = small_runs(kind, [0, 1], PLUGINS, probes=("weight_norms",))
    quiet = train(runs, tmp_path / "quiet")
    monkeypatch.setattr("suite.training.shard.PROGRESS_SECONDS", 0.0)
    monkeypatch.setattr("suite.training.shard.CHECKPOINT_SHARE", 1e9)
    store, reports = Store(tmp_path / "busy"), []
    for run in runs:
        store.begin(run.key(), run.model_dump(mode="json"))
    train_shard(runs, store, "cell", "smoke", report=reports.append, checkpoint_seconds=0)
    assert len(reports) == runs[0].budget
    for run in runs:
        record = store.folder(run.key()) / "record.json"
        assert record.read_bytes() == (quiet.folder(run.key()) / "record.json").read_bytes()
    assert agents(store, runs) == agents(quiet, runs)
