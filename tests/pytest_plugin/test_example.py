"""The worked example of the documentation: a package of its own, outside this one."""

import json
from pathlib import Path

import pytest
from examples import files, install, run

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
    return install(EXAMPLE, tmp_path)


def test_it_is_collected_trained_judged_and_reported(package: Path) -> None:
    told = run(package, COMMANDS)
    for item in (
        "random_labels--mlp-lr3e-3--none",
        "random_labels--mlp-lr3e-3--shrink",
        "shrink-C1",
    ):
        assert f"tasks/studies/shrink.yaml::{item} PASSED" in told
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
    assert sum(len(text.splitlines()) for text in contents) < 60
    assert files(EXAMPLE) == set(FILES)
    documentation = (ROOT / "docs" / "extending.md").read_text()
    for name, text in zip(FILES, contents, strict=True):
        assert f"`{name}`" in documentation
        assert f"\n{text}```\n" in documentation, f"docs/extending.md has another {name}"
