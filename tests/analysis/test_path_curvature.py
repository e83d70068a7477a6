"""The shares of a policy's path in a subspace, where they are known."""

import numpy as np
import pytest

from suite.analysis.path_curvature import PathCurvature, PathCurvatureSettings

GENERATOR = np.random.default_rng(0)
BASIS = np.eye(6)[:, :2]


def shares(window, gradient=None, kept=2):
    analysis = PathCurvature(PathCurvatureSettings(kept=kept))
    given = np.ones(6) if gradient is None else gradient
    return analysis._shares(BASIS, np.asarray(window, float), given)


def test_a_path_within_the_subspace_has_all_its_steps_there():
    steps = np.zeros((9, 6))
    steps[:, :2] = GENERATOR.standard_normal((9, 2))
    found = shares(np.cumsum(steps, axis=0) + np.arange(6))
    for name in ("steps", "displacement", "kept_centred", "random_steps"):
        assert found[name] == pytest.approx(1.0), name
    assert found["kept"] < 1  # the place far from zero is what an SVD keeps first
    assert found["gradient"] == pytest.approx(2 / 6)


def test_a_path_across_the_subspace_has_none_of_it_there():
    steps = np.zeros((9, 6))
    steps[:, 3:] = GENERATOR.standard_normal((9, 3))
    found = shares(np.cumsum(steps, axis=0))
    for name in ("steps", "displacement", "kept", "kept_centred", "random_steps"):
        assert found[name] == pytest.approx(0.0, abs=1e-12), name


def test_random_steps_are_those_of_random_signs():
    steps = GENERATOR.standard_normal((40, 6)) * np.arange(1, 7)
    basis = np.linalg.qr(GENERATOR.standard_normal((6, 2))).Q
    window = np.vstack([np.zeros(6), np.cumsum(steps, axis=0)])
    found = PathCurvature(PathCurvatureSettings(kept=2))._shares(basis, window, np.ones(6))
    total = (steps**2).sum()
    drawn = [
        (((steps * GENERATOR.choice([-1, 1], steps.shape)) @ basis) ** 2).sum() / total
        for _ in range(4000)
    ]
    error = 4 * np.std(drawn) / np.sqrt(len(drawn))
    assert found["random_steps"] == pytest.approx(np.mean(drawn), abs=error)
    assert found["steps"] == pytest.approx(((steps @ basis) ** 2).sum() / total)


def test_a_path_that_does_not_move_is_unknown():
    found = shares(np.zeros((5, 6)))
    assert np.isnan(found["steps"]) and np.isnan(found["displacement"])
