"""Evidence: what is kept of finished runs, and that nothing that counts is lost on the way."""

import json

import numpy as np
import pytest

from suite.store import evidence
from suite.store.atomic import StoreError
from suite.store.store import Store

KEY = "0123456789abcdef"


def record_of(points=3, **changes):
    generator = np.random.default_rng(0)

    def series():
        return {
            "step": list(range(0, 10 * points, 10)),
            "value": [None, *generator.normal(size=points - 1).tolist()],
        }

    record = {
        "record_version": 1,
        "key": KEY,
        "cell": "hopper--td3--none",
        "scale": "short",
        "seed": 3,
        "state": "done",
        "message": "",
        "spec": {"agent": {"settings": {"learning_rate": 0.12345678}}, "versions": {"a": 1}},
        "series": {"return": series(), "weight_norm": series()},
        "figures": {"final": 1234.56789},
    }
    return {**record, **changes}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


def test_export_and_load_agree(store, tmp_path):
    store.complete(KEY, record_of(), {"seconds": {"total": 3.14159265}})
    path = evidence.export(store, KEY, tmp_path / "evidence")
    assert path == tmp_path / "evidence" / "hopper--td3--none" / f"short-{KEY}.json"
    (loaded,) = evidence.load(tmp_path / "evidence")
    assert (loaded.key, loaded.cell, loaded.scale) == (KEY, "hopper--td3--none", "short")
    assert (loaded.seed, loaded.state) == (3, "done")
    assert loaded.record["figures"] == {"final": 1234.57}
    assert loaded.provenance == {"seconds": {"total": 3.14159}}
    assert loaded.record["series"]["return"]["value"][0] is None
    assert loaded.record["spec"] == record_of()["spec"], "a rounded spec has another key"
    assert loaded.source == f"hopper--td3--none/short-{KEY}.json"


def test_same_record_gives_the_same_bytes(store, tmp_path):
    store.complete(KEY, record_of(), {})
    other = Store(tmp_path / "other")
    other.complete(KEY, dict(reversed(record_of().items())), {})
    one = evidence.export(store, KEY, tmp_path / "a").read_bytes()
    assert one == evidence.export(other, KEY, tmp_path / "b").read_bytes()
    assert one == evidence.export(store, KEY, tmp_path / "a").read_bytes()


@pytest.mark.parametrize("points", [199, 200, 201, 1001])
def test_long_series_are_thinned_and_evaluations_are_not(store, tmp_path, points):
    store.complete(KEY, record_of(points), {})
    evidence.export(store, KEY, tmp_path / "evidence")
    (loaded,) = evidence.load(tmp_path / "evidence")
    series = loaded.record["series"]
    assert len(series["return"]["step"]) == len(series["return"]["value"]) == points
    thin = series["weight_norm"]
    whole = record_of(points)["series"]["weight_norm"]
    assert len(thin["step"]) == len(thin["value"]) == min(points, 200)
    assert (thin["step"][0], thin["step"][-1]) == (0, 10 * (points - 1))
    assert len(set(thin["step"])) == len(thin["step"])
    at = {step: value for step, value in zip(whole["step"], whole["value"], strict=True)}
    for step, value in list(zip(thin["step"], thin["value"], strict=True))[1:]:
        assert value == pytest.approx(at[step], rel=1e-5)


def test_unfinished_run_is_no_evidence(store, tmp_path):
    store.save_checkpoint(KEY, 1, {}, {})
    with pytest.raises(StoreError, match="interrupted"):
        evidence.export(store, KEY, tmp_path / "evidence")
    assert evidence.from_store(store, [KEY]) == []


def test_records_of_the_store_are_those_of_complete_runs(store):
    store.complete(KEY, record_of(state="diverged"), {"a": 1}, state="diverged")
    records = evidence.from_store(store, ["missing", KEY])
    assert [(r.key, r.state, r.provenance) for r in records] == [(KEY, "diverged", {"a": 1})]


def test_no_folder_is_no_evidence(tmp_path):
    assert evidence.load(tmp_path / "nothing") == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"record": {}}', '{"record": 3}'])
def test_file_that_is_no_evidence_is_named(tmp_path, content):
    path = tmp_path / "cell" / "short-x.json"
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(StoreError, match=str(path)):
        evidence.load(tmp_path)


def test_evidence_in_the_wrong_place_is_named(store, tmp_path):
    store.complete(KEY, record_of(), {})
    path = evidence.export(store, KEY, tmp_path / "evidence")
    moved = tmp_path / "evidence" / "other-cell" / path.name
    moved.parent.mkdir()
    path.rename(moved)
    with pytest.raises(StoreError, match=str(moved)):
        evidence.load(tmp_path / "evidence")


def test_outdated_evidence_says_what_changed(store):
    store.complete(KEY, record_of(spec={"versions": {"agent/td3": 1, "plugin/pptb": 2}}), {})
    (record,) = evidence.from_store(store, [KEY])
    assert evidence.outdated(record, {"agent/td3": 1, "plugin/pptb": 2, "plugin/nap": 9}) == []
    assert evidence.outdated(record, {"agent/td3": 2}) == [
        "agent/td3 is version 2 now, the run had 1",
        "plugin/pptb is gone",
    ]


def test_evidence_is_readable_without_the_suite(store, tmp_path):
    store.complete(KEY, record_of(), {})
    path = evidence.export(store, KEY, tmp_path / "evidence")
    assert sorted(json.loads(path.read_text())) == ["provenance", "record"]
