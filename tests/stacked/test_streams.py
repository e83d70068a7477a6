import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite.stacked.streams import SeedStreams, add_prefix, stream, take_prefix


def draws(streams: SeedStreams) -> list[np.ndarray]:
    count = len(streams.generators)
    return [streams.normal(3), streams.uniform(2, low=-1, high=2), streams.integers([7] * count, 5)]


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=4), st.text(max_size=10))
def test_a_seed_draws_the_same_in_any_company(seeds, purpose):
    together = draws(SeedStreams(seeds, purpose))
    for row, seed in enumerate(seeds):
        for both, alone in zip(together, draws(SeedStreams([seed], purpose)), strict=True):
            np.testing.assert_array_equal(both[row], alone[0])


def test_seeds_and_purposes_have_streams_of_their_own():
    keys = [(seed, purpose) for seed in (0, 1, 11) for purpose in ("replay", "1/replay", "noise")]
    first = {stream(seed, purpose).integers(2**63) for seed, purpose in keys}
    assert len(first) == len(keys)


def test_a_stream_is_pinned():
    assert stream(0, "replay").integers(1000, size=3).tolist() == [301, 834, 321]


def test_the_laws_of_the_draws():
    streams = SeedStreams([1, 2], "laws")
    normal, uniform = streams.normal(20000), streams.uniform(20000, low=-3.0, high=1.0)
    assert normal.dtype == uniform.dtype == np.float32
    np.testing.assert_allclose(normal.mean(1), 0, atol=0.03)
    np.testing.assert_allclose(normal.std(1), 1, atol=0.03)
    assert uniform.min() >= -3 and uniform.max() <= 1
    np.testing.assert_allclose(uniform.mean(1), -1, atol=0.05)
    counts = np.bincount(streams.integers([4, 4], 20000)[0], minlength=4)
    np.testing.assert_allclose(counts / 20000, 0.25, atol=0.02)


def test_integers_have_a_bound_for_each_seed():
    drawn = SeedStreams([1, 2], "bounds").integers([1, 50], 400)
    assert drawn[0].max() == 0
    assert drawn[1].max() == 49


def test_a_restored_stream_continues_where_it_was():
    streams = SeedStreams([3, 4], "resume")
    draws(streams)
    streams.generators[0].integers(5, dtype=np.uint32)
    state = {name: np.array(value) for name, value in streams.state().items()}
    expected = draws(streams)
    restored = SeedStreams([3, 4], "resume")
    restored.load_state(state)
    for one, other in zip(expected, draws(restored), strict=True):
        np.testing.assert_array_equal(one, other)


def test_state_rows_are_regrouped():
    streams = SeedStreams([3, 4], "regroup")
    draws(streams)
    alone = SeedStreams([4], "regroup")
    alone.load_state({"philox": np.asarray(streams.state()["philox"])[1:]})
    np.testing.assert_array_equal(streams.normal(4)[1], alone.normal(4)[0])


def test_prefixes_come_off_as_they_went_on():
    state = {"a": [1], "b/c": [2]}
    both = add_prefix("x", state) | add_prefix("xy", {"a": [3]})
    assert take_prefix("x", both) == state


def test_a_bound_of_zero_is_refused():
    with pytest.raises(ValueError):
        SeedStreams([1], "empty").integers([0], 1)
