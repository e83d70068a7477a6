import json
from pathlib import Path

import pytest
from toy_project import record, run_spec

from suite.specs.loading import Project
from suite.stats.collecting import collect_runs
from suite.stats.runs import Run
from suite.store.atomic import StoreError
from suite.store.evidence import export
from suite.store.store import Store

HILL = "hill--climber--none"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def complete(store: Store, project: Project, seed: int) -> str:
    cell = project.cells["smoke"][0]
    found = record(cell, cell.runs[seed])
    store.complete(found.key, found.record, found.provenance)
    return found.key


def by_seed(runs: list[Run], cell: str = HILL, scale: str = "smoke") -> dict[int, Run]:
    return {run.seed: run for run in runs if run.cell == cell and run.scale == scale}


def test_every_planned_run_is_there_in_its_state(project, store, tmp_path) -> None:  # type: ignore[no-untyped-def]
    complete(store, project, 0)
    store.fail(project.cells["smoke"][0].runs[1].key(), "Traceback ...\n\nValueError: odd\n")
    runs = collect_runs(project, store, tmp_path / "evidence")
    assert len(runs) == 2 * 4 * 3
    hill = by_seed(runs)
    assert [hill[seed].state for seed in range(3)] == ["done", "failed", "queued"]
    assert hill[1].message == "ValueError: odd"
    assert hill[0].series["return"].values[-1] == pytest.approx(5.0)
    assert hill[2].budget == 100


def test_evidence_counts_and_the_store_goes_before_it(project, store, tmp_path) -> None:  # type: ignore[no-untyped-def]
    evidence = tmp_path / "evidence"
    for seed in (0, 1):
        export(store, complete(store, project, seed), evidence)
    other = Store(tmp_path / "other")
    complete(other, project, 1)
    changed = next(evidence.glob(f"*/smoke-{project.cells['smoke'][0].runs[1].key()}.json"))
    document = json.loads(changed.read_text())
    document["record"]["figures"]["online_accuracy"] = 99.0
    changed.write_text(json.dumps(document))
    hill = by_seed(collect_runs(project, other, evidence))
    assert [hill[seed].state for seed in range(3)] == ["done", "done", "queued"]
    assert hill[1].figures["online_accuracy"] != 99.0
    assert all(run.stale == "" for run in hill.values())


def test_evidence_of_more_seeds_than_planned_counts(project, store, tmp_path) -> None:  # type: ignore[no-untyped-def]
    cell = project.cells["smoke"][0]
    found = record(cell, run_spec("hill", "none", "smoke", 7, {"agent": 1}))
    store.complete(found.key, found.record, found.provenance)
    export(store, found.key, tmp_path / "evidence")
    assert by_seed(collect_runs(project, store, tmp_path / "evidence"))[7].stale == ""


def test_evidence_of_other_settings_or_versions_is_stale(project, store, tmp_path) -> None:  # type: ignore[no-untyped-def]
    cell = project.cells["smoke"][0]
    old = run_spec("hill", "none", "smoke", 7, {"agent": 0})
    changed = run_spec("hill", "none", "smoke", 8, {"agent": 1}).model_copy(update={"budget": 50})
    gone = record(cell.model_copy(update={"id": "hill--climber--gone"}), cell.runs[0])
    for found in (record(cell, old), record(cell, changed), gone):
        store.complete(found.key, found.record, found.provenance)
        export(store, found.key, tmp_path / "evidence")
    runs = collect_runs(project, Store(tmp_path / "empty"), tmp_path / "evidence")
    assert by_seed(runs)[7].stale == "agent is version 1 now, the run had 0"
    assert by_seed(runs)[8].stale == "a setting changed since"
    assert by_seed(runs, "hill--climber--gone")[0].stale.startswith("no study has")


def test_unreadable_evidence_is_an_error(project, store, tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "evidence" / HILL).mkdir(parents=True)
    (tmp_path / "evidence" / HILL / "smoke-0.json").write_text("{")
    with pytest.raises(StoreError, match=r"smoke-0\.json"):
        collect_runs(project, store, tmp_path / "evidence")
