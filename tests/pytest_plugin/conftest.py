"""The small project, trained once; tests work on copies."""

import shutil
from pathlib import Path

import pytest
from study import write_project
from typer.testing import CliRunner

import suite.cli


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small project with its smoke runs trained."""
    root = tmp_path_factory.mktemp("trained")
    write_project(root)
    code = pytest.main(
        ["-p", "suite.pytest_plugin", "-q", "--train", "--rootdir", str(root), str(root)]
    )
    assert code == pytest.ExitCode.TESTS_FAILED  # one claim is contradicted
    return root


@pytest.fixture
def project(
    trained: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> pytest.Pytester:
    shutil.copytree(trained, pytester.path, dirs_exist_ok=True)
    monkeypatch.chdir(pytester.path)
    return pytester


@pytest.fixture
def exported(project: pytest.Pytester) -> pytest.Pytester:
    """The project with evidence in place of its runs."""
    assert CliRunner().invoke(suite.cli.app, ["evidence", "--scale", "smoke"]).exit_code == 0
    shutil.rmtree(project.path / "runs")
    return project
