"""Evidence: what is kept of finished runs, and that nothing that counts is lost on the way."""

import json

import numpy as np
import pytest

from suite.specs.models import AnalysisSpec
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
    assert path == tmp_path / "evidence" / "hopper--td3--none" / f"short-3-{KEY}.json"
    ((loaded,), damaged) = evidence.load(tmp_path / "evidence")
    assert damaged == []
    assert (loaded.key, loaded.cell, loaded.scale) == (KEY, "hopper--td3--none", "short")
    assert (loaded.seed, loaded.state) == (3, "done")
    assert loaded.record["figures"] == {"final": 1234.57}
    assert loaded.provenance == {"seconds": {"total": 3.14159}}
    assert loaded.record["series"]["return"]["value"][0] is None
    assert loaded.record["spec"] == record_of()["spec"], "a rounded spec has another key"
    assert loaded.source == f"hopper--td3--none/short-3-{KEY}.json"


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
    ((loaded,), damaged) = evidence.load(tmp_path / "evidence")
    assert damaged == []
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


@pytest.mark.parametrize(
    ("whole", "kept"),
    [
        ((), set()),
        (("weight_norm",), {"weight_norm"}),
        (("weight_*",), {"weight_norm"}),
        (("norms/weight_norm",), {"norms/weight_norm"}),
        (("norms/*", "weight"), {"norms/return", "norms/weight_norm"}),
    ],
)
def test_series_that_claims_read_keep_all_points(store, tmp_path, whole, kept):
    spec = AnalysisSpec(kind="norms")
    result = {"analysis": "norms", "series": record_of(300)["series"], "figures": {}}
    store.complete(KEY, record_of(300), {})
    store.save_analysis(KEY, spec.key(KEY), result)
    evidence.export(store, KEY, tmp_path / "evidence", [spec], whole)
    ((loaded,), damaged) = evidence.load(tmp_path / "evidence")
    assert damaged == []
    (analysis,) = loaded.analyses
    points = {name: len(found["step"]) for name, found in loaded.record["series"].items()}
    points |= {f"norms/{name}": len(found["step"]) for name, found in analysis["series"].items()}
    assert {name for name, count in points.items() if count == 300} == {"return", *kept}
    assert {count for name, count in points.items() if name not in {"return", *kept}} <= {200}


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
    assert evidence.load(tmp_path / "nothing") == ([], [])


def test_each_series_has_a_line_of_its_own(store, tmp_path):
    store.complete(KEY, record_of(), {})
    before = evidence.export(store, KEY, tmp_path / "a").read_text().splitlines()
    changed = record_of()
    changed["series"]["weight_norm"]["value"][-1] += 1.0
    store.complete(KEY, changed, {})
    after = evidence.export(store, KEY, tmp_path / "b").read_text().splitlines()
    differing = [line for line, other in zip(before, after, strict=True) if line != other]
    assert [line.split(":")[0].strip() for line in differing] == ['"weight_norm"', '"sha256"']


def test_line_breaks_and_spaces_are_no_change(store, tmp_path):
    store.complete(KEY, record_of(), {})
    path = evidence.export(store, KEY, tmp_path)
    path.write_bytes(json.dumps(json.loads(path.read_text()), indent=4).encode())
    records, damaged = evidence.load(tmp_path)
    assert len(records) == 1 and damaged == []


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b"", "is no JSON"),
        (b"{", "is no JSON"),
        (b"\xff\xfe", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b"[]", "is no evidence of a run"),
        (b'{"record": {}, "provenance": {}}', "is no evidence of a run"),
        (b'{"record": 3, "provenance": {}, "sha256": ""}', "was changed after it was written"),
    ],
    ids=["empty", "cut", "no-text", "deep", "list", "no-digest", "wrong-digest"],
)
def test_file_that_is_no_evidence_is_named_and_the_others_are_read(store, tmp_path, content, wrong):
    store.complete(KEY, record_of(), {})
    evidence.export(store, KEY, tmp_path)
    path = tmp_path / "hopper--td3--none" / f"short-4-{KEY}.json"
    path.write_bytes(content)
    records, (damaged,) = evidence.load(tmp_path)
    assert [record.seed for record in records] == [3]
    assert (damaged.cell, damaged.scale, damaged.seed, damaged.key) == (
        "hopper--td3--none",
        "short",
        4,
        KEY,
    )
    assert damaged.reason.startswith(f"evidence hopper--td3--none/short-4-{KEY}.json {wrong}")


@pytest.mark.parametrize("old", ["1234.57", '"state": "done"', '"seed": 3'])
def test_a_changed_value_is_seen(store, tmp_path, old):
    store.complete(KEY, record_of(), {})
    path = evidence.export(store, KEY, tmp_path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, old.translate(str.maketrans("3do", "5eu")), 1))
    records, (damaged,) = evidence.load(tmp_path)
    assert records == [] and "was changed after it was written" in damaged.reason


def test_evidence_in_the_wrong_place_is_named(store, tmp_path):
    store.complete(KEY, record_of(), {})
    path = evidence.export(store, KEY, tmp_path / "evidence")
    moved = tmp_path / "evidence" / "other-cell" / path.name
    moved.parent.mkdir()
    path.rename(moved)
    _, (damaged,) = evidence.load(tmp_path / "evidence")
    assert damaged.cell == "other-cell"
    assert f"holds what belongs to hopper--td3--none/{path.name}" in damaged.reason


def test_a_file_of_another_name_is_an_error(tmp_path):
    (tmp_path / "cell").mkdir()
    (tmp_path / "cell" / "notes.json").write_text("{}")
    with pytest.raises(StoreError, match=r"notes\.json has not the name of evidence"):
        evidence.load(tmp_path)


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
    assert sorted(json.loads(path.read_text())) == ["provenance", "record", "sha256"]
