from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter
from scipy import stats

from suite.analysis.policy_spectrum import (
    detour_ratio,
    major_dimensionality,
    path_spectrum,
    sign_changes,
)
from suite.specs.claims import Null, RandomWalk
from suite.stats import nulls
from suite.stats.nulls import (
    averaged_snapshots,
    best_of_n,
    of_walk,
    random_subspace,
    stationary_path,
    walk_parameter_detour,
    walk_path,
)
from suite.stats.verdicts import judge

PUBLISHED = Path(__file__).resolve().parents[1] / "data" / "td3_2018_curves.npz"
A, B, C = (f"toy--agent--{name}" for name in ("none", "norm", "average"))
BETAS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.99)


def walk(quantity: str, **settings: Any) -> float:
    null = TypeAdapter(Null).validate_python(
        {"name": "random_walk", "quantity": quantity, **settings}
    )
    assert isinstance(null, RandomWalk)
    return of_walk(null)


# Selection.


@pytest.fixture(scope="module")
def published() -> list[np.ndarray]:
    with np.load(PUBLISHED, allow_pickle=False) as data:
        return [data[name] for name in ("HalfCheetah", "Hopper", "Walker2d", "Ant")]


@pytest.mark.parametrize(
    ("figure", "mean", "low", "high"),
    [("score", 0.076, 0.017, 0.147), ("auc", 0.087, 0.023, 0.161)],
)
def test_selection_among_the_published_td3_curves_gives_the_published_null(
    published: list[np.ndarray], figure: str, mean: float, low: float, high: float
) -> None:
    def drawn(widened: bool) -> np.ndarray:
        def narrowed(curves: np.ndarray) -> np.ndarray:
            centre = curves.mean(axis=0)
            return centre + (curves - centre) * np.sqrt(0.9)

        return best_of_n(
            published if widened else [narrowed(curves) for curves in published],
            lambda curves: curves.max(axis=-1) if figure == "score" else curves.mean(axis=-1),
            lambda best, fresh: (best / fresh).mean(axis=0) - 1,
            n=12,
            seeds=6,
            largest=True,
            known_spread=True,
            draws=3000,
            rng=np.random.default_rng(0),
        )

    # The notes draw ten seeds with replacement and do not widen: undone, the numbers agree.
    plain = drawn(widened=False)
    assert plain.mean() == pytest.approx(mean, abs=0.002)
    assert np.quantile(plain, [0.025, 0.975]) == pytest.approx([low, high], abs=0.008)
    assert low < plain.mean() < drawn(widened=True).mean() < high


def test_the_best_of_n_is_the_expected_largest_of_n_means() -> None:
    values = stats.norm.ppf((np.arange(200) + 0.5) / 200)[:, np.newaxis]
    values = 100 + 5 * (values - values.mean()) / values.std(ddof=1)
    drawn = best_of_n(
        [values],
        lambda means: means[..., 0],
        lambda best, fresh: (best - fresh).mean(axis=0),
        n=12,
        seeds=4,
        largest=True,
        known_spread=True,
        draws=4000,
        rng=np.random.default_rng(0),
    )
    # The largest of 12 standard normal values is 1.629 on average.
    assert drawn.mean() == pytest.approx(1.629 * 5 / 2, rel=0.03)


def test_few_seeds_leave_the_spread_of_a_selection_uncertain() -> None:
    values = stats.norm.ppf((np.arange(8) + 0.5) / 8)[:, np.newaxis]
    known, unknown = (
        best_of_n(
            [values],
            lambda means: means[..., 0],
            lambda best, fresh: (best - fresh).mean(axis=0),
            n=3,
            seeds=8,
            largest=True,
            known_spread=is_known,
            draws=4000,
            rng=np.random.default_rng(0),
        )
        for is_known in (True, False)
    )
    # The mean of 7 over a chi-squared value with 7 degrees of freedom is 7 / 5.
    assert (unknown**2).mean() / (known**2).mean() == pytest.approx(7 / 5, rel=0.08)


def claim(**parts: Any) -> dict[str, Any]:
    return {
        "kind": "difference",
        "treatment": [B],
        "control": [A],
        "paired": False,
        "direction": "greater",
    } | parts


@pytest.mark.parametrize("direction", ["greater", "less"])
def test_selection_is_drawn_from_the_control_of_a_claim(make_cell, make_claim, direction) -> None:  # type: ignore[no-untyped-def]
    noise = np.random.default_rng(0).normal(size=10)
    noise -= noise.mean()
    sign = 1 if direction == "greater" else -1
    null = {"name": "best_of_n", "n": 12, "must_be_beaten": True}
    for gain, state in ((0.6, "inconclusive"), (4.0, "supported")):
        treated = noise[::-1] * 0.1 + sign * gain
        runs = make_cell(A, noise.tolist()) + make_cell(B, treated.tolist())
        verdict = judge(make_claim(**claim(direction=direction, null=null)), runs)
        assert verdict.state == state
        assert verdict.null is not None and verdict.null.value is not None
        assert verdict.null.low < verdict.null.value < verdict.null.high  # type: ignore[operator]
        expected = sign * 1.629 * noise.std(ddof=1) / np.sqrt(10)
        assert verdict.null.value == pytest.approx(expected, rel=0.1)
    assert judge(make_claim(**claim(direction=direction)), runs).state == "supported"


def test_the_score_of_a_selection_is_the_best_evaluation_of_each_drawn_group(
    make_run, make_claim
) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(0)
    task = {"name": "toy", "environment": "Toy", "random_return": 10.0}
    spec = {"task": task, "budget": 1}
    curves = 100 + rng.normal(size=(6, 30)) * 10
    runs = [
        make_run(cell, i, spec=spec, series={"return": curve})
        for cell in (A, B)
        for i, curve in enumerate(curves)
    ]
    null = {"name": "best_of_n", "n": 5}
    verdicts = {
        figure: judge(
            make_claim(**claim(kind="ratio", figure=figure, baseline="random", null=null)), runs
        )
        for figure in ("score", "auc")
    }
    assert verdicts["score"].null is not None and verdicts["auc"].null is not None
    # The best of 30 noisy evaluations varies less than one of them, and more than their mean.
    assert 1 < verdicts["auc"].null.value < 1.02 < verdicts["score"].null.value < 1.1  # type: ignore[operator]


def test_a_null_that_can_not_be_computed_is_not_beaten_and_says_why(make_cell, make_claim) -> None:  # type: ignore[no-untyped-def]
    null = {"name": "snapshot_average", "cells": [C], "must_be_beaten": True}
    runs = make_cell(A, [0.0, 0.1, 0.2, 0.1]) + make_cell(B, [1.0, 1.1, 1.2, 1.1])
    verdict = judge(make_claim(**claim(null=null)), runs)
    assert verdict.state == "inconclusive"
    assert verdict.null is not None and verdict.null.value is None
    assert verdict.null.source == f"not computed: {C} has no usable run"
    assert "averaging the last snapshots: not computed" in verdict.reason


def test_averaging_cells_stand_in_for_the_treatment(make_cell, make_claim) -> None:  # type: ignore[no-untyped-def]
    null = {"name": "snapshot_average", "cells": [C], "must_be_beaten": True}
    runs = make_cell(A, [0.0, 0.1, 0.2, 0.1]) + make_cell(B, [1.0, 1.1, 1.2, 1.1])
    weak = judge(make_claim(**claim(null=null)), runs + make_cell(C, [0.3, 0.4, 0.5, 0.4]))
    assert weak.null is not None
    assert (weak.null.value, weak.state) == (pytest.approx(0.3), "supported")
    strong = judge(make_claim(**claim(null=null)), runs + make_cell(C, [0.6, 1.2, 1.1, 0.7]))
    assert strong.state == "inconclusive"


# Paths and subspaces: facts of the random walk (PPTB notes 2.1).


def test_singular_values_of_a_walk_fall_as_odd_numbers() -> None:
    for k in (1, 2, 3, 8, 100):
        exact = np.sin(np.pi / 2002) / np.sin((2 * k - 1) * np.pi / 2002)
        seen = walk("singular_value_ratio", snapshots=500, component=k)
        assert seen == pytest.approx(exact, rel=1e-9)


def test_coordinates_of_a_walk_are_sines_that_oscillate_faster_and_faster() -> None:
    for k in range(1, 9):
        assert walk("sign_changes", snapshots=500, component=k) == k - 1
        detour = walk("coordinate_detour", snapshots=500, component=k)
        assert detour == pytest.approx(2 * k - 1, rel=0.06)
    assert walk("coordinate_monotonicity", snapshots=500, component=1) == pytest.approx(1.0)
    assert walk("coordinate_monotonicity", snapshots=500, component=2) < 0.9


@pytest.mark.parametrize(
    ("snapshots", "dimensions"),
    [
        (250, [7, 15, 32, 67, 97, 138, 190, 238]),
        (500, [10, 22, 51, 117, 176, 259, 370, 474]),
        pytest.param(1000, [14, 34, 83, 204, 318, 487, 720, 943], marks=pytest.mark.long),
    ],
)
def test_dimensionality_of_a_walk(snapshots: int, dimensions: list[int]) -> None:
    seen = [walk("dimensionality", snapshots=snapshots, share=beta) for beta in BETAS]
    assert seen == dimensions


def test_an_offset_or_a_drift_concentrates_a_walk() -> None:
    offset = [walk("dimensionality", snapshots=500, share=b, offset=3.0) for b in BETAS]
    assert offset == pytest.approx([1, 2, 5, 24, 53, 119, 260, 446], abs=2)
    assert walk("dimensionality", snapshots=500, share=0.9, drift=200.0) == 1
    # An offset makes detours of neighbouring coordinates zigzag: half the modes return home.
    detours = [
        walk("coordinate_detour", snapshots=500, component=k, offset=3.0) for k in range(2, 8)
    ]
    assert min(detours[1::2]) > 3 * max(detours[::2]) or min(detours[::2]) > 3 * max(detours[1::2])


def test_a_walks_parameters_take_detours_with_the_root_of_the_snapshots() -> None:
    assert walk_parameter_detour(500) == pytest.approx(26.4, abs=0.05)
    assert walk("parameter_detour", snapshots=2000) == pytest.approx(52.9, abs=0.05)
    path = np.random.default_rng(0).normal(size=(500, 4000)).cumsum(axis=0)
    assert np.median(detour_ratio(path)) == pytest.approx(walk_parameter_detour(500), rel=0.05)


def test_the_exact_walk_is_the_limit_of_simulated_ones() -> None:
    steps = np.random.default_rng(0).normal(size=(100, 20_000))
    simulated = path_spectrum(steps.cumsum(axis=0))
    exact = path_spectrum(walk_path(100))
    ratio = simulated.singular_values[:5] / simulated.singular_values[0]
    assert ratio == pytest.approx(exact.singular_values[:5] / exact.singular_values[0], abs=0.01)
    assert sign_changes(simulated.coordinates)[:6].tolist() == [0, 1, 2, 3, 4, 5]


def test_a_stationary_process_is_told_from_a_walk() -> None:
    spectrum = path_spectrum(stationary_path(500, 0.9))
    assert major_dimensionality(spectrum.singular_values, 0.5) == 72
    assert spectrum.singular_values[1] / spectrum.singular_values[0] > 0.9


def test_trimming_a_walk_is_like_averaging_its_last_snapshots() -> None:
    # PPTB notes 2.1 for 2000 snapshots: 141, 71, 35, 18.
    assert [averaged_snapshots(2000, rank) for rank in (8, 16, 32, 64)] == [140, 70, 35, 18]
    path = walk_path(500)
    _, _, right = np.linalg.svd(path, full_matrices=False)
    trimmed = path[-1] @ right[:16].T @ right[:16] - path[-1]

    def cosine(last: int) -> float:
        averaged = path[-last:].mean(axis=0) - path[-1]
        return float(trimmed @ averaged / np.linalg.norm(trimmed) / np.linalg.norm(averaged))

    best = averaged_snapshots(500, 16)
    assert cosine(best) == pytest.approx(0.93, abs=0.01)
    assert max(cosine(2 * best), cosine(best // 2)) < 0.85


def test_a_random_subspace_holds_its_share_of_a_vector() -> None:
    # Policy gradient subspaces 1.4: n = 4932, k = 100 gives 0.0203 +- 0.0028.
    shares = random_subspace(100, 4932)
    assert (shares.mean(), shares.std()) == (
        pytest.approx(0.0203, abs=5e-5),
        pytest.approx(0.0028, abs=5e-5),
    )
    vectors = np.random.default_rng(0).normal(size=(2000, 300))
    part = (vectors[:, :30] ** 2).sum(axis=1) / (vectors**2).sum(axis=1)
    assert stats.kstest(part, random_subspace(30, 300).cdf).pvalue > 0.01


# What a verdict shows.


@pytest.mark.parametrize(
    ("null", "value", "low", "high"),
    [
        (
            {"name": "random_walk", "quantity": "sign_changes", "snapshots": 50, "component": 4},
            3.0,
            None,
            None,
        ),
        ({"name": "random_subspace", "subspace": 100, "dimensions": 4932}, 0.02028, 0.0150, 0.0261),
    ],
)
def test_exact_nulls_need_no_runs(make_claim, null, value, low, high) -> None:  # type: ignore[no-untyped-def]
    spec = make_claim(kind="threshold", measured=[A], direction="above", bound=0.0, null=null)
    seen = judge(spec, []).null
    assert seen is not None
    assert seen.value == pytest.approx(value, rel=1e-3)
    assert seen.low == (None if low is None else pytest.approx(low, abs=1e-3))
    assert seen.high == (None if high is None else pytest.approx(high, abs=1e-3))


def test_the_margin_of_an_equivalence_is_its_null(make_cell, make_claim) -> None:  # type: ignore[no-untyped-def]
    parts: dict[str, Any] = {
        "kind": "equivalence",
        "treatment": [B],
        "control": [A],
    }
    null = {"name": "equivalence_margin"}
    runs = make_cell(A, [0.5, 0.51, 0.52]) + make_cell(B, [0.9, 0.91, 0.92])
    seen = judge(make_claim(**parts, margin=0.3, null=null), runs).null
    assert seen is not None and seen.value == 0.3
    gap = {"fraction": 0.5, "upper": B, "lower": A}
    seen = judge(make_claim(**parts, margin=gap, null=null), runs).null
    assert seen is not None and seen.value == 0.0
    assert seen.source == "0.5 of the gap in the same runs, 0.2, is taken off"


def test_shuffling_in_time_leaves_no_correlation_and_time_itself_may_explain_one(
    make_run, make_claim
) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(0)
    runs = [
        make_run(A, i, series={"a": np.arange(40) + rng.normal(size=40), "b": np.arange(40) ** 2})
        for i in range(6)
    ]
    parts: dict[str, Any] = {
        "kind": "correlation",
        "pair": {"series": ["a", "b"]},
        "method": "spearman",
        "measured": [A],
        "direction": "above",
    }
    verdict = judge(make_claim(**parts, null={"name": "time_shuffled"}), runs)
    assert verdict.state == "supported"
    assert verdict.null is not None and verdict.null.value == pytest.approx(0.0, abs=0.01)
    # A coefficient of 40 points has deviation 1 / sqrt(39), the median of six 0.463 times that.
    assert verdict.null.high == pytest.approx(1.96 * 0.463 / np.sqrt(39), rel=0.1)
    time = {"name": "plain_time", "must_be_beaten": True}
    verdict = judge(make_claim(**parts, null=time), runs)
    assert (verdict.state, verdict.null.value if verdict.null else None) == ("inconclusive", 1.0)


def test_nulls_drawn_from_runs_are_the_same_bytes_each_time(make_cell, make_claim) -> None:  # type: ignore[no-untyped-def]
    runs = make_cell(A, [0.1, 0.5, 0.3, 0.35]) + make_cell(B, [0.4, 0.2, 0.9, 0.1])
    spec = make_claim(**claim(null={"name": "best_of_n", "n": 3}))
    texts = {judge(spec, order).model_dump_json() for order in (runs, runs[::-1])}
    assert len(texts) == 1
    assert nulls.DRAWS == 2000
