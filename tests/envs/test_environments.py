"""One contract for every environment adapter, over all tasks of the suite that have one."""

import json
import subprocess
import sys
import warnings
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from suite.envs.episodes import EpisodeEnvironment, episode_seed
from suite.envs.make import make_environment
from suite.envs.vector import StackedEnvironments
from suite.specs.loading import load_project
from suite.specs.models import TaskSpec

ROOT = Path(__file__).parents[2]
PROJECT = load_project(ROOT)
# Pixels of full size take the same way as the small ones, many times slower.
TASKS = [
    task
    for task in PROJECT.tasks.values()
    if task.family != "synthetic" and task.arguments.get("height", 0) <= 40
]
# And tasks of which the project has none.
TASKS += [
    TaskSpec(name=environment.lower(), family=family, environment=environment)
    for family, environments in {
        "mujoco": ["Humanoid-v5", "Pusher-v5", "HumanoidStandup-v5"],
        "gymnasium": ["CartPole-v1", "Acrobot-v1", "MountainCarContinuous-v0", "FrozenLake-v1"],
    }.items()
    for environment in environments
]
each_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)


def random_actions(environment, count, seed=0):
    """`count` actions that the action spec allows."""
    generator = np.random.default_rng(seed)
    action = environment.action
    if action.kind == "continuous":
        shape = (count, action.size)
        return generator.uniform(action.low, action.high, shape).astype(np.float32)
    return generator.integers(action.size, size=count)


def play(environment, seed, actions):
    """Observations, rewards and ends from `seed` on, up to the first end."""
    trace = [environment.reset(seed)]
    outcomes = []
    for action in actions:
        observation, *outcome = environment.step(action)
        trace.append(observation)
        outcomes.append(outcome)
        if outcome[1] or outcome[2]:
            break
    return np.stack(trace), outcomes


def same(one, other):
    return np.array_equal(one[0], other[0]) and one[1] == other[1]


@each_task
def test_observations_and_outcomes_have_the_declared_types(task):
    environment = make_environment(task)
    observation = environment.reset(3)
    assert environment.VERSION >= 1
    for action in random_actions(environment, 30):
        assert observation.shape == environment.observation_shape
        assert observation.dtype == np.dtype(environment.observation_dtype)
        assert observation.flags.c_contiguous
        before = observation.copy()
        following, reward, terminal, truncated = environment.step(action)
        assert np.array_equal(observation, before), "a step changed an observation given out before"
        assert type(reward) is float and type(terminal) is bool and type(truncated) is bool
        assert not (terminal and truncated)
        observation = environment.reset(4) if terminal or truncated else following


@each_task
def test_seed_decides_an_episode_whatever_came_before(task):
    fresh, used = make_environment(task), make_environment(task)
    actions = random_actions(fresh, 120)
    # More than one end, one of them in the middle of an episode, by other actions and seeds.
    for seed in range(3):
        play(used, seed, random_actions(used, 40 * (seed + 1), seed=seed + 1))
    assert same(play(fresh, 7, actions), play(used, 7, actions))


@each_task
def test_seeds_differ(task):
    environment = make_environment(task)
    actions = random_actions(environment, 120)
    traces = [play(environment, seed, actions) for seed in range(4)]
    assert not all(same(traces[0], trace) for trace in traces[1:])


@each_task
def test_episode_restored_in_the_middle_goes_on_exactly(task):
    unbroken = EpisodeEnvironment(make_environment(task), 5, "train")
    unbroken.start(2)
    actions = random_actions(unbroken.environment, 60)
    for action in actions[:6]:
        unbroken.step(action)
    # Through text, as a checkpoint keeps it.
    saved = json.loads(json.dumps({"episode": unbroken.episode, "actions": unbroken.actions()}))
    restored = EpisodeEnvironment(make_environment(task), 5, "train")
    restored.restore(saved["episode"], saved["actions"])
    assert np.array_equal(restored.observation, unbroken.observation)
    assert restored.episode_return == unbroken.episode_return
    for action in actions[6:]:
        one, other = unbroken.step(action), restored.step(action)
        assert np.array_equal(one[0], other[0]) and one[1:] == other[1:]
        if one[2] or one[3]:
            break


def stacked_trace(task, seeds, steps=40, restore_at=None):
    """What each seed sees, gets and ends over `steps` steps of all seeds together."""
    environments = StackedEnvironments(task, seeds, "train")
    actions = {seed: random_actions(environments, steps, seed=seed) for seed in seeds}
    trace = {seed: [] for seed in seeds}
    for t in range(steps):
        if t == restore_at:
            state = environments.state()
            environments = StackedEnvironments(task, seeds, "train")
            environments.load_state(state)
        rows = np.stack([actions[seed][t] for seed in seeds])
        following, reward, terminal, truncated, finished = environments.step(rows)
        for i, seed in enumerate(seeds):
            observation = environments.observation[i].tobytes()
            outcome = (float(reward[i]), bool(terminal[i]), bool(truncated[i]), finished[i])
            trace[seed].append((following[i].tobytes(), observation, outcome))
    return trace


@each_task
def test_grouping_of_seeds_does_not_matter(task):
    together = stacked_trace(task, [1, 2, 3])
    assert together[2] == stacked_trace(task, [2])[2]
    assert together[3] == stacked_trace(task, [3, 1])[3]


@each_task
def test_restored_stack_goes_on_exactly(task):
    assert stacked_trace(task, [1, 2], restore_at=23) == stacked_trace(task, [1, 2])


@each_task
def test_evaluation_does_not_touch_training(task):
    quiet = EpisodeEnvironment(make_environment(task), 1, "train")
    watched = EpisodeEnvironment(make_environment(task), 1, "train")
    actions = random_actions(quiet.environment, 30)
    for i, action in enumerate(actions):
        evaluation = EpisodeEnvironment(make_environment(task), 1, f"evaluation/{i}")
        evaluation.step(actions[0])
        one, other = quiet.step(action), watched.step(action)
        assert np.array_equal(one[0], other[0]) and one[1:] == other[1:]
        if one[2] or one[3]:
            break


TRACE_IN_ANOTHER_PROCESS = """
import hashlib, sys
import numpy as np
from suite.envs.make import make_environment
from suite.specs.models import TaskSpec
for line in sys.stdin:
    environment = make_environment(TaskSpec.model_validate_json(line))
    digest = hashlib.sha256(environment.reset(11).tobytes())
    generator = np.random.default_rng(0)
    for _ in range(60):
        action = environment.action
        if action.kind == "continuous":
            value = generator.uniform(action.low, action.high, action.size).astype(np.float32)
        else:
            value = generator.integers(action.size)
        observation, *outcome = environment.step(value)
        digest.update(observation.tobytes() + repr(outcome).encode())
        if outcome[1] or outcome[2]:
            break
    print(digest.hexdigest())
"""


def test_processes_agree():
    def digests():
        lines = "\n".join(task.model_dump_json() for task in TASKS)
        command = [sys.executable, "-c", TRACE_IN_ANOTHER_PROCESS]
        done = subprocess.run(
            command, input=lines, capture_output=True, text=True, check=True, cwd=ROOT
        )
        assert done.stderr == ""
        return done.stdout.split()

    first = digests()
    # A sequence of games begins with its first one.
    alone = [digest for digest, t in zip(first, TASKS, strict=True) if "games" not in t.arguments]
    assert len(set(alone)) == len(alone) and len(first) == len(TASKS)
    assert digests() == first


def test_episode_seeds_depend_on_seed_purpose_and_episode():
    named = [(1, "train", 0), (2, "train", 0), (1, "train", 1), (1, "evaluation/0", 0)]
    seeds = [episode_seed(*name) for name in named]
    assert len(set(seeds)) == len(seeds)
    assert seeds == [episode_seed(*name) for name in named]
    assert all(0 <= seed < 2**31 for seed in seeds)


def mujoco_task(environment, limit=1000, **arguments):
    return TaskSpec(
        name="t",
        family="mujoco",
        environment=environment,
        arguments=arguments,
        episode_limit=limit,
    )


def minatar_task(environment, limit=None, **arguments):
    return TaskSpec(
        name="t",
        family="minatar",
        environment=environment,
        arguments=arguments,
        episode_limit=limit,
    )


def test_time_limit_truncates_and_is_no_terminal():
    environment = make_environment(mujoco_task("HalfCheetah-v5", limit=5))
    environment.reset(0)
    ends = [environment.step(a)[2:] for a in random_actions(environment, 5)]
    assert ends == [(False, False)] * 4 + [(False, True)]


def test_terminal_at_the_limit_is_terminal():
    environment = make_environment(mujoco_task("Hopper-v5"))
    actions = random_actions(environment, 1000)
    _, outcomes = play(environment, 0, actions)
    assert outcomes[-1][1:] == [True, False]
    limited = make_environment(mujoco_task("Hopper-v5", limit=len(outcomes)))
    assert play(limited, 0, actions)[1] == outcomes
    cut = make_environment(mujoco_task("Hopper-v5", limit=len(outcomes) - 1))
    assert play(cut, 0, actions)[1][-1][1:] == [False, True]


def test_limit_counts_afresh_in_each_episode():
    environment = make_environment(mujoco_task("HalfCheetah-v5", limit=4))
    for seed in range(2):
        environment.reset(seed)
        for action in random_actions(environment, 3):
            assert environment.step(action)[3] is False


def test_idle_seaquest_is_cut_and_a_scoring_one_is_not():
    idle = make_environment(minatar_task("seaquest", idle_cutoff=50, sticky_action_prob=0.0))
    _, outcomes = play(idle, 0, np.zeros(60, dtype=np.int64))
    assert len(outcomes) == 50 and outcomes[-1][1:] == [False, True]
    endless = make_environment(minatar_task("seaquest", sticky_action_prob=0.0))
    assert len(play(endless, 0, np.zeros(60, dtype=np.int64))[1]) == 60
    ends = set()
    for seed in range(10):
        game = make_environment(minatar_task("space_invaders", idle_cutoff=20))
        _, outcomes = play(game, seed, random_actions(game, 25, seed=seed))
        score = sum(reward for reward, _, _ in outcomes[:20])
        cut = outcomes[-1][1:] == [False, True]
        assert cut == (len(outcomes) == 20 and score < 0.1)
        ends.add(cut)
    assert ends == {True, False}


def test_idleness_is_counted_per_episode():
    environment = make_environment(minatar_task("space_invaders", idle_cutoff=15))
    shooting = np.full(25, 5)
    assert sum(reward for reward, _, _ in play(environment, 0, shooting)[1]) > 0
    _, outcomes = play(environment, 0, np.zeros(25, dtype=np.int64))
    assert len(outcomes) == 15 and outcomes[-1] == [0.0, False, True]


def test_minatar_observation_is_row_column_channel():
    observation = make_environment(minatar_task("breakout")).reset(0)
    assert observation.shape == (10, 10, 4)
    paddle, ball, _, brick = np.moveaxis(observation, 2, 0)
    assert paddle[9].sum() == paddle.sum() == 1, "the paddle is one cell of the lowest row"
    assert ball[3].sum() == ball.sum() == 1
    assert brick[1:4].all() and brick.sum() == 30


def test_ended_environment_starts_over_and_both_observations_are_given():
    environments = StackedEnvironments(mujoco_task("Hopper-v5", limit=3), [1, 2], "train")
    single = make_environment(mujoco_task("Hopper-v5"))
    actions = random_actions(single, 6)
    for episode in range(2):
        first = np.stack([single.reset(episode_seed(s, "train", episode)) for s in (1, 2)])
        assert np.array_equal(environments.observation, first)
        total = np.zeros(2)
        for t in range(3):
            stepped = environments.step(np.stack([actions[t], actions[t + 3]]))
            following, reward, terminal, truncated, finished = stepped
            total += reward
            if t < 2:
                assert environments.observation is following and finished == [None, None]
        assert not terminal.any() and truncated.all()
        assert finished == pytest.approx(total)
        assert not np.array_equal(environments.observation, following)


def test_actions_may_be_given_in_a_buffer_that_is_used_again():
    episode = EpisodeEnvironment(make_environment(mujoco_task("Hopper-v5")), 1, "train")
    buffer = np.zeros(3, dtype=np.float32)
    for value in (0.1, 0.2):
        buffer[:] = value
        episode.step(buffer)
    assert episode.actions() == pytest.approx(np.array([[0.1] * 3, [0.2] * 3]))


def test_stickiness_does_not_reach_over_episodes():
    # With certain stickiness only the action before the episode would ever be played.
    for before in (1, 3):
        environment = make_environment(minatar_task("breakout", sticky_action_prob=1.0))
        environment.reset(0)
        environment._game.last_action = before
        trace = play(environment, 0, np.full(5, 3))
        fresh = make_environment(minatar_task("breakout", sticky_action_prob=1.0))
        assert same(trace, play(fresh, 0, np.zeros(5, dtype=np.int64)))


def v4_trace(environment, seed, actions):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        made = gymnasium.make(environment, disable_env_checker=True).unwrapped
    observations, rewards = [made.reset(seed=seed)[0]], []
    for action in actions:
        observation, reward, terminal, _, _ = made.step(action)
        observations.append(observation)
        rewards.append((float(reward), bool(terminal)))
        if terminal:
            break
    return np.stack(observations).astype(np.float32), rewards


@pytest.mark.parametrize(("name", "v4"), list(PROJECT.studies["ladder"].environments.items()))
def test_paper_version_gives_the_same_transitions(name, v4):
    environment = make_environment(PROJECT.tasks[name])
    actions = random_actions(environment, 200)
    observations, outcomes = play(environment, 9, actions)
    v4_observations, v4_rewards = v4_trace(v4, 9, actions)
    assert np.array_equal(observations, v4_observations)
    assert [terminal for _, terminal, _ in outcomes] == [terminal for _, terminal in v4_rewards]
    # v5 gives no alive bonus for the step that ends an episode; only that reward differs.
    running = [reward for reward, terminal, _ in outcomes if not terminal]
    assert running == [reward for reward, terminal in v4_rewards if not terminal]


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (mujoco_task("HalfCheeta-v5"), ["HalfCheeta-v5", "HalfCheetah"]),
        (mujoco_task("Hopper-v5", speed=3), ["Hopper-v5", "speed"]),
        (mujoco_task("CartPole-v1"), ["unknown mujoco environment 'CartPole-v1'", "Hopper-v5"]),
        (minatar_task("pong"), ["pong", "breakout"]),
        (minatar_task("breakout", sticky=0.2), ["sticky", "sticky_action_prob"]),
        (TaskSpec(name="s", family="synthetic", environment="x"), ["synthetic", "minatar"]),
    ],
)
def test_environment_that_cannot_be_built_says_why(task, words):
    with pytest.raises(ValueError) as caught:
        make_environment(task)
    for word in words:
        assert word in str(caught.value)


def test_minatar_needs_no_display_libraries_and_logs_nothing():
    code = (
        "import sys, logging\n"
        "from suite.envs.minatar import MinAtar\n"
        "MinAtar('breakout', {}, None)\n"
        "assert not {'matplotlib', 'seaborn', 'pandas'} & set(sys.modules)\n"
        "assert logging.getLogger().handlers == []\n"
        "import matplotlib\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_building_leaves_no_log_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_environment(mujoco_task("HalfCheetah-v5"))
    assert list(tmp_path.iterdir()) == []
