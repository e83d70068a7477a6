"""`suite export` writes all series of all runs as CSV, Parquet or TensorBoard events."""

import csv
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet
from tensorboardX.proto.event_pb2 import Event

from suite.commands.export import COLUMNS, write_csv
from suite.store.store import Store

RMS = "dead_unit_walk--walk-sign-rms--none"
NONE = "dead_unit_walk--walk-sign-none--none"
LABELS = "random_labels--mlp-lr3e-3--nap"


@pytest.fixture
def trained(suite, project: Path) -> Path:
    """The project with three cells of the smoke scale trained, and a run of an earlier spec."""
    assert suite("run", RMS, NONE, LABELS).exit_code == 0
    store = Store(project / "runs")
    record = store.record(next(iter(store.root.iterdir())).name) | {"key": "0" * 16, "seed": 9}
    store.complete("0" * 16, record, {})
    return project


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def read_events(path: Path) -> list[Event]:
    """Events of a TFRecord file: length, its checksum, content, its checksum."""
    content, events = path.read_bytes(), []
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        events.append(Event.FromString(content[12 : 12 + length]))
        content = content[16 + length :]
    return events


def points(project: Path) -> dict[tuple[str, str, int], float | None]:
    """Every value of the present runs by key, series and step, from the store."""
    store = Store(project / "runs")
    keys = [folder.name for folder in store.root.iterdir() if folder.name != "0" * 16]
    return {
        (key, name, step): value
        for key in keys
        for name, series in store.record(key)["series"].items()
        for step, value in zip(series["step"], series["value"], strict=True)
    }


def test_csv_holds_every_value_with_all_digits(suite, trained: Path):
    told = suite("export", "out/all.csv")
    assert told.exit_code == 0, told.output
    found = read_csv(trained / "out" / "all.csv")
    values = {
        (row["key"], row["series"], int(row["step"])): float(row["value"]) if row["value"] else None
        for row in found
    }
    assert len(found) == len(values) and values == points(trained)
    assert {(r["study"], r["cell"], r["task"], r["agent"], r["plugins"]) for r in found} == {
        ("walks", RMS, "dead_unit_walk", "walk-sign-rms", "none"),
        ("labels+walks", NONE, "dead_unit_walk", "walk-sign-none", "none"),
        ("labels", LABELS, "random_labels", "mlp-lr3e-3", "nap"),
    }
    assert {(r["scale"], r["state"]) for r in found} == {("smoke", "done")}
    assert {r["seed"] for r in found} == {"0", "1"}


def test_what_is_left_out_is_told(suite, trained: Path):
    told = suite("export", "all.csv")
    # Two runs of the short scale, and one of the labels.
    assert "left out: 3 queued, 1 stale" in told.stdout


def test_parquet_is_the_same_table(suite, trained: Path):
    suite("export", "all.csv")
    assert suite("export", "all.parquet").exit_code == 0
    table = parquet.read_table(trained / "all.parquet")
    assert table.column_names == list(COLUMNS)
    rows = [{k: "" if v is None else str(v) for k, v in row.items()} for row in table.to_pylist()]
    assert rows == read_csv(trained / "all.csv")


def test_unknown_values_are_empty(tmp_path: Path):
    fixed = ("s", "t--a--none", "t", "a", "none", "smoke", 0, "k", "done", "return")
    write_csv([(*fixed, 1, None), (*fixed, 2, 0.1 + 0.2)], tmp_path / "a.csv")
    assert [row["value"] for row in read_csv(tmp_path / "a.csv")] == ["", "0.30000000000000004"]


def test_events_hold_every_value_that_is_finite(suite, trained: Path):
    assert suite("export", "events", "--tensorboard").exit_code == 0
    expected = {name: value for name, value in points(trained).items() if value is not None}
    found = {}
    for path in trained.glob("events/*/*/*/events.out.tfevents.*"):
        scale, cell, run = path.relative_to(trained / "events").parts[:3]
        assert scale == "smoke" and cell in (RMS, NONE, LABELS)
        first, *events = read_events(path)
        assert first.file_version == "brain.Event:2"
        for event in events:
            (value,) = event.summary.value
            found[run.rpartition("-")[2], value.tag, event.step] = value.simple_value
    assert found.keys() == expected.keys()
    assert all(np.float32(expected[name]) == value for name, value in found.items())
    again = suite("export", "events", "--tensorboard")
    assert again.exit_code == 2 and "not an empty folder" in " ".join(again.stderr.split())


def test_what_cannot_be_written_is_refused_with_a_reason(suite, project: Path):
    (project / "file").write_text("")
    for arguments, reason in (
        (("all.txt",), "suffix '.txt'; use .csv or .parquet"),
        (("file/all.csv",), "name a place that can be written"),
        (("file", "--tensorboard"), "not an empty folder"),
    ):
        told = suite("export", *arguments)
        assert told.exit_code == 2
        assert reason in " ".join(told.stderr.replace("│", "").split())
    assert sorted(path.name for path in project.iterdir()) == ["constraints.txt", "file", "tasks"]


@pytest.mark.parametrize(
    ("package", "arguments"),
    [("pyarrow", ("all.parquet",)), ("tensorboardX.record_writer", ("all", "--tensorboard"))],
)
def test_missing_package_is_named_with_the_command_that_installs_it(
    suite, monkeypatch: pytest.MonkeyPatch, package: str, arguments: tuple[str, ...]
):
    monkeypatch.setitem(sys.modules, package, None)
    told = suite("export", *arguments)
    assert told.exit_code == 2
    stderr = " ".join(told.stderr.replace("│", "").split())
    assert package.split(".")[0] in stderr
    assert "pip install -c constraints.txt '.[export]'" in stderr
