"""Tasks of any environment: known with their sizes, refused with file, line and what is allowed."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from suite.envs import described, families
from suite.envs.families import FAMILIES, unusable
from suite.extensions import ENVIRONMENTS_GROUP, Extended, ExtensionError
from suite.specs import presets, registry
from suite.specs.loading import load_project
from suite.specs.planning import memory_estimate, seconds_estimate
from suite.specs.project import Project
from suite.specs.source import SpecError

Install = Callable[[str, str, Mapping[str, str]], str]
ROOT = Path(__file__).parents[2]
P, S = "tasks/presets.yaml", "tasks/studies/study.yaml"
CORRIDOR = """
import numpy as np
from suite.stacked.spaces import ActionSpec

class Corridor:
    VERSION = 4
    observation_shape = (1,)
    observation_dtype = "float32"
    action = ActionSpec("discrete", 2)

    def __init__(self, task, length: int = 5, slip=0.1, *, name: str):
        if length < 1:
            raise ValueError(f"length is {length}")
        if name == "broken":
            raise RuntimeError("out of order")
        self.observation_shape = (length,)

    def reset(self, seed):
        return np.zeros(self.observation_shape, np.float32)

    def step(self, action):
        return self.reset(0), 0.0, True, False

class Wordy(Corridor):
    VERSION = 1
    observation_dtype = "float64"

class Lasting:
    VERSION = 1
    def __init__(self, task): pass
    def reset(self, seed): pass

class Taskless(Corridor):
    VERSION = 1
    def __init__(self): pass

class Inherited(Corridor):
    pass

number = 5
"""


def load(folder: Path, tasks: str, agents: str = "", study: str = "") -> Project:
    (folder / "tasks" / "studies").mkdir(parents=True)
    (folder / P).write_text(f"tasks:\n{tasks}{agents}")
    if study:
        (folder / S).write_text(study)
    return load_project(folder)


def refused(folder: Path, tasks: str) -> str:
    with pytest.raises(SpecError) as error:
        load(folder, tasks)
    return str(error.value)


@pytest.fixture
def corridor(install: Install, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package with the family `corridor`; its name."""
    package = install(CORRIDOR, ENVIRONMENTS_GROUP, {"corridor": "Corridor", "wordy": "Wordy"})
    own = {name: FAMILIES[name] for name in ("mujoco", "gymnasium", "synthetic")}
    for module in (families, registry, described, presets.registry):
        monkeypatch.setattr(module, "FAMILIES", Extended(own, ENVIRONMENTS_GROUP, unusable))
    monkeypatch.setattr("suite.envs.make.FAMILIES", families.FAMILIES)
    yield package
    described._known_spaces.cache_clear()
    described._known_parameters.cache_clear()


def sizes(project: Project) -> Mapping[str, tuple[tuple[int, ...], int]]:
    found = {name: registry.environment(task) for name, task in project.tasks.items()}
    return {name: (one.observation_shape, one.action_size) for name, one in found.items()}


def test_tasks_of_mujoco_and_gymnasium_are_known_with_their_sizes(tmp_path: Path) -> None:
    project = load(
        tmp_path,
        "  swimmer: {family: mujoco, environment: Swimmer-v5}\n"
        "  humanoid: {family: mujoco, environment: Humanoid-v5}\n"
        "  pusher: {family: mujoco, environment: Pusher-v5}\n"
        "  reacher: {family: mujoco, environment: Reacher-v5}\n"
        "  standup: {family: mujoco, environment: HumanoidStandup-v5}\n"
        "  ant: {family: mujoco, environment: Ant-v5}\n"
        "  cartpole: {family: gymnasium, environment: CartPole-v1}\n"
        "  car: {family: gymnasium, environment: MountainCarContinuous-v0}\n"
        "  lake: {family: gymnasium, environment: FrozenLake-v1, arguments: {map_name: 8x8}}\n",
    )
    assert sizes(project) == {
        "swimmer": ((8,), 2),
        "humanoid": ((348,), 17),
        "pusher": ((23,), 7),
        "reacher": ((10,), 2),
        "standup": ((348,), 17),
        "ant": ((105,), 8),
        "cartpole": ((4,), 2),
        "car": ((2,), 1),
        "lake": ((64,), 4),
    }


@pytest.mark.parametrize(
    ("task", "error"),
    [
        (
            "{family: mujoco, environment: Pusher-v5, arguments: {reset_noise_scale: 0.1}}",
            "unknown key 'reset_noise_scale' in arguments of task 't'; known: "
            "default_camera_config, frame_skip, reward_control_weight, reward_dist_weight, "
            "reward_near_weight, xml_file; correct the name",
        ),
        (
            "{family: mujoco, environment: Swimmer-v5, arguments: {reset_noise_scale: 0.0}}",
            "reset_noise_scale of arguments of task 't' is 0.0; should be greater than 0; "
            "correct it",
        ),
        (
            "{family: mujoco, environment: Swimmer-v5, arguments: {frame_skip: 1.5}}",
            "frame_skip of arguments of task 't' is 1.5; should be a valid integer; correct it",
        ),
        (
            "{family: mujoco, environment: Humanoid-v5, arguments: {healthy_z_range: [1.0]}}",
            "missing key 1 in arguments of task 't'; all keys without default; add it",
        ),
        (
            "{family: gymnasium, environment: CartPole-v1, arguments: {sutton_barto_reward: 1}}",
            "sutton_barto_reward of arguments of task 't' is 1; should be a valid boolean; "
            "correct it",
        ),
        (
            "{family: gymnasium, environment: CartPole-v1, arguments: {gravity: 1}}",
            "unknown key 'gravity' in arguments of task 't'; known: render_mode, "
            "sutton_barto_reward; correct the name",
        ),
        (
            "{family: gymnasium, environment: CartPole-v9}",
            "unknown gymnasium environment 'CartPole-v9'; known: CartPole-v1, CartPole-v0, ",
        ),
        (
            "{family: gymnasium, environment: Blackjack-v1}",
            "task 't' cannot be built: Blackjack-v1 has observations Tuple(Discrete(32), "
            "Discrete(11), Discrete(2)); observations are Box of up to 3 axes or Discrete, actions "
            "are Box of floats with finite bounds or Discrete; ",
        ),
        (
            "{family: gymnasium, environment: 'nowhere:Else-v0'}",
            "task 't' cannot be built: nowhere:Else-v0 does not import: ModuleNotFoundError: ",
        ),
        (
            "{family: gymnasium, environment: CartPole-v1, action_repeat: 2}",
            "action_repeat 2 in task 't'; 1 is the only one that gymnasium has; remove it",
        ),
        (
            "{family: mujoco, environment: Ant-v5, arguments: {xml_file: nothing.xml}}",
            "task 't' cannot be built: MuJoCo task 'Ant-v5' with arguments {'xml_file': "
            "'nothing.xml'} cannot be built: File ",
        ),
        (
            "{family: synthetic, environment: random_label}",
            "unknown synthetic environment 'random_label'; known: dead_unit_walk, digits, "
            "random_labels; did you mean 'random_labels'?",
        ),
    ],
)
def test_a_task_that_cannot_be_is_refused(tmp_path: Path, task: str, error: str) -> None:
    assert refused(tmp_path, f"  t: {task}\n").startswith(f"{P}:2: {error}")


def test_a_family_of_another_package_is_planned_with_its_version(
    tmp_path: Path, corridor: str
) -> None:
    agents = (ROOT / "docs" / "example_environment" / P).read_text().partition("agents:")[2]
    project = load(
        tmp_path,
        "  way: {family: corridor, environment: any, arguments: {name: a, length: 7}}\n",
        f"agents:{agents}",
        "study: s\npaper: p\ncells:\n  - tasks: [way]\n    agents: [ppo]\n    plugins: [[]]\n"
        "    scales:\n      smoke: {seeds: 2, budget: 128, evaluate_every: 64, "
        "evaluation_episodes: 1}\n",
    )
    (cell,) = project.cells["smoke"]
    run = cell.runs[0]
    assert run.versions == {"agent/ppo": registry.AGENTS["ppo"].VERSION, "env/corridor": 4}
    assert run.task.arguments == {"name": "a", "length": 7}, "defaults stay the package's"
    assert sizes(project) == {"way": ((7,), 2)}
    assert memory_estimate(cell) > 0 and seconds_estimate(cell) > 0


@pytest.mark.parametrize(
    ("task", "error"),
    [
        (
            "{family: corridor, environment: a}",
            "missing key 'name' in arguments of task 't'; keys: length, slip, name; add it",
        ),
        (
            "{family: corridor, environment: a, arguments: {name: a, lenth: 3}}",
            "unknown key 'lenth' in arguments of task 't'; known: length, name, slip; did you "
            "mean 'length'?",
        ),
        (
            "{family: corridor, environment: a, arguments: {name: a, slip: much}}",
            "slip of arguments of task 't' is 'much'; should be a valid number; correct it",
        ),
        (
            "{family: corridor, environment: a, arguments: {name: a, length: 0}}",
            "task 't' cannot be built: length is 0; ",
        ),
        (
            "{family: corridor, environment: a, arguments: {name: broken}}",
            "task 't' cannot be built: corridor environment 'a' with arguments {'name': "
            "'broken'} cannot be built: RuntimeError: out of order; ",
        ),
        (
            "{family: wordy, environment: a, arguments: {name: a}}",
            "task 't' cannot be built: wordy environment 'a' does not keep the adapter protocol ",
        ),
        (
            "{family: corrido, environment: a}",
            "unknown family 'corrido'; known: corridor, gymnasium, mujoco, synthetic, wordy; did "
            "you mean 'corridor'?",
        ),
    ],
)
@pytest.mark.usefixtures("corridor")
def test_a_task_that_another_package_refuses_is_refused(
    tmp_path: Path, task: str, error: str
) -> None:
    assert refused(tmp_path, f"  t: {task}\n").startswith(f"{P}:2: {error}")


@pytest.mark.parametrize(
    ("name", "value", "wrong"),
    [
        ("mujoco", "Corridor", "the suite has this name already"),
        ("way", "Missing", "does not import: AttributeError"),
        ("way", "number", "5 is no class: name the adapter class"),
        ("way", "Lasting", "has no step"),
        ("way", "Taskless", "does not take the task first"),
        ("way", "Inherited", "its VERSION is None, not a whole number from 1 on"),
    ],
)
def test_a_family_that_cannot_be_used_is_refused_by_name(
    install: Install, name: str, value: str, wrong: str
) -> None:
    package = install(CORRIDOR, ENVIRONMENTS_GROUP, {name: value})
    told = f"entry point {name} = {package}:{value} in rl_claims.environments of package {package}"
    with pytest.raises(ExtensionError) as error:
        list(Extended({"mujoco": FAMILIES["mujoco"]}, ENVIRONMENTS_GROUP, unusable))
    assert told in str(error.value) and wrong in str(error.value)


def test_an_edited_module_is_looked_at_again(
    tmp_path: Path, corridor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = "  t: {family: corridor, environment: a, arguments: {name: a}}\n"
    assert sizes(load(tmp_path / "a", task)) == {"t": ((5,), 2)}
    described._known_spaces.cache_clear()
    adapter: type = families.FAMILIES["corridor"]  # type: ignore[assignment]
    monkeypatch.setattr(adapter, "reset", None)
    monkeypatch.setattr(adapter, "action", type(adapter.action)("discrete", 3))
    assert sizes(load(tmp_path / "b", task)) == {"t": ((5,), 2)}, "kept while the file is the same"
    described._known_spaces.cache_clear()
    file = next(tmp_path.glob(f"{corridor}/{corridor}.py"))
    file.write_text(CORRIDOR + "# edited\n")
    assert sizes(load(tmp_path / "c", task)) == {"t": ((5,), 3)}


PIXELS = (
    "  t:\n    family: dmc_pixels\n    environment: cartpole-swingup\n"
    "    arguments: {height: 84, width: 84}\n    action_repeat: 8\n"
)


def _agent(name: str) -> str:
    """One agent of the project's own presets, alone."""
    text = (ROOT / "tasks" / "agents.yaml").read_text()
    start = text.index(f"  {name}:\n")
    lines = text[start:].splitlines(keepends=True)
    end = next(
        (i for i, line in enumerate(lines[1:], 1) if line[:2] == "  " and line[2].isalpha()),
        len(lines),
    )
    return "agents:\n" + "".join(lines[:end])


def _study(agent: str, settings: str = "{}") -> str:
    return (
        f"study: s\npaper: p\ncells:\n  - tasks: [t]\n    agents: [{agent}]\n    plugins: [[]]\n"
        "    scales:\n      smoke: {seeds: 2, budget: 20480, evaluate_every: 2048, "
        f"evaluation_episodes: 1, agent: {settings}}}\n"
    )


@pytest.mark.parametrize(
    ("tasks", "agent", "settings", "error"),
    [
        (
            PIXELS,
            "rad-small",
            "{}",
            "images of 84 x 84 can't be augmented by translate to 32: take squares, at least as "
            "large for crop, at most for translate",
        ),
        (
            PIXELS.replace("84", "30"),
            "rad-small",
            "{image_size: 20}",
            "images of 30 x 30 can't be augmented by translate to 20: ",
        ),
        (
            PIXELS.replace("84", "30"),
            "rad-small",
            "{convolutions: 40}",
            "images of 32 x 32 vanish in 40 convolutions",
        ),
    ],
)
def test_an_agent_that_cannot_take_the_tasks_sizes_is_refused(
    tmp_path: Path, tasks: str, agent: str, settings: str, error: str
) -> None:
    with pytest.raises(SpecError) as refusal:
        load(tmp_path, tasks, _agent(agent), _study(agent, settings))
    told = f"{S}:5: agent '{agent}' can't act in task 't': {error}"
    assert str(refusal.value).startswith(told)


def test_images_smaller_than_a_convolution_are_refused(
    tmp_path: Path, corridor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter: type = families.FAMILIES["corridor"]  # type: ignore[assignment]
    init = adapter.__init__

    def flat(self: object, task: object, length: int = 5, *, name: str) -> None:
        init(self, task, length, name=name)
        self.observation_shape = (2, length, 1)

    monkeypatch.setattr(adapter, "__init__", flat)
    task = "  t: {family: corridor, environment: flat, arguments: {name: a}}\n"
    with pytest.raises(SpecError, match=r"images of 2 x 5 are smaller than the 3 x 3"):
        load(tmp_path, task, _agent("ppo-minatar"), _study("ppo-minatar"))
