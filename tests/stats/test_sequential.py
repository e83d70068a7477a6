from itertools import accumulate, pairwise

import numpy as np
import pytest
from scipy import stats

from suite.stats import sequential
from suite.stats.intervals import CONFIDENCE


def test_what_all_looks_spend_adds_up_to_five_percent() -> None:
    spent = [1 - sequential.confidence(look) for look in range(40)]
    assert all(after == pytest.approx(before / 3) for before, after in pairwise(spent))
    assert max(accumulate(spent)) <= 1 - CONFIDENCE + 1e-12
    assert sum(spent) == pytest.approx(1 - CONFIDENCE)


def test_seeds_double_from_look_to_look() -> None:
    assert [sequential.seeds(3, look) for look in range(4)] == [3, 6, 12, 24]


def test_looking_at_every_look_keeps_the_error_rate() -> None:
    # Student's t alone: the intervals of means contain it.
    samples = np.random.default_rng(0).normal(size=(20_000, 48))

    def missed(confidences: list[float]) -> float:
        ever = np.zeros(len(samples), dtype=bool)
        for look, confidence in enumerate(confidences):
            seeds = sequential.seeds(6, look)
            seen = samples[:, :seeds]
            t = seen.mean(1) / (seen.std(1, ddof=1) / seeds**0.5)
            ever |= np.abs(t) > stats.t.ppf((1 + confidence) / 2, seeds - 1)
        return float(ever.mean())

    # Three standard errors of a rate of 5 % are 0.5 %.
    assert missed([sequential.confidence(look) for look in range(4)]) < 0.055
    assert missed([0.95] * 4) > 0.11
