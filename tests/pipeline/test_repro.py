"""`dvc repro` on a small project: the real stages, presets and code with two short studies."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
yaml = YAML(typ="safe")
BIN = Path(sys.executable).parent
CELLS = (
    "dead_unit_walk--walk-sign-none--none",
    "dead_unit_walk--walk-sign-rms--none",
    "random_labels--mlp-lr3e-3--nap",
    "random_labels--mlp-lr3e-3--proj_only",
)
OTHER = """
study: other
paper: another study of this test
cells:
  - tasks: [dead_unit_walk]
    agents: [walk-sign-none]
    plugins: [[]]
    scales:
      smoke: {seeds: 2, budget: 100, evaluate_every: 50, evaluation_episodes: 0}
      short: {seeds: 2, budget: 200, evaluate_every: 50, evaluation_episodes: 0}
"""
STUDY = """
study: small
paper: a study of this test
cells:
  - tasks: [dead_unit_walk]
    agents: [walk-sign-rms]
    plugins: [[]]
    scales:
      smoke: {seeds: 3, budget: 100, evaluate_every: 50, evaluation_episodes: 0}
      short: {seeds: 3, budget: 200, evaluate_every: 50, evaluation_episodes: 0}
  - tasks: [random_labels]
    agents: [mlp-lr3e-3]
    plugins: [[nap], [proj_only]]
    analyses: [weight_norms]
    scales:
      smoke: {seeds: 3, budget: 1200, evaluate_every: 300, evaluation_episodes: 0}
      short: {seeds: 3, budget: 1500, evaluate_every: 300, evaluation_episodes: 0}
claims:
  - id: nap-C7
    kind: difference
    source: this test
    says: projection needs normalisation
    reported: nothing
    kind_of_claim: extension
    settled_because: it shows within minutes
    settled_at: smoke
    figure: online_accuracy
    treatment: [random_labels--mlp-lr3e-3--nap]
    control: [random_labels--mlp-lr3e-3--proj_only]
    paired: true
    direction: greater
"""


def dvc(project: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start DVC in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=project,
        env={
            **os.environ,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "SUITE_JOBS": "1",
            "PYTHONDONTWRITEBYTECODE": "",  # modules that are compiled meanwhile change no stage
            "PYTHONPATH": str(project),  # the project's own copy, not the one that is installed
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def repro(project: Path) -> str:
    process = dvc(project, "repro")
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def records(project: Path) -> dict[str, bytes]:
    """Bytes of every record by run key."""
    return {path.parent.name: path.read_bytes() for path in project.glob("runs/*/record.json")}


def cells_of(project: Path, keys: set[str]) -> set[str]:
    return {json.loads(records(project)[key])["cell"] for key in keys}


def copy_project(folder: Path) -> Path:
    for name in ("tasks", "baselines", "suite"):
        ignored = shutil.ignore_patterns("__pycache__", "studies")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    (folder / "tasks" / "studies").mkdir()
    (folder / "tasks" / "studies" / "small.yaml").write_text(STUDY)
    (folder / "tasks" / "studies" / "other.yaml").write_text(OTHER)
    for name in ("params.yaml", ".dvcignore", ".gitignore", "constraints.txt"):
        shutil.copy(ROOT / name, folder / name)
    stages = (ROOT / "dvc.yaml").read_text()
    assert stages.count("      - ladder\n      - nap\n      - subspaces\n") == 1
    stages = stages.replace(
        "      - ladder\n      - nap\n      - subspaces\n", "      - small\n      - other\n"
    )
    (folder / "dvc.yaml").write_text(stages)
    (folder / ".dvc").mkdir()
    for name in ("config", ".gitignore"):
        shutil.copy(ROOT / ".dvc" / name, folder / ".dvc" / name)
    for name in ("evidence", "side_by_side", "pictures"):
        (folder / "reports" / name).mkdir(parents=True)
        (folder / "reports" / name / "README.md").write_text("kept")
    author = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "-A"], [*author, "commit", "-qm", "x"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project after its first `dvc repro`; tests leave its results as they are."""
    project = copy_project(tmp_path_factory.mktemp("finished"))
    repro(project)
    return project


def test_first_run_trains_judges_and_reports(finished: Path) -> None:
    assert cells_of(finished, set(records(finished))) == set(CELLS)
    assert "nap-C7" in (finished / "reports" / "verdicts.json").read_text()
    assert "nap-C7" in (finished / "reports" / "report.html").read_text()


def test_second_run_does_nothing(finished: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.glob("runs/*/*")}
    output = repro(finished)
    assert "Running stage" not in output
    assert {path: path.stat().st_mtime_ns for path in finished.glob("runs/*/*")} == before


def test_metrics_and_plots_are_readable(finished: Path) -> None:
    for arguments in (("metrics", "show"), ("plots", "show", "-o", "plots")):
        process = dvc(finished, *arguments)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0, output


def test_changed_preset_trains_only_the_cells_that_use_it(finished: Path, tmp_path: Path) -> None:
    project = shutil.copytree(finished, tmp_path / "project", symlinks=True)
    before = set(records(project))
    presets = project / "tasks" / "plugins.yaml"
    text = presets.read_text()
    start = text.index("\n  proj_only:")
    assert "interval: 1 " in text[start:]
    presets.write_text(text[:start] + text[start:].replace("interval: 1 ", "interval: 2 ", 1))
    output = repro(project)
    assert cells_of(project, set(records(project)) - before) == {CELLS[3]}
    assert "Stage 'train@other' didn't change" in output


def test_killed_pipeline_goes_on_and_ends_with_the_same_bytes(
    finished: Path, tmp_path: Path
) -> None:
    project = copy_project(tmp_path / "project")
    process = dvc(project, "repro")
    deadline = time.monotonic() + 200
    while not records(project):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert len(records(project)) < len(records(finished)), "it was killed too late to show anything"
    repro(project)
    assert records(project) == records(finished)


def test_experiment_at_another_scale_trains_that_scale(finished: Path, tmp_path: Path) -> None:
    project = shutil.copytree(finished, tmp_path / "project", symlinks=True)
    process = dvc(project, "exp", "run", "-S", "scale=short")
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    scales = [json.loads(record)["scale"] for record in records(project).values()]
    assert sorted(set(scales)) == ["short", "smoke"] and scales.count("short") == 11


def test_one_study_can_be_reproduced_alone(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project")
    process = dvc(project, "repro", "train@other")
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert cells_of(project, set(records(project))) == {CELLS[0]}


def test_a_raised_version_of_an_analysis_trains_nothing_and_judges_anew(
    finished: Path, tmp_path: Path
) -> None:
    project = shutil.copytree(finished, tmp_path / "project", symlinks=True)
    before = {path: path.read_bytes() for path in project.glob("runs/*/*.json")}
    verdicts = (project / "reports" / "verdicts.json").read_bytes()
    results = {*project.glob("runs/*/analyses/*")}
    source = project / "suite" / "analysis" / "weight_norms.py"
    source.write_text(source.read_text().replace("VERSION: ClassVar[int] = 1", "VERSION = 2"))
    process = dvc(project, "repro")
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert "Running stage 'analyse'" in output and "6 analyses computed" in output
    assert {path: path.read_bytes() for path in project.glob("runs/*/*.json")} == before
    assert len({*project.glob("runs/*/analyses/*")}) == 2 * len(results) == 12
    assert (project / "reports" / "verdicts.json").read_bytes() == verdicts


def test_every_study_has_a_training_stage() -> None:
    stages = yaml.load((ROOT / "dvc.yaml").read_text())["stages"]
    studies = [path.stem for path in (ROOT / "tasks" / "studies").glob("*.yaml")]
    assert sorted(stages["train"]["foreach"]) == sorted(studies)
