"""`suite status` counts the runs of every cell by state and shows why runs failed."""

from pathlib import Path

from suite.commands.known_runs import known_runs
from suite.commands.status import STATES, status
from suite.specs.loading import load_project
from suite.store.store import Store

RMS = "dead_unit_walk--walk-sign-rms--none"
NONE = "dead_unit_walk--walk-sign-none--none"


def counts(project: Path, **chosen: str | None) -> dict[tuple[str, str, str], dict[str, int]]:
    loaded = load_project(project)
    runs = known_runs(loaded, Store(project / "runs"), project / "reports" / "evidence")
    chosen = {"study": None, "scale": None, **chosen}
    return {
        (row.study, row.cell, row.scale): dict(row.counts)
        for row in status(loaded, runs, **chosen)  # type: ignore[arg-type]
    }


def keys(project: Path, cell: str) -> list[str]:
    cells = {one.id: one for one in load_project(project).cells["smoke"]}
    return [run.key() for run in cells[cell].runs]


def complete(store: Store, key: str, state: str) -> None:
    spec = {"budget": 60, "versions": {}}
    record = {"key": key, "cell": RMS, "scale": "smoke", "seed": 0, "state": state}
    rest = {"message": f"it {state}", "spec": spec, "series": {}, "figures": {}}
    store.complete(key, record | rest, {}, state=state)  # type: ignore[arg-type]


def test_every_run_is_counted_once_for_each_study_that_has_its_cell(project: Path):
    found = counts(project)
    assert found["walks", NONE, "smoke"] == found["labels", NONE, "smoke"] == {"queued": 2}
    assert found["walks", NONE, "short"] == {"queued": 1}
    assert ("labels", NONE, "short") not in found
    assert [name for name, _, _ in found] == sorted(name for name, _, _ in found)
    assert {name for name, _, _ in counts(project, study="walks")} == {"walks"}
    assert {scale for _, _, scale in counts(project, scale="short")} == {"short"}


def test_states_are_those_of_the_store(project: Path):
    store = Store(project / "runs")
    first, second = keys(project, RMS)
    complete(store, first, "diverged")
    store.fail(second, "Traceback\nValueError: no such rate")
    assert counts(project)["walks", RMS, "smoke"] == {"diverged": 1, "failed": 1}
    complete(store, second, "done")
    assert counts(project)["walks", RMS, "smoke"] == {"diverged": 1, "done": 1}
    (store.folder(first) / "record.json").write_text("{}")
    assert counts(project)["walks", RMS, "smoke"] == {"corrupt": 1, "done": 1}
    with store.lock(keys(project, NONE)[0]):
        assert counts(project)["walks", NONE, "smoke"] == {"running": 1, "queued": 1}
    assert set(STATES) >= {"queued", "running", "done", "failed", "diverged", "stale"}


def test_runs_of_earlier_specs_are_stale(project: Path):
    complete(Store(project / "runs"), "0" * 16, "done")
    assert counts(project)["walks", RMS, "smoke"] == {"queued": 2, "stale": 1}
    (project / "tasks" / "studies" / "walks.yaml").unlink()
    assert counts(project)["-", RMS, "smoke"] == {"stale": 1}


def test_command_shows_counts_and_the_last_line_of_a_failure(suite, project: Path):
    first, _ = keys(project, RMS)
    Store(project / "runs").fail(first, "Traceback\nValueError: [no] such rate")
    told = suite("status", "--study", "walks", "--scale", "smoke")
    assert told.exit_code == 0
    row = next(line for line in told.stdout.splitlines() if RMS in line)
    assert row.split() == ["walks", RMS, "smoke", "1", "1"]
    assert f"{first}  {RMS} seed 0 (smoke), failed: ValueError: [no] such rate" in told.stdout


def test_unknown_study_is_named_with_those_there_are(suite):
    told = suite("status", "--study", "ladders")
    assert told.exit_code == 2
    assert "no study ladders; known: labels, walks" in " ".join(told.stderr.split())


def test_status_writes_nothing(suite, project: Path):
    before = sorted(project.rglob("*"))
    suite("status")
    assert sorted(project.rglob("*")) == before
