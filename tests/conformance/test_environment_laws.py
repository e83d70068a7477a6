"""The conformance command finds environments with hidden state, and passes those without."""

import random
import time

import numpy as np
import pytest
from typer.testing import CliRunner

import suite.cli
from suite.conformance import conform_environment, environment_laws
from suite.envs import families
from suite.extensions import ENVIRONMENTS_GROUP, Extended
from suite.specs.models import TaskSpec
from suite.stacked.spaces import ActionSpec

TASK = TaskSpec(name="walk", family="walk", environment="walk", episode_limit=50)


class Walk:
    """A random walk whose step sizes come from the episode's seed: breaks no law."""

    VERSION = 1
    observation_shape = (2,)
    observation_dtype = "float32"
    action = ActionSpec("discrete", 2)

    def __init__(self, task):
        self.limit = task.episode_limit

    def reset(self, seed):
        self.draw = np.random.default_rng(seed)
        self.place, self.steps = 0.0, 0
        return self.seen()

    def step(self, action):
        self.steps += 1
        self.place += float((2 * action - 1) * self.draw.random()) + self.hidden()
        terminal = abs(self.place) > 20
        return self.seen(), self.reward(), terminal, self.steps == self.limit and not terminal

    def seen(self):
        return np.array([self.place, self.steps / 100], np.float32)

    def reward(self):
        return float(-abs(self.place))

    def hidden(self):
        return 0.0


class Counting(Walk):
    """All instances share a count of resets."""

    resets = 0

    def reset(self, seed):
        Counting.resets += 1
        return super().reset(seed)

    def hidden(self):
        return 1e-6 * Counting.resets


class Unseeded(Walk):
    """Rewards with noise from the global generator."""

    def reward(self):
        return super().reward() + (random.random() if self.steps == 12 else 0.0)


class Clocked(Walk):
    def hidden(self):
        return 1e-9 * (time.time_ns() % 10**9)


class Worn(Walk):
    """Its floor wears off from episode to episode; fresh instances agree."""

    steps_ever = 0

    def step(self, action):
        self.steps_ever += 1
        return super().step(action)

    def hidden(self):
        return 0.5 if self.steps_ever > 60 else 0.0


class Kept(Walk):
    """Does not reset its place after an episode that was left in its middle."""

    def reset(self, seed):
        place = getattr(self, "place", 0.0) if getattr(self, "steps", 50) < 50 else 0.0
        super().reset(seed)
        self.place = place
        return self.seen()


class Shared(Walk):
    """The generator of an episode belongs to the module, not to the instance."""

    def reset(self, seed):
        Shared.draw = np.random.default_rng(seed)
        self.place, self.steps = 0.0, 0
        return self.seen()


class Hashed(Walk):
    """Depends on the process's hash seed."""

    def hidden(self):
        return 1e-13 * (hash("floor") % 2**40)


class Wide(Walk):
    def seen(self):
        return super().seen().astype(np.float64)


class Reusing(Walk):
    """Gives out one buffer again and again."""

    buffer = None

    def seen(self):
        self.buffer = np.zeros(2, np.float32) if self.buffer is None else self.buffer
        self.buffer[:] = super().seen()
        return self.buffer


class Undecided(Walk):
    def step(self, action):
        seen, reward, terminal, truncated = super().step(action)
        return seen, reward, terminal or truncated, truncated


class Boundless(Walk):
    def reward(self):
        return float("nan")


LAWS = [
    environment_laws.assert_protocol_is_kept,
    environment_laws.assert_fresh_instances_agree,
    environment_laws.assert_earlier_episodes_do_not_matter,
    environment_laws.assert_neighbours_do_not_matter,
]
PROTOCOL, FRESH, EARLIER, NEIGHBOURS = LAWS


@pytest.fixture
def use(monkeypatch):
    """Make a class the family `walk`."""

    def put(adapter):
        for module in ("suite.envs.make", "suite.envs.families", "suite.envs.described"):
            monkeypatch.setattr(f"{module}.FAMILIES", {"walk": adapter})

    return put


@pytest.mark.parametrize("law", LAWS)
def test_a_sound_environment_keeps_every_law(use, law):
    use(Walk)
    law(TASK)


FIRST = "two fresh instances differ at step"


@pytest.mark.parametrize(
    ("adapter", "law", "told"),
    [
        (Counting, FRESH, rf"{FIRST} 1 of the episode of seed 7: observation\[0\] is "),
        (Unseeded, FRESH, rf"{FIRST} 12 of the episode of seed 7: reward is "),
        (Clocked, FRESH, rf"{FIRST} 1 of"),
        (Worn, EARLIER, r"a fresh instance and one that has played differ at step 1 of"),
        (Kept, EARLIER, r"differ at step 0 of the episode of seed 7: observation\[0\] is 0.0 and "),
        (Shared, NEIGHBOURS, r"an instance alone and one beside another differ at step 1 of"),
        (Wide, PROTOCOL, r"reset: the observation is .*float64.*declared is .*float32"),
        (Reusing, PROTOCOL, r"step 1 changed the observation given out before"),
        (Undecided, PROTOCOL, r"both terminal and truncated"),
        (Boundless, PROTOCOL, r"step 1: reward is nan"),
    ],
)
def test_hidden_state_and_a_broken_protocol_are_found(use, adapter, law, told):
    use(adapter)
    with pytest.raises(AssertionError, match=told):
        law(TASK)


def test_what_another_process_plays_differently_is_found(install, monkeypatch):
    import inspect

    source = "import numpy as np\nfrom suite.stacked.spaces import ActionSpec\n\n"
    source += inspect.getsource(Walk) + "\n\n" + inspect.getsource(Hashed)
    points = {"walk": "Walk", "hashed": "Hashed"}
    install(source.replace("class Hashed(Walk):", "class Hashed(Walk):\n    VERSION = 1"),
            ENVIRONMENTS_GROUP, points)  # fmt: skip
    found = Extended({}, ENVIRONMENTS_GROUP, families.unusable)
    monkeypatch.setattr("suite.envs.make.FAMILIES", found)
    environment_laws.assert_processes_agree(TASK)
    with pytest.raises(AssertionError, match="another process differs at step 1 of the episode"):
        environment_laws.assert_processes_agree(TASK.model_copy(update={"family": "hashed"}))


def test_the_command_passes_an_environment_of_gymnasium(capfd):
    result = CliRunner().invoke(
        suite.cli.app, ["conform", "--environment", "gymnasium", "CartPole-v1"]
    )
    assert result.exit_code == 0
    assert "5 passed" in result.output + capfd.readouterr().out


def test_the_command_names_the_broken_law(use, capfd):
    use(Counting)
    assert conform_environment(TASK) == 1
    told = capfd.readouterr().out
    failed = [line for line in told.splitlines() if line.startswith("FAILED")]
    assert any("test_fresh_instances_agree" in line for line in failed), told
    assert f"{FIRST} 1 of the episode of seed 7: observation[0] is " in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "name a plug-in, or --environment"),
        (["pptb", "--environment", "mujoco", "Ant-v5"], "name a plug-in, or --environment"),
        (["--environment", "mojuco", "Ant-v5"], "no family mojuco; known:"),
        (["--environment", "mujoco", "Ant-v7"], "unknown mujoco environment 'Ant-v7'"),
    ],
)
def test_the_command_says_what_it_needs(arguments, told, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    result = CliRunner().invoke(suite.cli.app, ["conform", *arguments])
    assert result.exit_code == 2 and told in result.output


def test_wrong_arguments_are_named():
    command = ["conform", "--environment", "mujoco", "Ant-v5", "--arguments", "{frame_skp: 1}"]
    told = str(CliRunner().invoke(suite.cli.app, command).exception)
    assert told.startswith("--arguments:1: unknown key 'frame_skp' in arguments of mujoco Ant-v5")
