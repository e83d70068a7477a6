"""I3: evaluating, recording, reporting and checkpointing change no bit of what is trained."""

import pytest

from invariants.combinations import NAP_PLUGIN, PPTB_PLUGIN
from suite.conformance.laws import (
    assert_evaluation_changes_no_weight,
    assert_recordings_change_nothing,
)
from suite.conformance.small_runs import AGENTS, result, small_runs, train
from suite.store.store import Store
from suite.training.shard import train_shard

PLUGINS = [NAP_PLUGIN, PPTB_PLUGIN]


@pytest.mark.parametrize("kind", AGENTS)
def test_evaluation_changes_no_final_weight(kind, tmp_path):
    assert_evaluation_changes_no_weight(kind, PLUGINS, tmp_path)


@pytest.mark.parametrize("kind", AGENTS)
def test_recordings_change_no_byte_of_the_result(kind, tmp_path):
    assert_recordings_change_nothing(kind, PLUGINS, tmp_path)


@pytest.mark.parametrize("kind", AGENTS)
def test_reports_and_checkpoints_change_no_byte_of_the_result(kind, tmp_path, monkeypatch):
    runs = small_runs(kind, [0, 1], PLUGINS, recordings=("norms",))
    quiet = train(runs, tmp_path / "quiet")
    monkeypatch.setattr("suite.training.shard.PROGRESS_SECONDS", 0.0)
    monkeypatch.setattr("suite.training.shard.CHECKPOINT_SHARE", 1e9)
    store, reports = Store(tmp_path / "busy"), []
    for run in runs:
        store.begin(run.key(), run.model_dump(mode="json"))
    train_shard(runs, store, "cell", "smoke", report=reports.append, checkpoint_seconds=0)
    assert len(reports) == runs[0].budget
    for run in runs:
        assert result(store, run) == result(quiet, run)
