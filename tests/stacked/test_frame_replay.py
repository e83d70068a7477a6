import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.stacked.frame_replay import FrameReplay
from suite.stacked.replay import Replay

FIELDS = ("observation", "action", "reward", "next_observation", "terminal")


class Episodes:
    """Frames of S seeds whose episodes end at times of their own."""

    def __init__(self, seeds, frames, draw):
        self.draws = [np.random.default_rng([draw, seed]) for seed in seeds]
        self.stacks = [[self.frame(i)] * frames for i in range(len(seeds))]
        self.frames = frames

    def frame(self, i):
        return self.draws[i].integers(256, size=(2, 3, 3)).astype(np.uint8)

    def step(self):
        """A transition of every seed, as `FrameReplay.append` takes it."""
        rows = []
        for i, draw in enumerate(self.draws):
            before = np.concatenate(self.stacks[i], axis=-1)
            self.stacks[i] = [*self.stacks[i][1:], self.frame(i)]
            after = np.concatenate(self.stacks[i], axis=-1)
            ended = draw.random() < 0.3
            terminal = ended and draw.random() < 0.5
            action = draw.random(2).astype(np.float32)
            rows.append((before, action, np.float32(draw.random()), after, terminal, ended))
            if ended:
                self.stacks[i] = [self.frame(i)] * self.frames
        return [np.array(column) for column in zip(*rows, strict=True)]


def pair(seeds, capacity, frames):
    shape = (2, 3, 3 * frames)
    ours = FrameReplay(seeds, capacity, shape, (2,), "float32")
    return ours, Replay(seeds, capacity, shape, "float32", (2,), "float32")


def assert_equal(one, other):
    for name in FIELDS:
        assert torch.equal(getattr(one, name).float(), getattr(other, name)), name


@given(
    capacity=st.integers(1, 12),
    count=st.integers(1, 40),
    frames=st.integers(1, 4),
    draw=st.integers(0, 999),
)
@settings(max_examples=60, deadline=None)
def test_batches_are_those_of_a_replay_of_whole_stacks(capacity, count, frames, draw):
    seeds = [3, 5]
    ours, whole = pair(seeds, capacity, frames)
    episodes = Episodes(seeds, frames, draw)
    for _ in range(count):
        *transition, ended = episodes.step()
        ours.append(*transition, ended)
        whole.append(*transition)
    assert len(ours) == len(whole)
    batch = ours.sample(30)
    assert batch.observation.dtype == torch.uint8
    assert_equal(batch, whole.sample(30))


@pytest.mark.parametrize("count", [3, 8, 13, 30])
def test_a_restored_replay_continues_in_any_grouping(count):
    ours, whole = pair([1, 2], 8, 3)
    episodes = Episodes([1, 2], 3, 0)
    for _ in range(count):
        *transition, ended = episodes.step()
        ours.append(*transition, ended)
        whole.append(*transition)
    state = {name: torch.as_tensor(value).clone() for name, value in ours.state().items()}
    assert {len(value) for value in state.values()} == {2}
    swapped, _ = pair([2, 1], 8, 3)
    swapped.load_state({name: value.flip(0) for name, value in state.items()})
    for _ in range(4):
        *transition, ended = episodes.step()
        whole.append(*transition)
        swapped.append(*(column[::-1].copy() for column in (*transition, ended)))
    expected, actual = whole.sample(20), swapped.sample(20)
    for name in FIELDS:
        assert torch.equal(getattr(actual, name).float().flip(0), getattr(expected, name))


def test_other_observations_and_empty_replays_are_refused():
    with pytest.raises(ValueError, match="use Replay for other observations"):
        FrameReplay([1], 4, (2, 3, 4), (1,), "float32")
    with pytest.raises(ValueError, match="replay is empty"):
        pair([1], 4, 3)[0].sample(1)
