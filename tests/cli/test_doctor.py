"""`suite doctor` tells what this machine can't run, what that means and what mends it."""

import os
import sys
from pathlib import Path

import pytest

from suite.commands import doctor
from suite.specs.loading import load_project

ROOT = Path(__file__).parents[2]


def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, code: str) -> None:
    """Let child processes find a module with this code before the installed one."""
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / f"{module}.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{ROOT}")


def test_other_python_ends_the_smoke_pipeline():
    assert doctor.python((3, 11)).ok
    check = doctor.python((3, 12))
    assert not check.ok and check.smoke and "python3.11 -m pip install tox" in check.remedy


def test_libraries_are_compared_with_the_constraints():
    text = (ROOT / "constraints.txt").read_text()
    wanted = doctor.pinned(text)
    assert wanted["dm-control"] == "1.0.50" and wanted["dm-env"] == "1.6"
    installed = {name: wanted[name] for name in doctor.LIBRARIES}
    assert doctor.libraries(installed, wanted).ok
    assert doctor.libraries({**installed, "torch": wanted["torch"] + "+cpu"}, wanted).ok
    other = doctor.libraries({**installed, "mujoco": "4.0.0"}, wanted)
    assert (
        not other.ok
        and not other.smoke
        and f"mujoco 4.0.0 (pinned {wanted['mujoco']})" in (other.found)
    )
    missing = doctor.libraries({**installed, "minatar": None}, wanted)
    assert not missing.ok and missing.smoke and "minatar is missing" in missing.found


def test_store_that_cannot_be_written_ends_the_smoke_pipeline(tmp_path: Path):
    assert doctor.disk(tmp_path / "runs").ok
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    check = doctor.disk(tmp_path / "file" / "runs")
    assert not check.ok and check.smoke and str(tmp_path / "file" / "runs") in check.found


def test_full_disk_ends_the_smoke_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    usage = doctor.shutil.disk_usage(tmp_path)._replace(free=doctor.GIB // 2)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage)
    check = doctor.disk(tmp_path / "runs")
    assert not check.ok and "0.5 GiB free" in check.found


def test_memory_is_held_against_the_largest_cell_of_each_scale(project: Path):
    cells = load_project(project).cells
    assert all(check.ok for check in doctor.memory(cells, 2**40))
    checks = list(doctor.memory(cells, 10_000_000))
    assert [(check.name, check.ok, check.smoke) for check in checks] == [
        ("memory, smoke", False, True),
        ("memory, short", False, False),
    ]
    assert "random_labels--mlp-lr3e-3--" in checks[0].found


@pytest.mark.parametrize(
    ("code", "told"),
    [("raise ImportError('libfoo is gone')", "libfoo is gone"), ("import os; os.abort()", "6")],
    ids=["import error", "crash"],
)
def test_environments_that_cannot_be_made_end_the_smoke_pipeline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, told: str
):
    broken(tmp_path, monkeypatch, "minatar", code)
    project = load_project(ROOT)
    only = [cell for cell in project.cells["smoke"] if cell.runs[0].task.family == "minatar"]
    object.__setattr__(project, "cells", {**project.cells, "smoke": tuple(only)})
    (check,) = doctor.environments(project)
    assert (check.name, check.ok, check.smoke) == ("environments, minatar", False, True)
    assert told in check.found


def test_opengl_that_does_not_draw_costs_the_gl_renderer_only(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MUJOCO_GL", "nonsense")
    check = doctor.gl()
    assert not check.ok and not check.smoke
    assert "MUJOCO_GL=nonsense" in check.found and "apt-get install libegl1" in check.remedy


def test_dvc_without_its_commands_or_with_analytics_is_told(
    project: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("DVC_NO_ANALYTICS", raising=False)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert doctor.dvc(ROOT).ok
    check = doctor.dvc(project)  # no .dvc/config: DVC's default is on
    assert not check.ok and not check.smoke and "analytics on" in check.found
    monkeypatch.setenv("PATH", "/nowhere")
    check = doctor.dvc(ROOT)
    assert not check.ok and check.smoke and "dvc and suite not on the PATH" in check.found


def test_command_prints_a_line_for_each_check_and_fails_when_smoke_cannot_run(
    suite, project: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MUJOCO_GL", "nonsense")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    before = sorted(project.rglob("*"))
    told = suite("doctor")
    assert told.exit_code == 0, told.output
    assert sorted(project.rglob("*")) == before
    for line in ("ok     Python: ", "ok     Dask: a local cluster works", "can't  OpenGL: "):
        assert line in told.stdout
    assert "mend:  apt-get install libegl1" in told.stdout
    monkeypatch.setattr(doctor, "dask", lambda: doctor.Check("Dask", True, "not tried"))
    monkeypatch.setattr(doctor.sys, "version_info", (3, 12, 0))
    told = suite("doctor")
    assert told.exit_code == 1 and "smoke scale can't run" in told.stdout
