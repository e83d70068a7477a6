import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite.stacked.normaliser import Normaliser, RunningMoments
from suite.stacked.streams import SeedStreams


@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=8), st.integers(-100, 100), st.integers(0, 9)
)
def test_moments_are_those_of_all_values_for_each_seed(sizes, offset, number):
    seeds = [number, number + 1]
    streams = SeedStreams(seeds, "test/moments")
    batches = [streams.normal(size, 3) * 5 + np.float32(offset) for size in sizes]
    moments = RunningMoments(2, (3,))
    for batch in batches:
        moments.update(batch)
    values = np.concatenate(batches, axis=1).astype(np.float64)
    # 1e-4 observations of mean 0 and variance 1 are there from the start.
    weight = 1e-4 / (1e-4 + values.shape[1])
    mean = (1 - weight) * values.mean(axis=1)
    second = (1 - weight) * (values**2).mean(axis=1) + weight
    np.testing.assert_allclose(moments.mean, mean, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(moments.variance, second - mean**2, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("n_envs", [1, 3, 8])
@pytest.mark.parametrize("features", [1, 5])
def test_a_seeds_statistics_are_the_same_bits_in_any_group(n_envs, features):
    def run(seeds):
        normaliser = Normaliser(len(seeds), n_envs, (features,), 0.9, True, True)
        streams, found = SeedStreams(seeds, "test/normaliser"), []
        for _ in range(20):
            found.append(normaliser.observe(streams.normal(n_envs, features)))
            ended = streams.uniform(n_envs) < 0.2
            found.append(normaliser.reward(streams.normal(n_envs), ended))
        return found

    together = run([1, 2, 3])
    for row, seed in enumerate([1, 2, 3]):
        for all_seeds, one in zip(together, run([seed]), strict=True):
            np.testing.assert_array_equal(all_seeds[row], one[0])


def test_rewards_are_divided_by_the_std_of_the_discounted_return():
    normaliser = Normaliser(1, 1, (2,), 0.5, False, True)
    rewards, ended = [1.0, 3.0, -2.0, 4.0], [False, False, True, False]
    returns, running, mean, variance, seen = [], 0.0, 0.0, 1.0, 1e-4
    for reward, end in zip(rewards, ended, strict=True):
        running = 0.5 * running + reward
        returns.append(running)
        total = seen + 1
        difference = running - mean
        mean += difference / total
        variance = (variance * seen + difference**2 * seen / total) / total
        seen = total
        scaled = normaliser.reward(np.array([[reward]], np.float32), np.array([[end]]))
        expected = np.clip(reward / np.sqrt(variance + 1e-8), -10, 10)
        assert scaled[0, 0] == pytest.approx(expected, rel=1e-5)
        running = 0.0 if end else running


def test_what_is_far_off_is_clipped_and_what_is_off_passes():
    normaliser = Normaliser(1, 1, (1,), 0.9, True, False)
    for value in (1.0, -1.0) * 50:
        normaliser.observe(np.full((1, 1, 1), value))
    assert normaliser.normalised(np.full((1, 1, 1), 1e6)).item() == 10.0
    reward = np.full((1, 1), 1e6, np.float32)
    assert normaliser.reward(reward, np.array([[False]])) is reward


def test_a_restored_normaliser_continues_bit_for_bit():
    one, other = (Normaliser(2, 2, (3,), 0.9, True, True) for _ in range(2))
    streams = SeedStreams([1, 2], "test/restore")
    one.observe(streams.normal(2, 3))
    one.reward(streams.normal(2), np.array([[True, False]] * 2))
    other.load_state(one.state())
    seen, reward, ended = streams.normal(2, 3), streams.normal(2), np.zeros((2, 2), bool)
    np.testing.assert_array_equal(one.observe(seen), other.observe(seen))
    np.testing.assert_array_equal(one.reward(reward, ended), other.reward(reward, ended))
