"""Environments of Gymnasium's registry with spaces of every supported kind, and refused ones."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from suite.envs.make import make_environment
from suite.envs.registered import constructor
from suite.specs.models import TaskSpec

FLOAT = {"dtype": np.float32}
BYTES = {"dtype": np.uint8}


class Echo(gymnasium.Env):
    """Shows the highest observation of its space, keeps the actions that it is given."""

    def __init__(self, seen: spaces.Space, acted: spaces.Space) -> None:
        self.observation_space, self.action_space = seen, acted
        self.given = []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._highest(), {}

    def step(self, action):
        self.given.append(action)
        return self._highest(), 1, np.False_, np.False_, {}

    def _highest(self):
        seen = self.observation_space
        return seen.start + seen.n - 1 if isinstance(seen, spaces.Discrete) else seen.high


@pytest.fixture
def register(monkeypatch):
    """Registers an `Echo-v0` with these spaces, gives the adapter."""

    def put(seen, acted, limit=None, **task):
        monkeypatch.setattr(gymnasium.envs.registration, "registry", dict(gymnasium.registry))
        kwargs = {"seen": seen, "acted": acted}
        gymnasium.register("Echo-v0", entry_point=Echo, max_episode_steps=limit, kwargs=kwargs)
        return make_environment(
            TaskSpec(name="echo", family="gymnasium", environment="Echo-v0", **task)
        )

    return put


TWO = spaces.Discrete(2)


@pytest.mark.parametrize(
    ("seen", "shape", "highest"),
    [
        (spaces.Box(-1, 3, (5,), **FLOAT), (5,), np.full(5, 3)),
        (spaces.Box(-1, 3, (5,), dtype=np.float64), (5,), np.full(5, 3)),
        (spaces.Box(0, 9, (2,), dtype=np.int64), (2,), [9, 9]),
        (spaces.Box(0, 255, (2,), **BYTES), (2,), [255, 255]),
        (spaces.Box(-1, 3, (), **FLOAT), (1,), [3]),
        (spaces.Box(0, 255, (6, 5), **BYTES), (6, 5, 1), np.ones((6, 5, 1))),
        (spaces.Box(0, 255, (6, 5, 3), **BYTES), (6, 5, 3), np.ones((6, 5, 3))),
        (spaces.Box(0, 51, (6, 5, 4), **BYTES), (6, 5, 4), np.full((6, 5, 4), 0.2)),
        (spaces.Box(0, 7, (6, 5, 3), **FLOAT), (6, 5, 3), np.full((6, 5, 3), 7)),
        (spaces.Discrete(4), (4,), [0, 0, 0, 1]),
        (spaces.Discrete(3, start=5), (3,), [0, 0, 1]),
    ],
)
def test_observations_become_vectors_or_grids_of_float32(register, seen, shape, highest):
    environment = register(seen, TWO)
    assert environment.observation_shape == shape
    observation = environment.reset(0)
    assert observation.dtype == np.float32 and observation.shape == shape
    np.testing.assert_allclose(observation, highest, rtol=1e-6)
    following, reward, terminal, truncated = environment.step(np.int64(1))
    assert (type(reward), type(terminal), type(truncated)) == (float, bool, bool)
    assert following.flags.writeable and following is not observation


@pytest.mark.parametrize(
    ("acted", "size", "high", "given", "expected"),
    [
        (spaces.Box(-2, 2, (3,), **FLOAT), 3, 2.0, [-2, 0.5, 2], [-2, 0.5, 2]),
        (spaces.Box(0, 1, (2,), **FLOAT), 2, 1.0, [-1, 1], [0, 1]),
        (spaces.Box(np.array([-1, 0]), np.array([1, 10]), **FLOAT), 2, 1.0, [0, 0], [0, 5]),
        (spaces.Box(-1, 1, (2, 2), **FLOAT), 4, 1.0, [-1, 0, 0.5, 1], [[-1, 0], [0.5, 1]]),
        (spaces.Box(0, 0.3, (1,), dtype=np.float64), 1, 1.0, [1], [0.3]),
    ],
)
def test_continuous_actions_keep_symmetric_bounds_and_are_rescaled_elsewhere(
    register, acted, size, high, given, expected
):
    environment = register(spaces.Box(-1, 1, (1,), **FLOAT), acted)
    action = environment.action
    assert (action.kind, action.size, action.low, action.high) == ("continuous", size, -high, high)
    environment.reset(0)
    environment.step(np.array(given, dtype=np.float32))
    (taken,) = environment._environment.unwrapped.given
    assert taken.dtype == acted.dtype and acted.contains(taken)
    np.testing.assert_array_equal(taken, np.array(expected, dtype=acted.dtype))


def test_discrete_actions_count_from_where_the_space_starts(register):
    environment = register(spaces.Box(-1, 1, (1,), **FLOAT), spaces.Discrete(3, start=-1))
    assert (environment.action.kind, environment.action.size) == ("discrete", 3)
    environment.reset(0)
    for action in range(3):
        environment.step(np.int64(action))
    assert environment._environment.unwrapped.given == [-1, 0, 1]


@pytest.mark.parametrize(
    ("seen", "acted", "word"),
    [
        (spaces.Dict({"a": TWO}), TWO, "observations Dict"),
        (spaces.Tuple([TWO]), TWO, "observations Tuple"),
        (spaces.MultiBinary(3), TWO, "observations MultiBinary"),
        (spaces.Box(0, 1, (2, 2, 2, 2), **FLOAT), TWO, "observations Box"),
        (TWO, spaces.MultiDiscrete([2, 2]), "actions MultiDiscrete"),
        (TWO, spaces.Box(0, np.inf, (2,), **FLOAT), "actions Box"),
        (TWO, spaces.Box(0, 255, (2,), **BYTES), "actions Box"),
    ],
)
def test_other_spaces_are_refused_with_what_is_allowed(register, seen, acted, word):
    with pytest.raises(ValueError, match=rf"Echo-v0 has {word}.*Box of up to 3 axes or Discrete"):
        register(seen, acted)


@pytest.mark.parametrize(("registered", "own", "steps"), [(7, None, 7), (7, 4, 4), (None, 5, 5)])
def test_the_limit_of_the_registration_holds_beside_the_tasks(register, registered, own, steps):
    environment = register(TWO, TWO, registered, episode_limit=own)
    for seed in range(2):
        environment.reset(seed)
        ends = [environment.step(np.int64(0))[2:] for _ in range(steps)]
        assert ends == [(False, False)] * (steps - 1) + [(False, True)]


def test_an_end_by_the_rules_at_the_limit_is_terminal():
    task = TaskSpec(name="c", family="gymnasium", environment="CartPole-v1")
    environment = make_environment(task)
    environment.reset(0)
    steps = 1
    while not environment.step(np.int64(1))[2]:
        steps += 1
    limited = make_environment(task.model_copy(update={"episode_limit": steps}))
    limited.reset(0)
    assert [limited.step(np.int64(1))[2:] for _ in range(steps)][-1] == (True, False)


def test_a_module_registers_its_environment_when_it_is_named(tmp_path, monkeypatch):
    (tmp_path / "elsewhere.py").write_text(
        "import gymnasium\n"
        "gymnasium.register('Else-v0', entry_point='gymnasium.envs.classic_control:PendulumEnv',\n"
        "                   kwargs={'g': 5.0})\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(gymnasium.envs.registration, "registry", dict(gymnasium.registry))
    task = TaskSpec(name="e", family="gymnasium", environment="elsewhere:Else-v0")
    assert make_environment(task).action.high == 2.0
    assert constructor("elsewhere:Else-v0").keywords == {"g": 5.0}
    with pytest.raises(ValueError, match="nowhere:Else-v0 does not import: ModuleNotFoundError"):
        make_environment(task.model_copy(update={"environment": "nowhere:Else-v0"}))
