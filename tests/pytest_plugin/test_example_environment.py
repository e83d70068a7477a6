"""The documentation's environment of another package: trained, judged, reported, conforming."""

import json
from pathlib import Path

import pytest
from examples import files, install, run

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
    return install(EXAMPLE, tmp_path)


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
    assert files(EXAMPLE) == set(FILES)
    documentation = (ROOT / "docs" / "extending.md").read_text()
    for name in FILES[:2]:
        text = (EXAMPLE / name).read_text()
        assert f"\n{text}```\n" in documentation, f"docs/extending.md has another {name}"
