from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from suite.stats.intervals import CONFIDENCE, Precision, contrast
from suite.stats.sequential import Looks


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8, unique=True))
def test_what_the_looks_spend_adds_up_to_five_percent(seeds: list[int]) -> None:
    looks = Looks(tuple(sorted(seeds)))
    spent = [1 - looks.confidence(look) for look in range(len(seeds))]
    assert min(spent) > 0
    assert sum(spent) == pytest.approx(0.05)


def test_one_look_is_the_interval_without_looks() -> None:
    assert Looks((6,)).confidence(0) == CONFIDENCE


def test_a_first_look_spends_the_cube_of_its_share() -> None:
    assert 1 - Looks((5, 10)).confidence(0) == pytest.approx(0.05 / 8)
    assert 1 - Looks((5, 10)).confidence(1) == pytest.approx(0.05 * 7 / 8)


@pytest.mark.parametrize("seeds", [(), (0, 3), (-1,), (3, 3), (6, 3)])
def test_looks_must_come_later_each_time(seeds: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="strictly increasing"):
        Looks(seeds)


@pytest.mark.parametrize("look", [-1, 2])
def test_a_look_that_is_not_there_is_refused(look: int) -> None:
    with pytest.raises(IndexError, match=f"look {look} of 2"):
        Looks((3, 6)).confidence(look)


def test_looking_after_every_batch_keeps_the_error_rate() -> None:
    # Student's t alone: the intervals of claims contain it.
    looks = Looks((3, 4, 5, 6, 8, 10))
    samples = np.random.default_rng(0).normal(size=(20_000, 10))

    def missed(confidence: Callable[[int], float]) -> float:
        ever = np.zeros(len(samples), dtype=bool)
        for look, seeds in enumerate(looks.seeds):
            seen = samples[:, :seeds]
            t = seen.mean(1) / (seen.std(1, ddof=1) / seeds**0.5)
            ever |= np.abs(t) > stats.t.ppf((1 + confidence(look)) / 2, seeds - 1)
        return float(ever.mean())

    # Three standard errors of a rate of 5 % are 0.5 %.
    assert missed(looks.confidence) < 0.055
    assert missed(lambda look: 0.95) > 0.12


def test_the_intervals_of_looks_contain_those_of_student() -> None:
    sample = np.random.default_rng(0).lognormal(size=6)
    looks = Looks((6, 10))
    seen = contrast([sample], [1.0], precision=Precision(looks.confidence(0)))
    student = stats.ttest_1samp(sample, 0.0).confidence_interval(looks.confidence(0))
    assert seen.low <= student.low + 1e-12
    assert seen.high >= student.high - 1e-12
