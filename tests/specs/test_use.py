"""Presets of the suite in a project of one's own: `use` in a file of presets or in a study."""

import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from suite import cli
from suite.specs import kept, loading, used
from suite.specs.loading import load_project
from suite.specs.project import Project
from suite.specs.source import Node, SpecError, read_yaml

ROOT = Path(__file__).parents[2]
STUDY = """\
study: own
paper: a study of this test
cells:
  - tasks: [hopper, random_labels]
    agents: [AGENT]
    plugins: [[], [nap]]
    scales:
      smoke: {seeds: 2, budget: 30000, evaluate_every: 3000, evaluation_episodes: 1}
"""
LABELS = STUDY.replace("hopper, ", "").replace("AGENT", "mlp-lr3e-3")
HOPPER = STUDY.replace(", random_labels", "").replace("AGENT", "td3-official")
ALL = "use: [rl_claims/agents, rl_claims/plugins, rl_claims/mujoco, rl_claims/synthetic]\n"
KNOWN = ", ".join(f"rl_claims/{path.stem}" for path in sorted((ROOT / "tasks").glob("*.yaml")))
P, S = "tasks/presets.yaml", "tasks/studies/own.yaml"


def load(folder: Path, files: dict[str, str]) -> Project:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return load_project(folder)


def refusal(folder: Path, files: dict[str, str]) -> str:
    with pytest.raises(SpecError) as refused:
        load(folder, files)
    return str(refused.value)


def keys(project: Project) -> dict[str, str]:
    return {cell.id: cell.key() for cell in project.cells["smoke"]}


def test_used_presets_give_the_run_keys_of_the_same_presets_written_out(tmp_path: Path) -> None:
    other = HOPPER.replace("study: own", "study: other")
    studies = {S: LABELS, "tasks/studies/other.yaml": other}
    copied = {
        f"tasks/{name}.yaml": (ROOT / "tasks" / f"{name}.yaml").read_text()
        for name in ("agents", "plugins", "mujoco", "synthetic")
    }
    used = load(tmp_path / "used", {P: ALL, **studies})
    written = load(tmp_path / "written", {**copied, **studies})
    assert len(keys(used)) == 4 and keys(used) == keys(written)
    for section in ("tasks", "agents", "plugins"):
        assert getattr(used, section) == getattr(written, section)


@pytest.mark.parametrize(
    "file", sorted((ROOT / "tasks").glob("*.yaml")), ids=lambda file: file.stem
)
def test_each_preset_file_of_the_suite_can_be_used_on_its_own(tmp_path: Path, file: Path) -> None:
    project = load(tmp_path, {P: f"use: [rl_claims/{file.stem}]\n"})
    (section, names), *more = yaml.safe_load(file.read_text()).items()
    assert not more and set(getattr(project, section)) == set(names)


def test_a_study_can_use_presets_without_any_file_of_presets(tmp_path: Path) -> None:
    assert len(load(tmp_path, {S: ALL + LABELS}).cells["smoke"]) == 2


def test_what_one_file_uses_is_there_for_all(tmp_path: Path) -> None:
    other = LABELS.replace("study: own", "study: other")
    project = load(tmp_path, {S: ALL + LABELS, "tasks/studies/other.yaml": other})
    assert {cell.studies for cell in project.cells["smoke"]} == {("other", "own")}


def test_a_file_that_is_used_twice_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def reading(file: Path, path: str) -> Node:
        read.append(file.name)
        return read_yaml(file, path)

    monkeypatch.setattr(loading, "read_yaml", reading)
    twice = "use: [rl_claims/agents, rl_claims/agents]\n"
    load(tmp_path, {P: twice, S: ALL + LABELS})
    names = ["agents", "mujoco", "own", "plugins", "presets", "synthetic"]
    assert sorted(read) == [f"{name}.yaml" for name in names]


def test_a_scale_overrides_settings_of_a_used_preset(tmp_path: Path) -> None:
    smoke = "evaluation_episodes: 1, agent: {learning_rate: 0.5}}"
    study = LABELS.replace("evaluation_episodes: 1}", smoke)
    (cell, _) = load(tmp_path, {P: ALL, S: study}).cells["smoke"]
    assert cell.runs[0].agent.settings["learning_rate"] == 0.5
    assert refusal(tmp_path, {P: ALL, S: study.replace("0.5", "-0.5")}).startswith(f"{S}:8: ")


def test_a_preset_with_the_name_of_a_used_one_is_refused_with_both_places(tmp_path: Path) -> None:
    own = "agents:\n  walk-sign-none: {kind: dead_unit_walk, settings: {}}\n"
    told = refusal(tmp_path, {P: "use: [rl_claims/agents]\n" + own})
    path = used.FOLDER / "agents.yaml"
    line = path.read_text().splitlines().index("  walk-sign-none:") + 1
    assert told == (
        f"{P}:3: duplicate name 'walk-sign-none' in agents, first at {path}:{line}; each name "
        "once; rename this one"
    )


def test_the_same_name_in_another_section_is_no_clash(tmp_path: Path) -> None:
    own = "plugins:\n  walk-sign-none: {kind: norm, settings: {}}\n"
    told = refusal(tmp_path, {P: "use: [rl_claims/agents]\n" + own})
    assert "duplicate" not in told and f"{P}:3: missing key" in told


@pytest.mark.parametrize(
    ("use", "told"),
    [
        (
            "use:\n  - rl_claims/mujoco\n  - rl_claims/agent\n",
            f"3: unknown preset file 'rl_claims/agent'; known: {KNOWN}; did you mean "
            "'rl_claims/agents'?",
        ),
        (
            "use: [rl_claims/studies/nap]\n",
            f"1: unknown preset file 'rl_claims/studies/nap'; known: {KNOWN}; ",
        ),
        ("use: [../../secret]\n", f"1: unknown preset file '../../secret'; known: {KNOWN}; "),
        ("use: rl_claims/agents\n", "1: use of the file is 'rl_claims/agents'; should be a list"),
        ("use:\n", "1: use of the file is None; should be a list"),
        ("use: [rl_claims/agents,\n  {a: b}]\n", "2: use.1 of the file is {'a': 'b'}; should be"),
    ],
)
@pytest.mark.parametrize("name", [P, S])
def test_a_wrong_use_is_refused_in_presets_and_studies(
    tmp_path: Path, name: str, use: str, told: str
) -> None:
    files = {P: "agents: {}\n", S: LABELS}
    wrong = refusal(tmp_path, {**files, name: use + files[name]})
    assert wrong.startswith(f"{name}:{told}") and len(wrong.splitlines()) == 1


@pytest.mark.parametrize(("name", "what"), [(P, "section 'uses'"), (S, "key 'uses' in the study")])
def test_a_misspelt_use_is_told_as_such(tmp_path: Path, name: str, what: str) -> None:
    files = {P: "agents: {}\n", S: LABELS}
    told = refusal(tmp_path, {**files, name: f"uses: [rl_claims/agents]\n{files[name]}"})
    line = next(line for line in told.splitlines() if "uses" in line)
    assert line.startswith(f"{name}:1: unknown {what}") and line.endswith("did you mean 'use'?")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("agents:\n  mine: {kind: td4, settings: {}}\n", "2: unknown agent kind 'td4'"),
        ("agents: [\n", "2: not YAML"),
        ("agents:\n  mine: 1\n", "2: agent 'mine' is 1"),
    ],
)
def test_what_is_wrong_in_a_used_file_is_told_at_its_path_and_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, told: str
) -> None:
    folder = tmp_path / "installed"
    folder.mkdir()
    (folder / "broken.yaml").write_text(text)
    monkeypatch.setattr(used, "FOLDER", folder)
    wrong = refusal(tmp_path / "own", {P: "use: [rl_claims/broken]\n"})
    assert wrong.startswith(f"{folder / 'broken.yaml'}:{told}")


def test_the_list_shows_what_is_used_and_the_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = "agents:\n  mine: {kind: dead_unit_walk, settings: SETTINGS}\n".replace(
        "SETTINGS", "{dimension: 5, update: sign, norm: none, step_size: 1.0}"
    )
    load(tmp_path, {P: "use: [rl_claims/synthetic, rl_claims/agents]\n" + own})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "installed", {"rl-claims": "7.8"}.get)
    told = CliRunner().invoke(cli.app, ["list"]).output
    assert "agents: mine\n" in told
    tasks = "tasks of rl_claims/synthetic, rl-claims 7.8: random_labels, digits_random, digits"
    assert tasks in " ".join(told.split())


def test_a_kept_project_is_loaded_again_when_a_preset_file_of_the_suite_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "installed"
    shutil.copytree(used.FOLDER, folder)
    monkeypatch.setattr(used, "FOLDER", folder)
    monkeypatch.setattr(kept, "FOLDER", folder)
    monkeypatch.setenv("SUITE_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "own"
    before = load(root, {P: ALL, S: LABELS})
    assert kept.project(root) == kept.project(root)
    assert keys(kept.project(root)) == keys(before) and kept.project(root).used == before.used
    text = (folder / "agents.yaml").read_text()
    (folder / "agents.yaml").write_text(text.replace("hidden_units: 64", "hidden_units: 65"))
    assert keys(kept.project(root)).keys() == keys(before).keys()
    assert not set(keys(kept.project(root)).values()) & set(keys(before).values())


def test_an_installed_suite_has_the_preset_files_of_the_repository() -> None:
    assert used.FOLDER.is_relative_to(ROOT / "suite"), "a wheel carries what lies in its packages"
    assert used.FOLDER.samefile(ROOT / "tasks")
