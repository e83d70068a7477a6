"""Gram matrices of paths that learn nothing, against simulated paths."""

import numpy as np
import pytest
import torch

from suite.analysis.path_nulls import fitted_gram, noise_gram, step_energies, walk_gram
from suite.analysis.policy_spectrum import major_dimensionality, path_spectrum, spectrum_of_gram
from suite.stats.nulls import walk_path

WIDE = 40_000


def drawn_path(snapshots, drift=0.0, offset=0.0, sizes=None, seed=0):
    """A path [n, WIDE] by independent Gaussian steps of given sizes, all of length about 1."""
    random = np.random.default_rng(seed)
    steps = random.standard_normal((snapshots - 1, WIDE)) / np.sqrt(WIDE)
    steps *= np.ones((snapshots - 1, 1)) if sizes is None else sizes[:, None]
    along = random.standard_normal((2, WIDE)) / np.sqrt(WIDE)
    start = offset * along[0]
    return start + np.vstack([np.zeros(WIDE), np.cumsum(steps + drift * along[1], axis=0)])


def concentration(gram):
    values = spectrum_of_gram(gram, len(gram)).singular_values
    return [major_dimensionality(values, share) for share in (0.5, 0.8, 0.9)]


def test_a_walk_of_equal_steps_is_the_exact_walk():
    exact = path_spectrum(walk_path(101)).singular_values
    found = spectrum_of_gram(walk_gram(np.ones(101)), 101).singular_values
    np.testing.assert_allclose(found, exact, rtol=1e-9)


def test_squared_steps_are_those_of_the_path():
    path = drawn_path(30, drift=0.3, offset=5)
    expected = (np.diff(path, axis=0) ** 2).sum(axis=1)
    np.testing.assert_allclose(step_energies(path @ path.T), expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("drift", "offset"), [(0.0, 0.0), (0.0, 30.0), (0.2, 0.0), (0.2, 30.0), (1.0, 5.0)]
)
def test_a_walk_with_offset_and_drift_is_told_by_its_fit(drift, offset):
    sizes = np.linspace(2, 0.5, 99)
    path = drawn_path(100, drift, offset, sizes)
    gram = path @ path.T
    fitted = fitted_gram(gram)
    np.testing.assert_allclose(fitted[0, 0], gram[0, 0])
    np.testing.assert_allclose(fitted[-1, -1], gram[-1, -1], rtol=0.02)
    np.testing.assert_allclose(step_energies(fitted), step_energies(gram), rtol=1e-6)
    found, expected = concentration(gram), concentration(fitted)
    np.testing.assert_allclose(found, expected, atol=2)
    assert np.linalg.eigvalsh(fitted).min() > -1e-9 * fitted.max()


def test_what_oscillates_is_more_concentrated_than_its_fit():
    time = np.linspace(0, 6 * np.pi, 100)
    turning = np.zeros((100, WIDE))
    turning[:, 0], turning[:, 1] = 20 * np.cos(time), 20 * np.sin(time)
    path = drawn_path(100) + turning
    gram = path @ path.T
    assert concentration(gram)[1] < 0.7 * concentration(fitted_gram(gram))[1]


def test_noise_is_what_adam_makes_of_it():
    parameters, every, snapshots, rate = 4000, 25, 30, 1e-3
    generator = torch.Generator().manual_seed(0)
    moved = torch.zeros(parameters, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([moved], lr=rate, betas=(0.9, 0.999))
    begin = 3000  # updates until the mean of squares has settled
    path = []
    for update in range(begin + every * (snapshots - 1) + 1):
        if update >= begin and (update - begin) % every == 0:
            path.append(moved.detach().clone())
        moved.grad = torch.randn(parameters, generator=generator, dtype=torch.float64)
        optimiser.step()
    recorded = torch.stack(path) - path[0]
    gram = (recorded @ recorded.T).numpy()
    found = noise_gram(7.0, parameters, snapshots, every, rate, 0.9) - 7.0
    assert found[0].max() == 0 == found[:, 0].max()
    # The first simulated step begins with a running mean that is not 0.
    np.testing.assert_allclose(found[1:, 1:], gram[1:, 1:], rtol=0.15, atol=0.05 * gram.max())
    np.testing.assert_allclose(
        step_energies(found)[1:].mean(), step_energies(gram)[1:].mean(), rtol=0.03
    )
    assert step_energies(found)[5] > 1.5 * every * 0.1 / 1.9 * rate**2 * parameters


def test_noise_of_no_momentum_is_a_walk():
    found = noise_gram(2.0, 10, 20, 25, 0.1, 0.0)
    np.testing.assert_allclose(found, 2.0 + walk_gram(np.full(19, 25 * 0.1**2 * 10)))
