"""Spectra of policy paths, and the null model: what a plain random walk shows."""

import numpy as np
import pytest

from suite.analysis.policy_spectrum import (
    accumulated_change,
    detour_ratio,
    final_change,
    information,
    major_dimensionality,
    path_spectrum,
    sign_changes,
)

BETAS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9)
EXACT = {250: (7, 15, 32, 67, 97, 138), 500: (10, 22, 51, 117, 176, 259)}


@pytest.fixture(scope="module")
def walk():
    return np.random.default_rng(0).standard_normal((500, 20_000)).cumsum(0)


@pytest.fixture(scope="module")
def spectrum(walk):
    return path_spectrum(walk)


def exact_walk(n):
    k = np.arange(1, n + 1)
    return 1 / (2 * np.sin((2 * k - 1) * np.pi / (4 * n + 2)))


def test_the_gram_route_gives_the_svd():
    path = np.random.default_rng(1).standard_normal((20, 60)).cumsum(0)
    u, sigma, _ = np.linalg.svd(path, full_matrices=False)
    found = path_spectrum(path)
    assert np.allclose(found.singular_values, sigma)
    assert np.allclose(np.abs(found.coordinates), np.abs(u), atol=1e-8)
    assert (found.coordinates[-1] >= found.coordinates[0]).all()


def test_fact_12_detour_ratios_are_at_least_one():
    path = np.random.default_rng(2).standard_normal((30, 40)).cumsum(0)
    path[:, 0] = 3.0
    path[:, 1] = np.linspace(0, 1, 30)
    path[-1, 2] = path[0, 2]
    ratio = detour_ratio(path)
    assert (ratio >= 1 - 1e-12).all()
    assert ratio[1] == pytest.approx(1)
    assert np.isinf(ratio[[0, 2]]).all()  # never moved, came home
    assert (accumulated_change(path) >= final_change(path) - 1e-12).all()


def test_fact_12_information_and_dimensionality_grow():
    sigma = path_spectrum(np.random.default_rng(3).standard_normal((30, 40))).singular_values
    share = information(sigma)
    assert (np.diff(share) >= 0).all() and share[-1] == pytest.approx(1)
    needed = [major_dimensionality(sigma, beta) for beta in np.linspace(0.05, 1, 20)]
    assert needed == sorted(needed)
    assert needed[-1] == 30


def test_fact_12_full_information_needs_the_rank():
    generator = np.random.default_rng(4)
    path = generator.standard_normal((30, 5)) @ generator.standard_normal((5, 40))
    sigma = path_spectrum(path).singular_values
    assert major_dimensionality(sigma, 1.0, rounding=1e-6) == 5


def test_information_is_a_share_of_values_and_not_of_squares():
    assert np.allclose(information(np.array([3.0, 1.0])), [0.75, 1.0])
    assert major_dimensionality(np.array([3.0, 1.0]), 0.75) == 1
    assert major_dimensionality(np.array([3.0, 1.0]), 0.76) == 2


def test_fact_13_curves_of_a_walk_change_sign_once_more_each(spectrum):
    assert sign_changes(spectrum.coordinates[:, :8]).tolist() == list(range(8))


def test_fact_13_singular_values_of_a_walk_fall_as_odd_numbers(spectrum):
    sigma = spectrum.singular_values
    assert 0.32 <= sigma[1] / sigma[0] <= 0.35
    assert np.allclose(sigma[:6] / sigma[0], 1 / np.arange(1, 12, 2), rtol=0.06)


def test_fact_13_dimensionality_of_a_walk(spectrum):
    found = [major_dimensionality(spectrum.singular_values, beta) for beta in BETAS]
    assert np.abs(np.array(found) - EXACT[500]).max() <= 2


@pytest.mark.parametrize("n", EXACT)
def test_fact_13_dimensionality_of_the_exact_walk(n):
    found = tuple(major_dimensionality(exact_walk(n), beta) for beta in BETAS)
    assert found == EXACT[n]


def test_fact_13_detours_of_a_walk(walk, spectrum):
    assert np.median(detour_ratio(walk)) == pytest.approx(1.183 * np.sqrt(499), rel=0.03)
    curves = detour_ratio(spectrum.coordinates[:, :3])
    assert np.allclose(curves, [1, 3, 5], atol=0.4)
