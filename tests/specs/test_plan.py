"""Keys, plans and plan files."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from test_bad_specs import FILES, PRESETS, STUDY, P, S, load

from suite.conformance import small_runs
from suite.specs import registry
from suite.specs.models import AgentSpec, Cell, Plan, RunSpec, TaskSpec
from suite.specs.pipeline import read_cell, read_study, write_plan
from suite.specs.planning import memory_estimate, plan, seconds_estimate, updates
from suite.specs.registry import AGENTS
from suite.specs.source import SpecError

TASK = TaskSpec(name="hopper", family="mujoco", environment="Hopper-v5")
RUN: dict[str, Any] = {
    "task": TASK,
    "agent": AgentSpec(name="td3", kind="td3", settings={"tau": 0.005}),
    "seed": 0,
    "budget": 5,
    "evaluate_every": 5,
    "evaluation_episodes": 1,
    "versions": {"agent/td3": 1},
}


def keys(planned: Plan) -> dict[str, str]:
    return {cell.id: cell.key() for cell in planned.cells}


def test_the_key_of_a_run_is_pinned() -> None:
    """Stored runs and evidence are found by key: this number changes only on purpose."""
    assert RunSpec(**RUN).key() == "4b03675fc29b0766"


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"budget": 6},
        {"evaluate_every": 4},
        {"evaluation_episodes": 2},
        {"versions": {"agent/td3": 2}},
        {"agent": AgentSpec(name="td3", kind="td3", settings={"tau": 0.006})},
        {"task": TASK.model_copy(update={"episode_limit": 7})},
    ],
)
def test_what_decides_a_run_is_in_its_key(change: dict[str, Any]) -> None:
    assert RunSpec(**{**RUN, **change}).key() != RunSpec(**RUN).key()


def test_what_only_describes_a_task_is_not_in_the_key() -> None:
    described = {"note": "a note", "random_return": 16.7}
    assert (
        RunSpec(**{**RUN, "task": TASK.model_copy(update=described)}).key() == RunSpec(**RUN).key()
    )


def test_a_run_survives_json() -> None:
    run = RunSpec(**RUN)
    again = RunSpec.model_validate_json(run.model_dump_json())
    assert again == run and again.key() == run.key()


def test_overrides_of_a_scale_are_resolved(tmp_path: Path) -> None:
    project = load(tmp_path, FILES)
    smoke, paper = project.cells["smoke"][1].runs[0], project.cells["paper"][1].runs[0]
    assert smoke.agent.settings["warmup_steps"] == 500
    assert paper.agent.settings["warmup_steps"] == 1000
    assert smoke.plugins[0].settings["interval"] == 500
    assert paper.plugins[0].settings["interval"] == 250
    assert smoke.plugins[0].settings["capacity"] == paper.plugins[0].settings["capacity"] == 40
    for run, every in ((smoke, 50), (paper, 25)):
        assert [(one.kind, one.settings) for one in run.analyses] == [
            ("policy_path", {"every": every, "snapshots": 2000})
        ]
        assert [(one.kind, one.settings) for one in run.recordings] == [("path", {"every": every})]
    assert smoke.versions == {
        "agent/td3": 1,
        "env/mujoco": 1,
        "plugin/pptb": 3,
    }


def test_a_plan_is_the_same_each_time(tmp_path: Path) -> None:
    plans = [plan(load(tmp_path / name, FILES), "smoke") for name in ("a", "b")]
    assert plans[0] == plans[1]
    assert [run.seed for run in plans[0].cells[0].runs] == [0, 1, 2]


def test_one_changed_preset_changes_only_the_cells_that_use_it(tmp_path: Path) -> None:
    before = keys(plan(load(tmp_path / "a", FILES), "smoke"))
    changed = PRESETS.replace("boost_coefficient: 0.1", "boost_coefficient: 0.2")
    after = keys(plan(load(tmp_path / "b", {**FILES, P: changed}), "smoke"))
    assert {name for name in before if before[name] != after[name]} == {"hopper--td3--pptb"}


def test_more_seeds_keep_the_runs_that_are_there(tmp_path: Path) -> None:
    few = load(tmp_path / "a", FILES).cells["smoke"][0]
    more = STUDY.replace("seeds: 3", "seeds: 5")
    many = load(tmp_path / "b", {**FILES, S: more}).cells["smoke"][0]
    assert many.runs[:3] == few.runs and len(many.runs) == 5 and many.key() != few.key()


def test_studies_share_a_cell(tmp_path: Path) -> None:
    other = STUDY.replace("study: ladder", "study: other").split("claims:")[0]
    more = other.replace("seeds: 3", "seeds: 4")
    project = load(tmp_path, {**FILES, "tasks/studies/other.yaml": more})
    cell = project.cells["smoke"][0]
    assert cell.studies == ("ladder", "other") and len(cell.runs) == 4
    assert len(project.cells["smoke"]) == 4


def test_plan_files_are_written_only_when_they_change(tmp_path: Path) -> None:
    folder = tmp_path / "plan"
    planned = plan(load(tmp_path, FILES), "smoke")
    assert len(write_plan(planned, folder)) == 4
    stamps = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert write_plan(planned, folder) == []
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == stamps
    changed = PRESETS.replace("tau: 0.005", "tau: 0.01")
    second = plan(load(tmp_path, {**FILES, P: changed}), "smoke")
    assert {path.stem for path in write_plan(second, folder)} == {
        "hopper--td3--none",
        "hopper--td3--pptb",
    }


def test_files_of_cells_no_longer_planned_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "plan"
    planned = plan(load(tmp_path, FILES), "smoke")
    write_plan(planned, folder)
    write_plan(planned.model_copy(update={"cells": planned.cells[:1]}), folder)
    assert [path.stem for path in folder.glob("*/*")] == ["hopper--td3--none"]


def test_a_planned_cell_is_read_back(tmp_path: Path) -> None:
    project = load(tmp_path, FILES)
    write_plan(plan(project, "smoke"), tmp_path / "plan")
    cells = sorted(project.cells["smoke"], key=lambda cell: cell.id)
    for read, cell in zip(read_study(tmp_path / "plan" / "ladder"), cells, strict=True):
        assert (read.id, read.scale, read.runs) == (cell.id, cell.scale, cell.runs)
        content = json.loads((tmp_path / "plan" / "ladder" / f"{cell.id}.json").read_text())
        assert sorted(content) == ["cell", "runs", "scale"]
    with pytest.raises(SpecError, match=r"study 'lader' is not in the plan; planned: ladder; "):
        read_study(tmp_path / "plan" / "lader")


@pytest.mark.parametrize("content", ["", "{}", '{"cell": "a--b--c", "scale": "smoke", "runs": []}'])
def test_a_file_that_is_no_planned_cell_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "cell.json"
    path.write_text(content)
    with pytest.raises(SpecError, match=r"cell.json:1: not a planned cell: .*plan again"):
        read_cell(path)


def test_estimates_follow_replay_snapshots_and_updates(tmp_path: Path) -> None:
    plain, pptb, labels, walk = load(tmp_path, FILES).cells["smoke"]
    assert updates(plain.runs[0]) == 4500
    assert updates(plain.runs[0].model_copy(update={"budget": 300})) == 0  # in the warm-up
    # Hopper's actor has 69 635 parameters (11-256-256-3), held in a vector with a little padding.
    # What is recorded streams to files.
    snapshots = memory_estimate(pptb) - memory_estimate(plain)
    assert snapshots == pytest.approx(3 * 40 * 69_635 * 4, rel=1e-3)
    # 5000 transitions of 2 x 11 observations, 3 actions, a reward and a terminal.
    smaller = plain.model_copy(
        update={"runs": tuple(run.model_copy(update={"budget": 4000}) for run in plain.runs)}
    )
    difference = memory_estimate(plain) - memory_estimate(smaller)
    assert difference == pytest.approx(3 * 1000 * (4 * (2 * 11 + 3) + 5), rel=1e-3)
    assert seconds_estimate(plain) > seconds_estimate(smaller) > seconds_estimate(walk) > 0
    assert memory_estimate(labels) > memory_estimate(walk)


def test_a_step_of_a_clones_teacher_is_estimated_as_one_of_td3(tmp_path: Path) -> None:
    plain, *_ = load(tmp_path, FILES).cells["smoke"]
    run = plain.runs[0]

    def cloning(collect_steps: int) -> float:
        own = {"collect_steps": collect_steps, "optimiser": "adam", "learning_rate": 0.0003}
        settings = run.agent.settings | own
        agent = run.agent.model_copy(update={"kind": "cloning", "settings": settings})
        return seconds_estimate(
            plain.model_copy(update={"runs": (run.model_copy(update={"agent": agent}),)})
        )

    td3 = seconds_estimate(plain) / len(plain.runs)
    assert cloning(5000) == pytest.approx(td3)  # all of the budget
    assert cloning(500) < cloning(2000) < td3


@pytest.mark.parametrize("kind", small_runs.AGENTS)
def test_absurd_sizes_are_refused_or_estimated_at_once(kind: str) -> None:
    """A network beyond any machine must not be built to say how large it is."""
    settings: type[Any] = AGENTS[kind].Settings
    for name, value in small_runs.AGENTS[kind][1].items():
        if type(value) is not int:
            continue
        for absurd in (10**17, 2**20, 1000):
            (run,) = small_runs.small_runs(kind, [0], **{name: absurd})
            try:
                settings.model_validate(run.agent.settings)
            except ValidationError:
                continue
            started = time.monotonic()
            cell = Cell(id="cell", scale="smoke", runs=(run,))
            unfit = registry.unfit(run.agent, registry.environment(run.task))
            assert unfit or memory_estimate(cell) > 0
            assert time.monotonic() - started < 5, f"{name}: {absurd}"
