"""What is known of environments: kept by package versions, safe to write at once, rebuilt."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from suite.envs import described
from suite.envs.described import Spaces, parameters, spaces
from suite.specs.models import TaskSpec

ROOT = Path(__file__).parents[2]
CARTPOLE = TaskSpec(name="cartpole", family="gymnasium", environment="CartPole-v1")
EXPECTED = Spaces(
    observation_shape=(4,),
    observation_dtype="float32",
    actions="discrete",
    action_size=2,
    low=0.0,
    high=1.0,
)
# Loads the project in the working folder and prints which simulators that took.
LOAD = """
import sys
from pathlib import Path
from suite.specs.loading import load_project
from suite.specs.planning import memory_estimate
for cells in load_project(Path()).cells.values():
    for cell in cells[:1]:
        memory_estimate(cell)
print(*sorted({"gymnasium", "mujoco", "dm_control", "minatar"} & set(sys.modules)))
"""


def run(code: str, folder: Path, cache: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SUITE_CACHE": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def forget() -> None:
    """What this process knows: the next look-up goes to the disk."""
    described._known_spaces.cache_clear()
    described._known_parameters.cache_clear()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SUITE_CACHE", str(tmp_path / "cache"))
    forget()
    yield tmp_path / "cache"
    forget()


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The environments that were built since."""
    built: list[str] = []
    make = described.make_environment

    def counted(task: TaskSpec):
        built.append(task.environment)
        return make(task)

    monkeypatch.setattr(described, "make_environment", counted)
    return built


def test_the_projects_own_tasks_need_no_simulator_at_the_first_start(tmp_path: Path) -> None:
    assert run(LOAD, ROOT, tmp_path / "cache") == ""
    assert not (tmp_path / "cache").exists(), (
        "described.json lacks something: run `python -m suite.envs.described` in the checkout"
    )


def test_other_tasks_need_a_simulator_at_the_first_start_only(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "tasks.yaml").write_text(
        "tasks:\n"
        "  swimmer: {family: mujoco, environment: Swimmer-v5, arguments: {frame_skip: 3}}\n"
        "  cartpole: {family: gymnasium, environment: CartPole-v1}\n"
        "  lqr: {family: dmc, environment: lqr-lqr_2_1}\n"
    )
    assert run(LOAD, tmp_path, tmp_path / "cache") == "dm_control gymnasium mujoco"
    assert run(LOAD, tmp_path, tmp_path / "cache") == ""


def test_an_environment_is_built_once(cache: Path, builds: list[str]) -> None:
    for _ in range(2):
        assert spaces(CARTPOLE) == EXPECTED
        forget()
    assert builds == ["CartPole-v1"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\x00", b'{"observation_shape": "x"}'])
def test_a_corrupt_file_is_written_anew(cache: Path, builds: list[str], content: bytes) -> None:
    spaces(CARTPOLE)
    (path,) = cache.iterdir()
    good = path.read_bytes()
    path.write_bytes(content)
    forget()
    assert spaces(CARTPOLE) == EXPECTED and builds == ["CartPole-v1"] * 2
    assert path.read_bytes() == good


def test_another_package_version_is_learned_anew(
    cache: Path, builds: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spaces(CARTPOLE)
    monkeypatch.setattr(described, "_installed", lambda package: "9.9")
    forget()
    assert spaces(CARTPOLE) == EXPECTED and builds == ["CartPole-v1"] * 2


def test_arguments_and_model_files_are_told_apart(cache: Path, tmp_path: Path) -> None:
    import gymnasium.envs.mujoco

    assets = Path(gymnasium.envs.mujoco.__file__).parent / "assets"
    model = tmp_path / "model.xml"
    model.write_text((assets / "swimmer.xml").read_text())
    task = TaskSpec(
        name="own",
        family="mujoco",
        environment="Swimmer-v5",
        arguments={"xml_file": str(model)},
    )
    assert spaces(task).observation_shape == (8,)
    seen = {**task.arguments, "exclude_current_positions_from_observation": False}
    assert spaces(task.model_copy(update={"arguments": seen})).observation_shape == (10,)
    limited = model.read_text().replace('ctrlrange="-1 1"', 'ctrlrange="-2 2"')
    assert limited != model.read_text()
    model.write_text(limited)
    forget()
    assert spaces(task).high == 2.0


def test_a_folder_that_cannot_be_written_is_told_and_hinders_nothing(
    cache: Path, builds: list[str]
) -> None:
    cache.write_text("a file in its place")
    with pytest.warns(UserWarning, match=r"can't be kept in .*set SUITE_CACHE"):
        assert spaces(CARTPOLE) == EXPECTED


def test_writers_at_the_same_time_leave_whole_files(tmp_path: Path) -> None:
    code = """
import time
from suite.envs.described import parameters, spaces
from suite.specs.models import TaskSpec
names = ["CartPole-v1", "Acrobot-v1", "MountainCar-v0", "MountainCarContinuous-v0"]
for name in names:
    task = TaskSpec(name="t", family="gymnasium", environment=name)
    print(spaces(task), parameters(task))
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SUITE_CACHE": str(tmp_path)}
    children = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    outputs = {child.communicate()[0] for child in children}
    assert [child.returncode for child in children] == [0] * 4
    assert len(outputs) == 1
    files = list(tmp_path.iterdir())
    assert len(files) == 8 and all(path.suffix == ".json" for path in files)
    assert all(json.loads(path.read_text()) for path in files)


def test_arguments_come_from_the_signature_of_the_constructor() -> None:
    found = parameters(TaskSpec(name="ant", family="mujoco", environment="Ant-v5"))
    kinds = {name: one.kinds for name, one in found.names.items()}
    assert kinds["xml_file"] == ("text",)
    assert kinds["frame_skip"] == ("whole",)
    assert kinds["ctrl_cost_weight"] == ("number",)
    assert kinds["terminate_when_unhealthy"] == ("flag",)
    assert kinds["main_body"] == ("whole", "text")
    assert kinds["healthy_z_range"] == ("list",)
    assert [item.kinds for item in found.names["healthy_z_range"].items] == [("number",)] * 2
    assert not found.others and not any(one.required for one in found.names.values())
