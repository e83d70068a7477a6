"""The documentation's agent of another package: trained, judged, reported."""

import json
from pathlib import Path

import pytest
from examples import ROOT, files, install, run

EXAMPLE = ROOT / "docs" / "example_agent"
FILES = ("pyproject.toml", "boltzmann.py", "tasks/presets.yaml", "tasks/studies/cartpole.yaml")
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
    for item in ("cartpole--boltzmann--none", "cartpole-C1"):
        assert f"tasks/studies/cartpole.yaml::{item} PASSED" in told
    assert "cartpole-C1" in (package / "reports" / "report.html").read_text()
    records = [json.loads(path.read_text()) for path in package.glob("runs/*/record.json")]
    assert len(records) == 6
    assert all(record["spec"]["versions"]["agent/boltzmann_dqn"] == 1 for record in records)


def test_its_settings_are_checked_by_line(package: Path) -> None:
    presets = package / "tasks" / "presets.yaml"
    presets.write_text(presets.read_text().replace("temperature: 1.0", "temperature: 0.0"))
    code = "import suite.cli, sys; sys.argv = ['suite', 'plan']; suite.cli.main()"
    with pytest.raises(AssertionError, match=r"tasks/presets.yaml:9: temperature .* is 0.0"):
        run(package, code)


def test_its_agent_has_under_forty_lines_and_stands_in_the_documentation() -> None:
    assert len((EXAMPLE / "boltzmann.py").read_text().splitlines()) < 40
    assert files(EXAMPLE) == set(FILES)
    documentation = (ROOT / "docs" / "extending.md").read_text()
    for name in FILES[:2]:
        text = (EXAMPLE / name).read_text()
        assert f"\n{text}```\n" in documentation, f"docs/extending.md has another {name}"
