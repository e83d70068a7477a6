"""Fractions, overlaps and angles of subspaces, and what chance gives."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg, stats

from suite.analysis.subspaces import (
    LEAST_LOG,
    chance,
    fractions,
    log_probability,
    overlap,
    overlaps,
    principal_angles,
    stability,
)
from suite.stacked.streams import stream


def drawing(seed):
    return stream(seed, "test/subspaces")


def orthonormal(draw, n, k):
    """A uniformly random orthonormal basis [n, k]."""
    return np.linalg.qr(draw.standard_normal((n, k)))[0]


SHAPES = st.integers(2, 12).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n)))
SEEDS = st.integers(0, 10**6)


@settings(max_examples=60, deadline=None)
@given(SHAPES, SEEDS, st.floats(1e-3, 1e3))
def test_fractions_are_shares_that_only_the_span_and_the_direction_decide(shape, seed, scale):
    (n, k), draw = shape, drawing(seed)
    basis, g = orthonormal(draw, n, k), draw.standard_normal(n)
    found = fractions(basis, g)
    assert found.shape == (k,)
    assert (found >= 0).all() and (found <= 1).all() and (np.diff(found) >= 0).all()
    np.testing.assert_allclose(fractions(basis, -scale * g), found, rtol=1e-12)
    signs = draw.choice([-1.0, 1.0], k)
    np.testing.assert_allclose(fractions(basis * signs, g), found, rtol=1e-12)
    turned = basis @ orthonormal(draw, k, k)
    np.testing.assert_allclose(fractions(turned, g)[-1], found[-1], rtol=1e-10)
    for j in range(1, k + 1):
        residual = basis[:, :j] @ (basis[:, :j].T @ g) - g
        other_form = 1 - (residual @ residual) / (g @ g)
        np.testing.assert_allclose(found[j - 1], other_form, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(SHAPES, SEEDS)
def test_a_vector_in_the_span_lies_there_wholly_and_one_beside_it_not_at_all(shape, seed):
    (n, k), draw = shape, drawing(seed)
    whole = orthonormal(draw, n, n)
    basis, rest = whole[:, :k], whole[:, k:]
    inside = basis @ draw.standard_normal(k)
    np.testing.assert_allclose(fractions(basis, inside)[-1], 1, rtol=1e-12)
    np.testing.assert_allclose(fractions(whole, draw.standard_normal(n))[-1], 1, rtol=1e-12)
    if k < n:
        outside = rest @ draw.standard_normal(n - k)
        np.testing.assert_allclose(fractions(basis, outside), 0, atol=1e-20)


def test_fractions_of_the_first_dimensions_are_those_of_smaller_subspaces():
    basis, g = np.eye(4)[:, :3], np.array([1.0, 2.0, 2.0, 4.0])
    np.testing.assert_allclose(fractions(basis, g), np.array([1, 5, 9]) / 25)


def test_a_zero_gradient_has_no_fraction():
    found = fractions(np.eye(5)[:, :3], np.zeros(5))
    assert found.shape == (3,) and np.isnan(found).all()


@pytest.mark.parametrize(("n", "k"), [(5, 2), (30, 3), (200, 4)])
def test_random_subspaces_hold_k_over_n_with_the_variance_of_the_beta_distribution(n, k):
    draw = drawing(n)
    g = draw.standard_normal(n)
    found = np.array([fractions(orthonormal(draw, n, k), g)[-1] for _ in range(2000)])
    variance = 2 * k * (n - k) / (n**2 * (n + 2))
    assert abs(found.mean() - chance(k, n)) < 4 * np.sqrt(variance / 2000)
    law = stats.beta(k / 2, (n - k) / 2)
    np.testing.assert_allclose(law.var(), variance, rtol=1e-12)
    # The standard error of a variance follows from the fourth moment.
    fourth = variance**2 * (float(law.stats("k")) + 3)
    assert abs(found.var() - variance) < 4 * np.sqrt((fourth - variance**2) / 2000)
    assert stats.kstest(found, law.cdf).pvalue > 1e-4


def test_of_random_projections_only_orthonormal_ones_keep_a_share_of_k_over_n():
    # Gradient-subspaces specification 4.2: n = 5, k = 2, random vectors.
    draw, n, k, count = drawing(0), 5, 2, 20_000
    x = draw.standard_normal((count, n))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    signs = draw.choice([-1.0, 1.0], (count, n, k))
    bases = np.linalg.qr(draw.standard_normal((count, n, k)))[0]

    def ratio(matrices):
        """Mean |S^T x|^2, and its standard error."""
        values = np.square(np.einsum("cnk,cn->ck", matrices, x)).sum(axis=1)
        return values.mean(), values.std() / np.sqrt(count)

    ours = np.array([fractions(basis, v)[-1] for basis, v in zip(bases[:2000], x, strict=False)])
    np.testing.assert_allclose(ours, np.square(np.einsum("cnk,cn->ck", bases, x)).sum(1)[:2000])
    mean, error = ratio(bases)
    assert abs(mean - 0.4) < 4 * error
    mean, error = ratio(signs / np.sqrt(k))  # it keeps lengths, and is no projection
    assert abs(mean - 1.0) < 4 * error
    columns = signs / np.sqrt(n)
    mean, error = ratio(columns)
    assert abs(mean - 0.4) < 4 * error
    # Mapped back: columns that are not orthogonal count what they share twice.
    inner = np.einsum("cnk,cn->ck", columns, x)
    back = np.square(np.einsum("cnk,ck->cn", columns, inner)).sum(axis=1)
    error = back.std() / np.sqrt(count)
    cosine = np.einsum("cn,cn->c", columns[..., 0], columns[..., 1])
    # E |S S^T x|^2 over x is |S S^T|^2 / n = (k + k (k - 1) c^2) / n.
    assert abs(back.mean() - (k + k * (k - 1) * np.square(cosine).mean()) / n) < 4 * error
    assert back.mean() > 0.4 + 4 * error


@settings(max_examples=60, deadline=None)
@given(SHAPES, SEEDS)
def test_overlap_is_the_mean_squared_cosine_of_the_angles(shape, seed):
    (n, k), draw = shape, drawing(seed)
    one, other = orthonormal(draw, n, k), orthonormal(draw, n, k)
    found = overlap(one, other)
    assert 0 <= found <= 1 + 1e-12
    np.testing.assert_allclose(overlap(one, one), 1, rtol=1e-12)
    np.testing.assert_allclose(overlap(other, one), found, rtol=1e-12)
    turned = one @ orthonormal(draw, k, k), other @ orthonormal(draw, k, k)
    np.testing.assert_allclose(overlap(*turned), found, rtol=1e-10)
    angles = principal_angles(one, other)
    assert angles.shape == (k,) and (np.diff(angles) >= 0).all()
    np.testing.assert_allclose(angles, np.sort(linalg.subspace_angles(one, other)))
    np.testing.assert_allclose(np.square(np.cos(angles)).mean(), found, atol=1e-10)
    np.testing.assert_allclose(overlaps(one, other)[-1], found, rtol=1e-12)


def test_overlaps_of_all_dimensions_are_each_one_s_own():
    draw = drawing(1)
    one, other = orthonormal(draw, 9, 6), orthonormal(draw, 9, 6)
    expected = [overlap(one[:, :j], other[:, :j]) for j in range(1, 7)]
    np.testing.assert_allclose(overlaps(one, other), expected, rtol=1e-12)


def test_overlaps_that_follow_on_paper():
    e = np.eye(4)
    first = e[:, [0, 1]]
    half = e[:, [0, 2]]
    slanted = np.column_stack([(e[0] + e[1]) / np.sqrt(2), (e[1] + e[2]) / np.sqrt(2)])
    assert overlap(first, e[:, [2, 3]]) == 0
    assert overlap(first, half) == pytest.approx(0.5)
    # These columns are not orthogonal: the formula takes them one by one.
    assert overlap(first, slanted) == pytest.approx(0.75)
    np.testing.assert_allclose(principal_angles(first, half), [0, np.pi / 2], atol=1e-8)


def test_random_subspaces_overlap_by_k_over_n():
    draw, n, k = drawing(2), 40, 5
    fixed = orthonormal(draw, n, k)
    found = np.array([overlap(fixed, orthonormal(draw, n, k)) for _ in range(2000)])
    assert abs(found.mean() - chance(k, n)) < 4 * found.std() / np.sqrt(2000)


@pytest.mark.parametrize(("n", "k"), [(5, 2), (30, 3)])
def test_the_probability_of_a_fraction_is_how_often_random_subspaces_reach_it(n, k):
    draw = drawing(3)
    g = draw.standard_normal(n)
    found = np.array([fractions(orthonormal(draw, n, k), g)[-1] for _ in range(2000)])
    for level in np.quantile(found, [0.1, 0.5, 0.9]):
        share = (found >= level).mean()
        error = np.sqrt(share * (1 - share) / 2000)
        assert abs(10 ** log_probability(level, k, n) - share) < 4 * error
    assert log_probability(0.0, k, n) == pytest.approx(0)


def test_the_logarithm_of_a_probability_has_a_floor_and_falls_with_the_fraction():
    values = [log_probability(x, 25, 1218) for x in (0.02, 0.05, 0.1, 0.5, 0.9)]
    assert values == sorted(values, reverse=True)
    # For k = 2 the law has a closed form, (1 - x)^((n - 2) / 2).
    assert log_probability(0.5, 2, 42) == pytest.approx(20 * np.log10(0.5))
    assert log_probability(1.0, 25, 1218) == LEAST_LOG
    assert log_probability(0.999999, 100, 5000) == LEAST_LOG
    assert np.isnan(log_probability(np.nan, 25, 1218))


def test_stability_is_1_at_the_ceiling_and_0_at_chance():
    k, n = 25, 1000
    assert stability(0.36, (0.36, 0.36), k, n) == pytest.approx(1)
    assert stability(chance(k, n), (0.5, 0.9), k, n) == pytest.approx(0)
    # Of two ceilings it is the geometric mean, above chance, that counts.
    at_chance = chance(k, n)
    ceilings = 0.2 + at_chance, 0.8 + at_chance
    assert stability(0.1 + at_chance, ceilings, k, n) == pytest.approx(0.1 / 0.4)
    assert stability(0.1, ceilings, k, n) == stability(0.1, ceilings[::-1], k, n)


@pytest.mark.parametrize("low", [0.025, 0.01])
def test_stability_is_unknown_where_a_ceiling_is_no_higher_than_chance(low):
    assert np.isnan(stability(0.5, (low, 0.9), 25, 1000))
    assert np.isnan(stability(0.5, (0.9, low), 25, 1000))
    assert np.isnan(stability(0.5, (low, low), 25, 1000))
