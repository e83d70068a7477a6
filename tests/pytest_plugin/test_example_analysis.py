"""The documentation's analysis of another package: computed, judged, mended, conforming."""

import json
from pathlib import Path

import pytest
from examples import files, install, run

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "example_analysis"
FILES = ("pyproject.toml", "turning.py", "tasks/presets.yaml", "tasks/studies/turning.yaml")

# One process for all that a user types: imports take most of the time.
COMMANDS = """
import pytest, suite.cli
def suite_(*arguments):
    suite.cli.app([*arguments], standalone_mode=False)
suite_("run", "--jobs", "1")
suite_("analyse", "--jobs", "1")
suite_("evidence", "--scale", "smoke")
code = pytest.main(["-p", "suite.pytest_plugin", "tasks", "-v"])
suite_("report")
raise SystemExit(code)
"""
# A mended analysis: nothing may train.
AGAIN = """
import suite.cli, suite.engine.work
def train(*arguments):
    raise AssertionError("it trains again")
suite.engine.work._train = train
for command in ("status", "run", "analyse", "status"):
    suite.cli.app([command, *(("--jobs", "1") if command != "status" else ())],
                  standalone_mode=False)
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return install(EXAMPLE, tmp_path)


def test_it_is_computed_judged_and_reported_and_mended_without_training(package: Path) -> None:
    told = run(package, COMMANDS)
    assert "8 analyses computed, 0 were there" in told
    for item in ("labels--mlp--none", "turning-C1"):
        assert f"tasks/studies/turning.yaml::{item} PASSED" in told
    assert "turning-C1" in (package / "reports" / "report.html").read_text()
    evidence = [json.loads(path.read_text()) for path in package.glob("reports/evidence/*/*.json")]
    results = [one["analyses"]["turning"] for one in evidence]
    assert len(results) == 8
    for result in results:
        assert result["version"] == 1 and result["settings"] == {"every": 5}
        assert 0 < result["figures"]["straightness"] < 1
    assert evidence[0]["provenance"]["extensions"] == {"turning": "1.0"}

    file = package / "turning.py"
    file.write_text(file.read_text().replace("VERSION = 1", "VERSION = 2"))
    told = run(package, AGAIN)
    assert "0 are missing, 8 are of an earlier version; `suite analyse` computes them" in told
    assert "8 analyses computed, 0 were there" in told
    assert told.count("of an earlier version") == 1


@pytest.mark.long
def test_it_keeps_the_laws(package: Path) -> None:
    code = (
        "import suite.cli, sys\n"
        "sys.argv = ['suite', 'conform', '--analysis', 'turning', '--arguments', '{every: 5}']\n"
        "suite.cli.main()\n"
    )
    assert "65 passed" in run(package, code)


def test_its_analysis_has_about_forty_lines_and_stands_in_the_documentation() -> None:
    assert len((EXAMPLE / "turning.py").read_text().splitlines()) <= 40
    assert files(EXAMPLE) == set(FILES)
    documentation = (ROOT / "docs" / "extending.md").read_text()
    for name in (*FILES[:2], FILES[3]):
        text = (EXAMPLE / name).read_text()
        assert f"\n{text}```\n" in documentation, f"docs/extending.md has another {name}"
