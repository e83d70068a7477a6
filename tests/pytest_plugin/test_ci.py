"""The workflow of the documentation: it parses, and what it runs is there."""

import configparser
import re
import shlex
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "ci.md").read_text()


@pytest.fixture(scope="module")
def jobs():
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.M | re.S)
    return YAML(typ="safe").load(block)["jobs"]


@pytest.fixture(scope="module")
def commands(jobs):
    """Every command of every step, as words."""
    lines = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    return [shlex.split(command) for line in lines for command in line.split("&&")]


@pytest.fixture(scope="module")
def tox():
    found = configparser.ConfigParser(interpolation=None)
    found.read(ROOT / "tox.ini")
    return found


def test_every_step_is_a_command_or_an_action_of_a_fixed_version(jobs):
    assert set(jobs) == {"tests", "claims", "timings"}
    for step in (step for job in jobs.values() for step in job["steps"]):
        assert ("run" in step) != ("uses" in step)
        assert re.fullmatch(r"[\w/-]+@v\d+", step.get("uses", "a@v1"))


def test_tox_its_environments_and_python_are_those_of_the_project(jobs, commands, tox):
    asked = [words for words in commands if words[:4] == ["python3", "-m", "tox", "run"]]
    assert [words[5] for words in asked] == ["test", "repro", "bench"]
    assert all(words[4] == "-e" and f"testenv:{words[5]}" in tox for words in asked)
    installed = [words for words in commands if words[:4] == ["python3", "-m", "pip", "install"]]
    assert {tuple(words[4:]) for words in installed} == {(tox["tox"]["requires"],)}
    versions = {
        step["with"]["python-version"]
        for job in jobs.values()
        for step in job["steps"]
        if "setup-python" in step.get("uses", "")
    }
    assert {f"python{version}" for version in versions} <= {*tox["testenv"]["base_python"].split()}


def test_the_command_of_the_tests_is_that_of_the_readme(jobs):
    (command,) = (step["run"] for step in jobs["tests"]["steps"] if "run" in step)
    assert f"    {command}\n" in (ROOT / "README.md").read_text()


def test_every_other_command_is_known(commands):
    known = [["python3", "-m", "tox"], ["python3", "-m", "pip"]]
    rest = [words for words in commands if words[:3] not in known]
    assert [words[0] for words in rest] == [".tox/repro/bin/pytest", "cat"]


def test_pytest_knows_its_options_and_paths(commands, pytestconfig):
    (claims,) = (words for words in commands if words[0] == ".tox/repro/bin/pytest")
    (gate,) = (words for words in commands if "bench" in words)
    arguments = [*claims[1:], *gate[gate.index("--") + 1 :]]
    parsed = pytestconfig._parser.parse_known_args(arguments)
    assert parsed.xmlpath == "reports/claims.xml"
    assert parsed.file_or_dir == ["tasks/", "tests/bench/test_regressions.py"]
    assert all((ROOT / path).exists() for path in parsed.file_or_dir)
    assert all(word.startswith(("-rxs", "--junitxml=")) for word in arguments if word[0] == "-")


def test_files_that_it_shows_are_those_that_the_pipeline_writes(jobs):
    pipeline = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())
    written = {
        path if isinstance(path, str) else next(iter(path))
        for name in ("verify", "report")
        for path in pipeline["stages"][name]["outs"]
    }
    steps = str(jobs["claims"]["steps"])
    named = set(re.findall(r"reports/[\w.]+", steps))
    assert named - {"reports/claims.xml"} <= written
    assert {"reports/summary.md", "reports/report.html"} <= named


def test_the_page_is_found_from_the_readme_and_from_the_page_on_pytest():
    for page in ("README.md", "docs/pytest.md"):
        assert "docs/ci.md" in (ROOT / page).read_text()
