"""What must hold for every environment, as assertions on a few episodes of random actions.

A checkpoint of a run holds the running episode's actions, which are played again at resume, often
in another process and beside other environments: an episode's seed and actions have to decide all
that is seen of it. Each law raises AssertionError where it is broken, with the first difference.
What shows in longer episodes, or at another time of the day, is not found.
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from suite.envs.make import make_environment
from suite.envs.protocol import Environment
from suite.specs.models import TaskSpec

STEPS = 300  # of an episode, at most
SEED = 7  # of the episode that is played again

Outcome = tuple[np.ndarray, float, bool, bool]


def assert_protocol_is_kept(task: TaskSpec) -> None:
    """Observations, rewards and ends are what `suite.envs.protocol` says."""
    environment = make_environment(task)
    for seed in range(3):
        given = environment.reset(seed)
        _assert_observation(environment, given, "reset")
        for t, action in enumerate(_actions(environment, seed), 1):
            kept, taken = given.copy(), action.copy()
            following, reward, terminal, truncated = environment.step(action)
            _assert_observation(environment, following, f"step {t}")
            assert type(reward) is float, f"step {t}: reward is {reward!r}, not a float"
            assert np.isfinite(reward), f"step {t}: reward is {reward!r}"
            for name, value in (("terminal", terminal), ("truncated", truncated)):
                assert type(value) is bool, f"step {t}: {name} is {value!r}, not a bool"
            assert not (terminal and truncated), f"step {t}: both terminal and truncated"
            changed = given.tobytes() != kept.tobytes()
            assert not changed, f"step {t} changed the observation given out before: copy it"
            assert np.array_equal(action, taken), f"step {t} changed the action: copy it"
            given = following
            if terminal or truncated:
                break


def assert_fresh_instances_agree(task: TaskSpec) -> None:
    """Two new instances play the same episode."""
    one, other = make_environment(task), make_environment(task)
    actions = _actions(one, SEED)
    _assert_same(_played(one, actions), _played(other, actions), "two fresh instances")


def assert_earlier_episodes_do_not_matter(task: TaskSpec) -> None:
    """An instance that has played, and left an episode in its middle, plays as a fresh one."""
    fresh, used = make_environment(task), make_environment(task)
    actions = _actions(fresh, SEED)
    expected = _played(fresh, actions)
    for seed, count in ((1, STEPS), (2, STEPS // 3), (SEED, 5)):
        _played(used, _actions(used, seed)[:count], seed)
    _assert_same(expected, _played(used, actions), "a fresh instance and one that has played")


def assert_neighbours_do_not_matter(task: TaskSpec) -> None:
    """Instances stepped in turns play as each alone."""
    alone, one, other = (make_environment(task) for _ in range(3))
    actions, others = _actions(one, SEED), _actions(one, 1)
    expected = _played(alone, actions)
    found: list[Outcome] = [(one.reset(SEED), 0.0, False, False)]
    other.reset(1)
    running = True
    for mine, theirs in zip(actions[: len(expected) - 1], others, strict=False):
        found.append(one.step(mine))
        if running:
            running = not any(other.step(theirs)[2:])
    _assert_same(expected, found, "an instance alone and one beside another")


def assert_processes_agree(task: TaskSpec) -> None:
    """A new process, with another hash seed, plays the same episode."""
    environment = make_environment(task)
    expected = _digests(_played(environment, _actions(environment, SEED)))
    code = f"from {__name__} import print_digests; import sys; print_digests(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", code, task.model_dump_json()],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "11"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"it can't be played in a new process:\n{done.stderr}"
    found = json.loads(done.stdout.splitlines()[-1])
    for t, (mine, theirs) in enumerate(zip(expected, found, strict=False)):
        assert mine == theirs, f"another process differs at step {t} of the episode of seed {SEED}"
    assert len(expected) == len(found), "another process ends the episode at another step"


def print_digests(task: str) -> None:
    """Print what `assert_processes_agree` compares, for a task as JSON."""
    environment = make_environment(TaskSpec.model_validate_json(task))
    print(json.dumps(_digests(_played(environment, _actions(environment, SEED)))))


def _digests(outcomes: Sequence[Outcome]) -> list[str]:
    return [
        hashlib.sha256(seen.tobytes() + repr(rest).encode()).hexdigest()[:16]
        for seen, *rest in outcomes
    ]


def _actions(environment: Environment, seed: int) -> list[Any]:
    """Random actions of an episode, as loops give them."""
    generator = np.random.default_rng(seed)
    action = environment.action
    if action.kind == "discrete":
        return list(generator.integers(action.size, size=STEPS))
    drawn = generator.uniform(action.low, action.high, (STEPS, action.size))
    return list(drawn.astype(np.float32))


def _played(environment: Environment, actions: Sequence[Any], seed: int = SEED) -> list[Outcome]:
    """The outcomes of an episode up to its end; the first is that of the reset."""
    outcomes: list[Outcome] = [(environment.reset(seed).copy(), 0.0, False, False)]
    for action in actions:
        seen, reward, terminal, truncated = environment.step(action.copy())
        outcomes.append((seen.copy(), reward, terminal, truncated))
        if terminal or truncated:
            break
    return outcomes


def _assert_same(one: Sequence[Outcome], other: Sequence[Outcome], who: str) -> None:
    """Equal bytes in every step; the error names the first difference."""
    for t, (mine, theirs) in enumerate(zip(one, other, strict=False)):
        where = f"{who} differ at step {t} of the episode of seed {SEED}"
        if mine[0].tobytes() != theirs[0].tobytes():
            different = np.flatnonzero(mine[0] != theirs[0])
            place = int(different[0]) if different.size else 0
            values = mine[0].flat[place], theirs[0].flat[place]
            raise AssertionError(f"{where}: observation[{place}] is {values[0]} and {values[1]}")
        for k, name in enumerate(("reward", "terminal", "truncated"), 1):
            assert mine[k] == theirs[k], f"{where}: {name} is {mine[k]} and {theirs[k]}"
    assert len(one) == len(other), f"{who} end the episode of seed {SEED} at different steps"


def _assert_observation(environment: Environment, given: np.ndarray, when: str) -> None:
    found = (type(given), getattr(given, "shape", None), str(getattr(given, "dtype", None)))
    declared = (np.ndarray, tuple(environment.observation_shape), environment.observation_dtype)
    assert found == declared, f"{when}: the observation is {found}, declared is {declared}"
