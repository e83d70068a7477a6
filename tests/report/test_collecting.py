import json
import re
import shutil
from dataclasses import replace
from itertools import groupby, zip_longest
from pathlib import Path
from random import Random

import pytest
from toy_project import SEEDS, record, run_spec

from suite.specs.claims import ClaimSpec
from suite.specs.loading import load_project
from suite.specs.project import Project
from suite.stats.collecting import collect_runs
from suite.stats.runs import Run
from suite.stats.verdicts import Verdict, expectations, judge
from suite.store.evidence import export
from suite.store.store import Store

ROOT = Path(__file__).parents[2]
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
    assert len(runs) == 2 * 4 * SEEDS
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
    found = record(project.cells["smoke"][0], project.cells["smoke"][0].runs[1])
    found.record["figures"]["online_accuracy"] = 99.0
    other.complete(found.key, found.record, found.provenance)
    hill = by_seed(collect_runs(project, other, evidence))
    assert [hill[seed].state for seed in range(3)] == ["done", "done", "queued"]
    assert hill[0].figures["online_accuracy"] != 99.0
    assert hill[1].figures["online_accuracy"] == 99.0
    assert all(run.stale == "" for run in hill.values())


def test_seeds_that_follow_the_planned_ones_in_the_store_count(project, store, tmp_path) -> None:  # type: ignore[no-untyped-def]
    cell = project.cells["smoke"][0]
    for seed in (SEEDS, SEEDS + 1, SEEDS + 3):
        found = record(cell, cell.run(seed))
        store.complete(found.key, found.record, found.provenance)
    hill = by_seed(collect_runs(project, store, tmp_path / "evidence"))
    assert {seed: run.state for seed, run in hill.items()} == {
        **dict.fromkeys(range(SEEDS), "queued"),
        **dict.fromkeys((SEEDS, SEEDS + 1), "done"),
    }


def test_evidence_of_more_seeds_than_planned_counts(project, store, tmp_path) -> None:  # type: ignore[no-untyped-def]
    cell = project.cells["smoke"][0]
    found = record(cell, run_spec("hill", "none", "smoke", SEEDS + 7, {"agent": 1}))
    store.complete(found.key, found.record, found.provenance)
    export(store, found.key, tmp_path / "evidence")
    assert by_seed(collect_runs(project, store, tmp_path / "evidence"))[SEEDS + 7].stale == ""


@pytest.mark.parametrize("where", ["store", "evidence"])
def test_descriptions_of_a_task_are_those_of_the_present_spec(  # type: ignore[no-untyped-def]
    project, store, tmp_path, where
) -> None:
    evidence = tmp_path / "evidence"
    export(store, complete(store, project, 0), evidence)
    (cell, *rest) = project.cells["smoke"]
    described = {"random_return": -7.5, "note": "now known"}
    task = cell.runs[0].task.model_copy(update=described)
    runs = tuple(run.model_copy(update={"task": task}) for run in cell.runs)
    now = (cell.model_copy(update={"runs": runs}), *rest)
    present = replace(project, cells={**project.cells, "smoke": now})
    there = store if where == "store" else Store(tmp_path / "other")
    run = by_seed(collect_runs(present, there, evidence))[0]
    assert run.state == "done" and not run.stale
    assert {name: run.spec["task"][name] for name in described} == described


def test_evidence_of_other_settings_or_versions_is_stale(project, store, tmp_path) -> None:  # type: ignore[no-untyped-def]
    cell = project.cells["smoke"][0]
    old = run_spec("hill", "none", "smoke", SEEDS + 7, {"agent": 0})
    changed = run_spec("hill", "none", "smoke", SEEDS + 8, {"agent": 1})
    changed = changed.model_copy(update={"budget": 50})
    gone = record(cell.model_copy(update={"id": "hill--climber--gone"}), cell.runs[0])
    for found in (record(cell, old), record(cell, changed), gone):
        store.complete(found.key, found.record, found.provenance)
        export(store, found.key, tmp_path / "evidence")
    runs = collect_runs(project, Store(tmp_path / "empty"), tmp_path / "evidence")
    assert by_seed(runs)[SEEDS + 7].stale == "agent is version 1 now, the run had 0"
    assert by_seed(runs)[SEEDS + 8].stale == "a setting changed since"
    assert by_seed(runs, "hill--climber--gone")[0].stale.startswith("no study has")


def test_a_deleted_file_is_missing_by_the_name_of_its_seed(project, store, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Also of a seed that was not planned: the others name it as a companion."""
    cell = project.cells["smoke"][0]
    seeds = range(SEEDS + 2)
    for seed in seeds:
        found = record(cell, cell.run(seed))
        companions = [other for other in seeds if other != seed]
        store.complete(found.key, found.record, found.provenance | {"companions": companions})
        export(store, found.key, tmp_path / "evidence")
    for seed in (1, SEEDS + 1):
        next((tmp_path / "evidence").glob(f"*/smoke-{seed}-*")).unlink()
    runs = collect_runs(project, Store(tmp_path / "empty"), tmp_path / "evidence")
    hill = by_seed(runs)
    assert [seed for seed in seeds if hill[seed].state == "queued"] == [1, SEEDS + 1]
    claim = next(c for c in project.studies["first"].claims if c.id == "first-C1")
    assert f"missing: {HILL} seeds 1, {SEEDS + 1}" in flags(judge(claim, runs), "seeds missing")


def test_a_corrupt_file_is_a_state_of_its_own_and_is_named(project, store, tmp_path) -> None:  # type: ignore[no-untyped-def]
    for seed in range(3):
        export(store, complete(store, project, seed), tmp_path / "evidence")
    file = next((tmp_path / "evidence").glob("*/smoke-1-*"))
    file.write_bytes(file.read_bytes()[:100])
    runs = collect_runs(project, Store(tmp_path / "empty"), tmp_path / "evidence")
    assert [by_seed(runs)[seed].state for seed in range(3)] == ["done", "corrupt", "done"]
    for claim in project.studies["first"].claims:
        verdict = judge(claim, runs, expectations(project))
        (flag,) = (flag for flag in verdict.flags if flag.kind == "corrupt")
        assert f"evidence {HILL}/{file.name} is no JSON" in flag.says
        assert flag.says in verdict.reason
        assert not any(f"{HILL} seed 1" in flag.says for flag in verdict.flags)
    (other,) = project.studies["second"].claims
    assert judge(other, runs, expectations(project)).flags == ()


def test_a_corrupt_file_of_a_run_that_the_store_has_does_no_harm(project, store, tmp_path) -> None:  # type: ignore[no-untyped-def]
    file = export(store, complete(store, project, 0), tmp_path / "evidence")
    file.write_text("{")
    runs = collect_runs(project, store, tmp_path / "evidence")
    assert by_seed(runs)[0].state == "done"


# What each kind of damage does to a file's content, and the states that it may lead to.
def _truncate(content: bytes, draw: Random) -> bytes:
    return content[: draw.randrange(len(content) - 2)]


def _flip(content: bytes, draw: Random) -> bytes:
    place = draw.randrange(len(content))
    return content[:place] + bytes([content[place] ^ draw.randrange(1, 256)]) + content[place + 1 :]


DAMAGE = {
    "delete": lambda content, draw: None,
    "truncate": _truncate,
    "flip": _flip,
    "empty": lambda content, draw: b"",
    "other": lambda content, draw: b'{"wrong": "content"}',
}


@pytest.fixture(scope="module")
def committed() -> Project:
    """This project with the cells that have committed evidence, so that judging is quick."""
    whole = load_project(ROOT)
    present = {path.name for path in (ROOT / "reports" / "evidence").iterdir()}
    cells = {
        scale: tuple(cell for cell in planned if cell.id in present)
        for scale, planned in whole.cells.items()
    }
    return replace(whole, cells=cells)


@pytest.fixture(scope="module")
def whole(committed: Project) -> dict[str, Verdict]:
    """The verdicts on all claims while nothing is damaged."""
    return judged(committed, ROOT / "reports" / "evidence")


def rounds(files: list[Path]) -> list[list[Path]]:
    """All files, in lists that have one file at most of every second cell."""
    cells = [list(group) for _, group in groupby(files, lambda file: file.parent)]
    halves = (cells[::2], cells[1::2])
    return [
        [file for file in one if file]
        for half in halves
        for one in zip_longest(*half, fillvalue=None)
    ]


@pytest.mark.parametrize("most", [4, pytest.param(None, marks=pytest.mark.long, id="all")])
@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_to_committed_files_is_named_and_changes_no_other_verdict(
    committed: Project, whole: dict[str, Verdict], tmp_path: Path, damage: str, most: int | None
) -> None:
    """One file of a cell at a time, of several cells together."""
    evidence = shutil.copytree(ROOT / "reports" / "evidence", tmp_path / "evidence")
    draw = Random(damage)
    all_rounds = rounds(sorted(evidence.glob("*/*.json")))
    if most is not None:
        all_rounds = [draw.sample(all_rounds[0], most)]
    for files in all_rounds:
        contents = {file: file.read_bytes() for file in files}
        changed = [file for file in files if not _break(file, damage, draw)]
        verdicts = judged(committed, evidence)
        for file, content in contents.items():
            file.write_bytes(content)
        for claim in claims_of(committed):
            verdict = verdicts[claim.id]
            broken = [file for file in changed if file.parent.name in claim.cells()]
            if not broken:
                assert verdict == whole[claim.id]
            for file in broken:
                if damage == "delete":
                    seed = file.name.split("-")[1]
                    assert names_as_missing(verdict, file.parent.name, seed), verdict.reason
                else:
                    assert file.name in flags(verdict, "corrupt"), verdict.reason


def _break(file: Path, damage: str, draw: Random) -> bool:
    """Damage a file; whether it still says the same, as it may with one bit of space changed."""
    content = file.read_bytes()
    damaged = DAMAGE[damage](content, draw)
    file.unlink() if damaged is None else file.write_bytes(damaged)
    return same_content(damaged, content)


def claims_of(project: Project) -> list[ClaimSpec]:
    return [claim for study in project.studies.values() for claim in study.claims]


def judged(project: Project, evidence: Path) -> dict[str, Verdict]:
    runs = collect_runs(project, Store(evidence.parent / "no-store"), evidence)
    expected = expectations(project)
    return {claim.id: judge(claim, runs, expected, power=False) for claim in claims_of(project)}


def same_content(damaged: bytes | None, content: bytes) -> bool:
    try:
        return damaged is not None and json.loads(damaged) == json.loads(content)
    except ValueError:
        return False


def flags(verdict: Verdict, kind: str) -> str:
    return "; ".join(flag.says for flag in verdict.flags if flag.kind == kind)


def names_as_missing(verdict: Verdict, cell: str, seed: str) -> bool:
    told = flags(verdict, "seeds missing")
    seeds = re.search(rf"missing: {re.escape(cell)} seeds? ([0-9, ]+)", told)
    return seeds is not None and seed in seeds[1].split(", ")
