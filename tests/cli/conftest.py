"""A project with two small studies, a fresh copy for each test, and the command in its folder."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from suite.cli import app

ROOT = Path(__file__).parents[2]
WALKS = """
study: walks
paper: a study of this test
cells:
  - tasks: [dead_unit_walk]
    agents: [walk-sign-rms, walk-sign-none]
    plugins: [[]]
    scales:
      smoke: {seeds: 2, budget: 60, evaluate_every: 20, evaluation_episodes: 0}
      short: {seeds: 1, budget: 80, evaluate_every: 20, evaluation_episodes: 0}
"""
LABELS = """
study: labels
paper: another study of this test
cells:
  - tasks: [random_labels]
    agents: [mlp-lr3e-3]
    plugins: [[], [nap]]
    scales:
      smoke: {seeds: 1, budget: 300, evaluate_every: 300, evaluation_episodes: 0}
  - tasks: [dead_unit_walk]
    agents: [walk-sign-none]
    plugins: [[]]
    scales:
      smoke: {seeds: 2, budget: 60, evaluate_every: 20, evaluation_episodes: 0}
"""
Suite = Callable[..., Result]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a project, where the test's process is; nothing of it has been trained."""
    folder = tmp_path / "project"
    ignored = shutil.ignore_patterns("studies")
    shutil.copytree(ROOT / "tasks", folder / "tasks", ignore=ignored)
    (folder / "tasks" / "studies").mkdir()
    (folder / "tasks" / "studies" / "walks.yaml").write_text(WALKS)
    (folder / "tasks" / "studies" / "labels.yaml").write_text(LABELS)
    shutil.copy(ROOT / "constraints.txt", folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def suite(project: Path, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """`suite ARGUMENTS...` in the project's folder."""
    monkeypatch.setenv("SUITE_JOBS", "1")
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, list(arguments))

    return run
