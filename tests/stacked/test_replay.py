import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.stacked.replay import Batch, Replay

FIELDS = ("observation", "action", "reward", "next_observation", "terminal")


def bits(seeds, capacity=8, shape=(3, 5)) -> Replay:
    return Replay(seeds, capacity, shape, "bool", (), "int64")


def fill(replay: Replay, seeds, count: int, shape=(3, 5), start: int = 0) -> list[list[tuple]]:
    """Append transitions that depend on seed and time; the transitions of each seed."""
    history: list[list[tuple]] = [[] for _ in seeds]
    for time in range(start, start + count):
        rows = []
        for row, seed in enumerate(seeds):
            generator = np.random.default_rng([seed, time])
            observations = generator.random((2, *shape)) < 0.4
            rows.append((observations[0], time % 6, float(time), observations[1], time % 3 == 0))
            history[row].append(rows[-1])
        replay.append(*(np.array(column) for column in zip(*rows, strict=True)))
    return history


def same(one: Batch, other: Batch) -> bool:
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in FIELDS)


@given(capacity=st.integers(1, 9), count=st.integers(1, 25), size=st.integers(1, 17))
@settings(max_examples=40, deadline=None)
def test_samples_are_whole_transitions_among_the_latest(capacity, count, size):
    seeds = [1, 2]
    replay = bits(seeds, capacity, (size,))
    history = fill(replay, seeds, count, (size,))
    assert len(replay) == min(count, capacity)
    batch = replay.sample(12)
    assert batch.observation.dtype == batch.reward.dtype == batch.terminal.dtype == torch.float32
    for row in range(2):
        for item in range(12):
            time = int(batch.reward[row, item])
            assert count - capacity <= time < count
            observation, action, _, following, terminal = history[row][time]
            np.testing.assert_array_equal(batch.observation[row, item], observation)
            np.testing.assert_array_equal(batch.next_observation[row, item], following)
            assert batch.action[row, item] == action
            assert batch.terminal[row, item] == terminal


def test_every_stored_transition_is_drawn_equally_often():
    replay = bits([1, 2], capacity=10)
    fill(replay, [1, 2], 23)
    times = replay.sample(20000).reward
    for row in times:
        counts = torch.bincount(row.long(), minlength=23)[13:]
        np.testing.assert_allclose(counts / 20000, 0.1, atol=0.012)
    assert not torch.equal(times[0], times[1])


def test_bits_are_packed():
    replay = Replay([1], 1000, (10, 10, 4), "bool", (), "int64")
    stored = sum(np.asarray(field).nbytes for field in replay._fields.values())
    assert stored == 1000 * (2 * 50 + 8 + 4 + 1)


def test_floats_come_back_as_they_were():
    replay = Replay([1], 4, (3,), "float32", (2,), "float32")
    observation = np.array([[0.1, -2.0, 3e-5]], np.float32)
    action = np.array([[0.5, -0.25]], np.float32)
    replay.append(observation, action, np.array([1.5]), -observation, np.array([True]))
    batch = replay.sample(3)
    assert batch.observation.shape == (1, 3, 3) and batch.action.shape == (1, 3, 2)
    np.testing.assert_array_equal(batch.observation[0, 2], observation[0])
    np.testing.assert_array_equal(batch.next_observation[0, 0], -observation[0])
    np.testing.assert_array_equal(batch.action[0, 1], action[0])
    assert batch.reward.tolist() == [[1.5] * 3] and batch.terminal.tolist() == [[1.0] * 3]


@pytest.mark.parametrize("group", [[3], [5, 3], [1, 2, 3, 4, 5, 6]])
def test_a_seed_samples_the_same_in_any_company(group):
    alone, together = bits([3]), bits(group)
    fill(alone, [3], 11)
    fill(together, group, 11)
    row = group.index(3)
    one, other = alone.sample(7), together.sample(7)
    for name in FIELDS:
        assert torch.equal(getattr(one, name)[0], getattr(other, name)[row])


@pytest.mark.parametrize("count", [3, 8, 13])
def test_a_restored_replay_continues_in_any_grouping(count):
    replay = bits([1, 2])
    fill(replay, [1, 2], count)
    replay.sample(4)
    state = {name: torch.as_tensor(value).clone() for name, value in replay.state().items()}
    assert {len(value) for value in state.values()} == {2}
    assert state["reward"].shape[1] == min(count, 8)
    restored = bits([2, 1])
    restored.load_state({name: value.flip(0) for name, value in state.items()})
    fill(replay, [1, 2], 3, start=count)
    fill(restored, [2, 1], 3, start=count)
    one, other = replay.sample(16), restored.sample(16)
    for name in FIELDS:
        assert torch.equal(getattr(one, name), getattr(other, name).flip(0))


def test_an_empty_replay_cannot_be_sampled():
    with pytest.raises(ValueError, match="replay is empty"):
        bits([1]).sample(1)
