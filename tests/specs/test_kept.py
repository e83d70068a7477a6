"""A loaded project is kept, and loaded again when anything that it depends on changed."""

import subprocess
import sys
from pathlib import Path

import pytest
from test_bad_specs import FILES

from suite import cache
from suite.specs import kept, loading
from suite.specs.source import SpecError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A small project and an empty cache."""
    monkeypatch.setenv("SUITE_CACHE", str(tmp_path / "cache"))
    for name, content in FILES.items():
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path / "project"


@pytest.fixture
def loads(monkeypatch):
    """How often a project was loaded from its files."""
    load, seen = loading.load_project, []
    monkeypatch.setattr(
        loading, "load_project", lambda root: (seen.append(root), load(root))[1], raising=True
    )
    return seen


def test_what_is_kept_is_what_was_loaded(root, loads):
    first, second = kept.project(root), kept.project(root)
    assert first == second == loading.load_project(root.resolve())
    keys = [[run.key() for cell in p.cells["smoke"] for run in cell.runs] for p in (first, second)]
    assert keys[0] == keys[1]
    assert len(loads) == 2  # the first, and the one of this test


def test_the_suites_own_project_is_kept_whole(tmp_path, monkeypatch):
    monkeypatch.setenv("SUITE_CACHE", str(tmp_path))
    assert kept.project(ROOT) == kept.project(ROOT) == loading.load_project(ROOT.resolve())


@pytest.mark.parametrize("change", ["content", "another file", "code", "extension", "damage"])
def test_a_change_loads_it_again(root, loads, monkeypatch, change):
    kept.project(root)
    if change == "content":
        path = root / "tasks" / "studies" / "ladder.yaml"
        path.write_text(path.read_text().replace("seeds: 3", "seeds: 4"))
    elif change == "another file":
        (root / "tasks" / "more.yaml").write_text("tasks: {}\n")
    elif change == "code":
        monkeypatch.setattr(kept, "running_code", lambda: {"source": "other"})
    elif change == "extension":
        monkeypatch.setattr(kept, "_registered", lambda: [["one", "two"]])
    else:
        (path,) = cache.folder().glob("project-*.json")
        path.write_bytes(path.read_bytes()[:-40])
    found = kept.project(root)
    assert len(loads) == 2
    assert len(found.cells["smoke"][0].runs) == (4 if change == "content" else 3)


def test_a_bad_spec_is_refused_whatever_is_kept(root):
    kept.project(root)
    path = root / "tasks" / "studies" / "ladder.yaml"
    path.write_text(path.read_text().replace("[hopper]", "[hoper]"))
    for _ in range(2):
        with pytest.raises(SpecError, match="unknown task 'hoper'"):
            kept.project(root)


def test_without_a_folder_to_write_to_it_is_loaded_every_time(root, loads, monkeypatch):
    file = root / "file"
    file.write_text("")
    monkeypatch.setenv("SUITE_CACHE", str(file / "folder"))
    kept.project(root)
    kept.project(root)
    assert len(loads) == 2


CHECK = """
import sys
from suite.cli import app
app({arguments}, standalone_mode=False)
heavy = [name for name in ("torch", "scipy.stats", "matplotlib", "gymnasium", "mujoco",
                           "dm_control", "distributed", "dvc") if name in sys.modules]
assert not heavy, heavy
"""


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """The environment of a user whose cache has the project and the processor's speed."""
    folder = str(tmp_path_factory.mktemp("home"))
    environment = {"SUITE_CACHE": folder, "PATH": "/usr/bin:/bin", "HOME": folder}
    command = [sys.executable, "-m", "suite.cli", "plan"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    return environment


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["plan"], ["status"]])
def test_what_only_reads_starts_without_what_trains(arguments, warm):
    run = [sys.executable, "-c", CHECK.format(arguments=arguments)]
    done = subprocess.run(run, cwd=ROOT, env=warm, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_judging_and_the_report_need_nothing_that_trains():
    check = (
        "import sys, suite.report.page, suite.stats.studies; "
        "assert not {'torch', 'distributed', 'gymnasium', 'dvc'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=True)
