"""`suite status` counts the runs of every cell by state and shows why runs failed."""

import re
from pathlib import Path

from rich.console import Console

from suite.analysis.protocol import LookSettings, RecordedRun, Result
from suite.analysis.registry import ANALYSES
from suite.commands.known_runs import known_runs
from suite.commands.status import STATES, status
from suite.engine.run import run_cells
from suite.specs import kept
from suite.specs.loading import load_project
from suite.specs.models import Cell, RunSpec
from suite.store.store import Store

RMS = "dead_unit_walk--walk-sign-rms--none"
NONE = "dead_unit_walk--walk-sign-none--none"
MLP = "random_labels--mlp-lr3e-3--none"


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


def analysed(project: Path, version: int = 1) -> RunSpec:
    """The run of the classifier's study, which has an analysis."""
    path = project / "tasks" / "studies" / "labels.yaml"
    text = path.read_text()
    if "analyses" not in text:
        path.write_text(text.replace("plugins: [[], [nap]]", "plugins: [[]]\n    analyses: [norm]"))
    cells = load_project(project).cells["smoke"]
    runs = [run for cell in cells for run in cell.runs if run.analyses]
    assert [run.analyses[0].version for run in runs] == [version]
    return runs[0]


def train_plain(project: Path, run: RunSpec) -> None:
    """Train it without what its analysis reads."""
    plain = run.model_copy(update={"recordings": (), "analyses": ()})
    cell = Cell(id=MLP, scale="smoke", runs=(plain,))
    run_cells([cell], Store(project / "runs"), console=Console(quiet=True))


def told(suite, *options: str) -> list[str]:
    found = suite("status", "--study", "labels", *options)
    assert found.exit_code == 0, found.output
    return [
        line
        for line in found.stdout.splitlines()
        if re.match("recordings|analyses|[0-9a-f]{16}", line)
    ]


class Norm:
    """Reads norms."""

    VERSION = 1
    Settings = LookSettings

    def __init__(self, settings: LookSettings) -> None:
        pass

    def recordings(self) -> tuple[tuple[str, dict[str, object]], ...]:
        return (("norms", {}),)

    def analyse(self, run: RecordedRun) -> Result:
        return Result(figures={"columns": len(run.columns("norms", "norms.rows"))})


def test_what_is_not_recorded_or_analysed_is_told(suite, project: Path, monkeypatch):
    monkeypatch.setitem(ANALYSES, "norm", Norm)
    run = analysed(project)
    none = "0 are missing, 0 are of an earlier version"
    assert told(suite) == [f"analyses: 1 wait for runs or recordings, {none}"]
    train_plain(project, run)
    assert told(suite) == [
        "recordings: 1 complete runs lack one; `suite run` repeats them",
        f"analyses: 1 wait for runs or recordings, {none}",
    ]
    assert told(suite, "--scale", "short") == []
    assert suite("run", MLP).exit_code == 0
    computes = "; `suite analyse` computes them"
    before = "analyses: 0 wait for runs or recordings"
    assert told(suite) == [f"{before}, 1 are missing, 0 are of an earlier version{computes}"]
    assert suite("analyse").exit_code == 0
    assert told(suite) == []
    monkeypatch.setattr(Norm, "VERSION", 2)
    monkeypatch.setattr(kept, "running_code", lambda: {"source": "that of version 2"})
    analysed(project, version=2)
    assert told(suite) == [f"{before}, 0 are missing, 1 are of an earlier version{computes}"]
    assert suite("analyse").exit_code == 0
    assert told(suite) == []


def test_a_repetition_with_another_record_is_told_with_its_reason(
    suite, project: Path, monkeypatch
):
    monkeypatch.setitem(ANALYSES, "norm", Norm)
    run = analysed(project)
    store = Store(project / "runs")
    train_plain(project, run)
    record = store.record(run.key())
    record["series"]["online_accuracy"]["value"][0] += 1.0
    store.complete(run.key(), record, store.provenance(run.key()))
    assert suite("run", MLP).exit_code == 1
    lines = told(suite)
    assert len(lines) == 3
    assert lines[2].startswith(f"{run.key()}  ")
    assert (
        "mismatch: trained once more for its recordings it differs in series (series onl"
        in lines[2]
    )


def test_unknown_study_is_named_with_those_there_are(suite):
    told = suite("status", "--study", "ladders")
    assert told.exit_code == 2
    assert "no study ladders; known: labels, walks" in " ".join(told.stderr.split())


def test_status_writes_nothing(suite, project: Path):
    before = sorted(project.rglob("*"))
    suite("status")
    assert sorted(project.rglob("*")) == before
