from pathlib import Path

import numpy as np
import pytest

from suite.stats.scores import auc, auc_per_seed, best_per_seed, final_per_seed, score

PUBLISHED = Path(__file__).resolve().parents[1] / "data" / "td3_2018_curves.npz"

# PPTB reproduction notes, from the published TD3 learning curves: score, its deviation and step,
# mean of per-seed maxima, AUC with its deviation, mean at 500k, untrained evaluation.
TABLE = {
    "HalfCheetah": (9636.95, 859.1, 975e3, 9771.6, 7804.3, 630.7, 8444.5, -1.5),
    "Hopper": (3564.07, 114.7, 970e3, 3624.8, 2579.3, 207.3, 2933.3, 44.8),
    "Walker2d": (4682.82, 539.6, 980e3, 4879.9, 3358.2, 358.6, 4195.8, 42.3),
    "Ant": (4372.44, 1000.3, 980e3, 4563.2, 2583.1, 592.6, 2890.3, 986.9),
}

CURVES = np.array([[0.0, 4.0, 2.0, 1.0], [2.0, 2.0, 6.0, 3.0]])
STEPS = np.array([0, 10, 20, 30])


@pytest.mark.parametrize("environment", TABLE)
def test_the_published_td3_curves_give_the_published_table(environment: str) -> None:
    with np.load(PUBLISHED, allow_pickle=False) as data:
        curves = data[environment]
    steps = np.arange(curves.shape[1]) * 5000
    best = score(curves, steps)
    areas = auc_per_seed(curves)
    value, deviation, step, per_seed, area, area_deviation, halfway, untrained = TABLE[environment]
    assert best.value == pytest.approx(value, abs=0.005)
    assert best.deviation == pytest.approx(deviation, abs=0.05)
    assert best.step == step
    assert best_per_seed(curves).mean() == pytest.approx(per_seed, abs=0.05)
    assert auc(curves) == pytest.approx(area, abs=0.05)
    assert areas.std() == pytest.approx(area_deviation, abs=0.05)
    assert curves.mean(0)[100] == pytest.approx(halfway, abs=0.05)
    assert curves.mean(0)[0] == pytest.approx(untrained, abs=0.05)


def test_the_score_is_the_maximum_of_the_mean_and_not_the_mean_of_maxima() -> None:
    best = score(CURVES, STEPS)
    assert (best.value, best.step, best.deviation) == (4.0, 20.0, 2.0)
    assert best.per_seed.tolist() == [2.0, 6.0]
    assert best_per_seed(CURVES).mean() == 5.0


def test_the_earliest_evaluation_wins_a_tie() -> None:
    assert score([[1.0, 3.0, 3.0]], [0, 5, 10]).step == 5.0


def test_auc_counts_the_first_evaluation_unless_told_otherwise() -> None:
    assert auc(CURVES) == CURVES.mean()
    assert auc(CURVES, with_first=False) == CURVES[:, 1:].mean()
    assert final_per_seed(CURVES).tolist() == [1.0, 3.0]


@pytest.mark.parametrize(
    ("curves", "message"),
    [
        ([1.0, 2.0], r"\[seeds, evaluations\]"),
        (np.zeros((0, 3)), r"\[seeds, evaluations\]"),
        ([[1.0, np.nan]], "not finite"),
    ],
)
def test_curves_that_are_not_curves_are_refused(curves: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        score(curves, [0, 1])  # type: ignore[arg-type]


def test_steps_must_fit_the_curves() -> None:
    with pytest.raises(ValueError, match="4 evaluations"):
        score(CURVES, [0, 1])
