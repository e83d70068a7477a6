"""The worked example of the documentation: a package of its own, outside this one."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "example"
FILES = ("pyproject.toml", "shrink.py", "tasks/presets.yaml", "tasks/studies/shrink.yaml")

# One process for all that a user types: imports take most of the time.
COMMANDS = """
import pytest, suite.cli
code = pytest.main(["-p", "suite.pytest_plugin", "tasks", "--train", "-v"])
for command in ("verify", "report"):
    suite.cli.app([command], standalone_mode=False)
raise SystemExit(code)
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The example in a folder of its own, with the entry points of its pyproject.toml."""
    shutil.copytree(EXAMPLE, tmp_path / "shrink", ignore=shutil.ignore_patterns("runs", "__*"))
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
    return tmp_path / "shrink"


def test_it_is_collected_trained_judged_and_reported(package: Path) -> None:
    path = os.pathsep.join(map(str, (ROOT, package, package.parent / "installed")))
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS],
        cwd=package,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for item in (
        "random_labels--mlp-lr3e-3--none",
        "random_labels--mlp-lr3e-3--shrink",
        "shrink-C1",
    ):
        assert f"tasks/studies/shrink.yaml::{item} PASSED" in done.stdout
    verdicts = json.loads((package / "reports" / "verdicts.json").read_text())
    assert verdicts["claims"]["shrink"]["shrink-C1"]["state"] == "supported"
    report = (package / "reports" / "report.html").read_text()
    assert "shrink-C1" in report
    figure = report[report.index('<h3 id="figures-shrink"') : report.index('<section id="curves"')]
    assert "<svg" in figure and "null, guessing: 0.1." in figure
    records = [json.loads(path.read_text()) for path in package.glob("runs/*/record.json")]
    versions = [record["spec"]["versions"] for record in records]
    assert {"agent/classifier": 1, "env/synthetic": 1, "plugin/shrink": 1} in versions


def test_it_has_under_sixty_lines_and_stands_in_the_documentation() -> None:
    contents = [(EXAMPLE / name).read_text() for name in FILES]
    assert sum(bool(line.strip()) for text in contents for line in text.splitlines()) < 60
    present = {path.relative_to(EXAMPLE).as_posix() for path in EXAMPLE.rglob("*.*")}
    assert {name for name in present if "runs" not in name and "__" not in name} == set(FILES)
    documentation = (ROOT / "docs" / "extending.md").read_text()
    for name, text in zip(FILES, contents, strict=True):
        assert f"`{name}`" in documentation
        assert f"\n{text}```\n" in documentation, f"docs/extending.md has another {name}"
