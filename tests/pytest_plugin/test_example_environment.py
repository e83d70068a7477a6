"""The documentation's environment of another package: trained, judged, reported, conforming."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "example_environment"
FILES = ("pyproject.toml", "corridor.py", "tasks/presets.yaml", "tasks/studies/corridor.yaml")

# One process for all that a user types: imports take most of the time.
COMMANDS = """
import pytest, suite.cli
code = pytest.main(["-p", "suite.pytest_plugin", "tasks", "--train", "-v"])
suite.cli.app(["report"], standalone_mode=False)
raise SystemExit(code)
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The example in a folder of its own, with the entry points of its pyproject.toml."""
    shutil.copytree(EXAMPLE, tmp_path / "own", ignore=shutil.ignore_patterns("runs", "__*"))
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    info = tmp_path / "installed" / f"{project['name']}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(head)
    lines = [
        line
        for group, points in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in points.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    return tmp_path / "own"


def run(package: Path, code: str) -> str:
    path = os.pathsep.join(map(str, (ROOT, package, package.parent / "installed")))
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=package,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_is_trained_judged_and_reported(package: Path) -> None:
    told = run(package, COMMANDS)
    for item in ("corridor--ppo--none", "corridor-C1"):
        assert f"tasks/studies/corridor.yaml::{item} PASSED" in told
    assert "corridor-C1" in (package / "reports" / "report.html").read_text()
    records = [json.loads(path.read_text()) for path in package.glob("runs/*/record.json")]
    assert len(records) == 8
    for record in records:
        assert record["spec"]["versions"]["env/corridor"] == 1
        assert record["spec"]["task"]["arguments"] == {"length": 5}
    provenance = json.loads(next(package.glob("runs/*/provenance.json")).read_text())
    assert provenance["extensions"] == {"corridor": "1.0"}


def test_it_keeps_the_laws(package: Path) -> None:
    code = (
        "import suite.cli, sys\n"
        "sys.argv = ['suite', 'conform', '--environment', 'corridor', 'corridor',\n"
        "            '--arguments', '{length: 3, slip: 0.5}']\n"
        "suite.cli.main()\n"
    )
    assert "5 passed" in run(package, code)


def test_its_environment_has_under_forty_lines_and_stands_in_the_documentation() -> None:
    assert len((EXAMPLE / "corridor.py").read_text().splitlines()) < 40
    present = {path.relative_to(EXAMPLE).as_posix() for path in EXAMPLE.rglob("*.*")}
    assert {name for name in present if "runs" not in name and "__" not in name} == set(FILES)
    documentation = (ROOT / "docs" / "extending.md").read_text()
    for name in FILES[:2]:
        text = (EXAMPLE / name).read_text()
        assert f"\n{text}```\n" in documentation, f"docs/extending.md has another {name}"
