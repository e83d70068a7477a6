"""Eigenpairs by a block method and by ARPACK, against whole Hessians."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch
from agents.small_agents import dqn, loss_batch, ppo, sac, td3, trained
from hypothesis import example, given, settings
from hypothesis import strategies as st

from suite.analysis.curvature import explicit_hessian, hessian_of
from suite.analysis.derivatives import converted, gradient_of
from suite.analysis.eigenpairs import block_lanczos, explicit_eigenpairs, in_order, scipy_lanczos
from suite.analysis.fresh_data import fresh_rollout
from suite.analysis.subspaces import fractions, overlap
from suite.specs.models import TaskSpec
from suite.stacked.streams import stream

ALL = ("algebraic", "magnitude", "smallest")
PENDULUM = TaskSpec(name="pendulum", family="classic", environment="Pendulum-v1", episode_limit=200)


@dataclass
class Given:
    """A Hessian whose blocks [G, n, n] are known."""

    blocks: torch.Tensor
    multiplied: int = 0

    device = torch.device("cpu")

    @property
    def networks(self):
        return self.blocks.shape[0]

    @property
    def size(self):
        return self.blocks.shape[1]

    @property
    def dtype(self):
        return self.blocks.dtype

    def products(self, vectors):
        assert vectors.dtype == self.dtype
        self.multiplied += vectors.shape[2]
        return self.blocks @ vectors


def rotated(values, seed=0):
    """A symmetric matrix with these eigenvalues, and its eigenvectors."""
    n = len(values)
    drawn = stream(seed, "test/rotation").standard_normal((n, n))
    basis = torch.linalg.qr(torch.from_numpy(drawn)).Q
    return (basis * torch.as_tensor(values, dtype=torch.float64)) @ basis.mT, basis


def hessian(*spectra, seed=0):
    """A Hessian with a block for each of the spectra."""
    return Given(torch.stack([rotated(x, seed + i)[0] for i, x in enumerate(spectra)]))


def decaying(n, top=100.0, lowest=-30.0):
    """A spectrum as networks have it: few large values of both signs, many near 0."""
    values = top * 0.7 ** np.arange(n)
    values[-5:] = lowest * 0.6 ** np.arange(5)
    return values


def expected(blocks, k, order):
    """The first k of all eigenvalues, by NumPy."""
    values = np.concatenate([np.linalg.eigvalsh(block.double().numpy()) for block in blocks])
    keys = {"algebraic": -values, "magnitude": -np.abs(values), "smallest": values}
    return values[np.argsort(keys[order], kind="stable")][:k]


def true_residuals(blocks, pairs):
    """|H v - value v| over |value|, from the whole Hessian in float64."""
    vectors = pairs.vectors.double()
    off = blocks.double() @ vectors - vectors * pairs.values.double()
    return off.flatten(0, 1).norm(dim=0) / pairs.values.double().abs()


def assert_eigenpairs(pairs, blocks, k, order, tolerance=1e-4, rounding=1e-12):
    """They are the first k of the blocks, orthonormal, each within one block, and their residuals
    are what they say."""
    whole = expected(blocks, k, order)
    largest = max(abs(expected(blocks, 1, "magnitude")[0]), 1e-30)
    # A residual r bounds the value's error by r and, away from others, by r^2.
    np.testing.assert_allclose(pairs.values, whole, rtol=tolerance, atol=rounding * largest)
    assert list(in_order(pairs.values, order)) == list(range(k))
    gram = (pairs.flat.mT @ pairs.flat).double()
    torch.testing.assert_close(gram, torch.eye(k).double(), rtol=0, atol=max(1e-10, 3 * rounding))
    assert ((pairs.vectors.norm(dim=1) > 1e-5).sum(dim=0) == 1).all()
    true = true_residuals(blocks, pairs)
    slack = rounding * largest / pairs.values.abs()
    assert (true <= tolerance + slack).all(), true
    assert ((pairs.residuals - true).abs() <= 0.01 * true + slack).all(), (pairs.residuals, true)


@pytest.mark.parametrize("order", ALL)
def test_a_quadratic_s_eigenpairs_are_those_of_its_matrix(order):
    values = [5.0, 3.0, 1.0, 0.1, -0.2, -4.0]
    matrix, basis = rotated(values)
    found = block_lanczos(Given(matrix[None]), 6, [order], block=2)[order]
    places = in_order(torch.tensor(values), order)
    np.testing.assert_allclose(found.values, np.array(values)[places], rtol=1e-12)
    cosines = (found.flat * basis[:, places]).sum(dim=0).abs()
    np.testing.assert_allclose(cosines, 1, rtol=1e-12)
    assert_eigenpairs(found, matrix[None], 6, order)


@pytest.mark.parametrize(
    ("find", "k"),
    [
        (lambda h, k: block_lanczos(h, k, ALL, 1e-6), 12),
        (lambda h, k: explicit_eigenpairs(h.blocks, k, ALL), 12),
        (lambda h, k: {order: scipy_lanczos(h, k, order, 1e-6) for order in ALL}, 5),
    ],
    ids=["block", "explicit", "scipy"],
)
@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_all_ways_find_the_first_pairs_of_all_blocks_in_every_order(find, k, blocks):
    spectra = [decaying(60, 100.0 / (i + 1), -30.0 * (i + 1.1)) for i in range(blocks)]
    given = hessian(*spectra)
    found = find(given, k)
    for order in ALL:
        assert_eigenpairs(found[order], given.blocks, k, order, 1e-6)


def test_the_values_of_several_blocks_are_the_sorted_union_of_each_one_s():
    given = hessian(decaying(40), decaying(40, 55.0, -80.0))
    found = block_lanczos(given, 10, ALL)
    for order in ALL:
        apart = [block_lanczos(Given(given.blocks[i : i + 1]), 10, ALL)[order] for i in range(2)]
        union = torch.cat([one.values for one in apart])
        union = union[in_order(union, order)][:10]
        torch.testing.assert_close(found[order].values, union, rtol=1e-8, atol=0)


@pytest.mark.parametrize("k", [1, 5, 13])
def test_orders_agree_with_each_other(k):
    given = hessian(decaying(50))
    found = block_lanczos(given, k, ALL)
    ends = torch.cat([found["algebraic"].values, found["smallest"].values])
    for value in found["magnitude"].values:
        assert (ends - value).abs().min() < 1e-8 * abs(value)
    positive = hessian(np.abs(decaying(50)))
    found = block_lanczos(positive, k, ALL)
    torch.testing.assert_close(found["algebraic"].values, found["magnitude"].values)
    bases = [found[order].flat.numpy() for order in ("algebraic", "magnitude")]
    assert overlap(*bases) > 1 - 1e-8
    negative = block_lanczos(Given(-positive.blocks), k, ALL)
    torch.testing.assert_close(negative["smallest"].values, -found["algebraic"].values)
    torch.testing.assert_close(negative["magnitude"].values, -found["magnitude"].values)


def test_a_pair_has_the_same_values_whatever_else_is_asked_for():
    given = hessian(decaying(50))
    together = block_lanczos(given, 6, ALL, 1e-6)
    for order in ALL:
        alone = block_lanczos(given, 6, [order], 1e-6)
        torch.testing.assert_close(alone[order].values, together[order].values, rtol=1e-9, atol=0)


@pytest.mark.parametrize("block", [1, 4])
@pytest.mark.parametrize("orders", [ALL[:1], ALL[:2], ALL])
def test_condensed_bases_still_converge_to_the_right_pairs(orders, block):
    given = hessian(100 / np.arange(1, 301) - 2, 60 - 5 * np.sqrt(np.arange(300)))
    found = block_lanczos(given, 5, orders, 1e-5, block=block, most_basis=20)
    for order in orders:
        assert_eigenpairs(found[order], given.blocks, 5, order, 1e-5)
    # More than the basis has room for: it was condensed.
    assert found["algebraic"].products > 20 * len(orders)


def test_ties_have_the_subspace_of_all_that_are_equal():
    values = np.concatenate([[9.0, 5, 5, 5, 5, 2, 2], np.linspace(0.5, -0.5, 43)])
    matrix, basis = rotated(values)
    for found in (
        block_lanczos(Given(matrix[None]), 7, ["algebraic"], 1e-8)["algebraic"],
        block_lanczos(Given(matrix[None]), 7, ["algebraic"], 1e-8, block=2)["algebraic"],
        scipy_lanczos(Given(matrix[None]), 7, "algebraic", 1e-8),
    ):
        np.testing.assert_allclose(found.values, values[:7], rtol=1e-8)
        for start, stop in ((0, 1), (1, 5), (5, 7)):
            one, other = found.flat[:, start:stop].numpy(), basis[:, start:stop].numpy()
            assert overlap(one, other) > 1 - 1e-8


@pytest.mark.parametrize(
    "values",
    [np.ones(30), np.zeros(30), np.eye(30)[0] * 7, np.r_[3.0, -2.0, np.zeros(28)], -np.ones(30)],
    ids=["identity", "zero", "rank 1", "rank 2", "minus identity"],
)
def test_a_krylov_space_that_ends_early_is_no_obstacle(values):
    given = hessian(values)
    found = block_lanczos(given, 5, ALL)
    for order in ALL:
        pairs = found[order]
        atol = 1e-12 * np.abs(values).max()
        np.testing.assert_allclose(pairs.values, expected(given.blocks, 5, order), atol=atol)
        gram = pairs.flat.mT @ pairs.flat
        torch.testing.assert_close(gram, torch.eye(5).double(), rtol=0, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("positive", [3, 10])
def test_pairs_of_equal_values_are_all_found_however_narrow_the_block(positive, blocks, dtype):
    # As where units are dead: few values of either sign, and 0 more often than a block is wide.
    values = np.r_[np.arange(1.0, positive + 1), np.zeros(80), -np.arange(1.0, 8)]
    given = Given(hessian(*[values] * blocks).blocks.to(dtype))
    found = block_lanczos(given, 25 * blocks, ALL, block=4)
    atol = 1e-12 if dtype == torch.float64 else 1e-4
    for order in ALL:
        whole = expected(given.blocks, 25 * blocks, order)
        np.testing.assert_allclose(*(np.sort(x) for x in (found[order].values, whole)), atol=atol)
        gram = (found[order].flat.mT @ found[order].flat).double()
        torch.testing.assert_close(gram, torch.eye(25 * blocks).double(), rtol=0, atol=atol)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rank", [0, 1, 3])
def test_parameters_without_any_effect_are_no_obstacle(rank, dtype):
    # As where all units are saturated: even rounding lies within a few parameters.
    spectrum = np.r_[33.0 * 0.01 ** np.arange(rank), np.zeros(30 - rank)]
    blocks = torch.zeros(1, 300, 300, dtype=dtype)
    blocks[0, :30, :30] = rotated(spectrum)[0].to(dtype)
    given = Given(blocks)
    found = block_lanczos(given, 20, ("algebraic", "magnitude"), most_basis=100)
    assert given.multiplied < 400
    for order, pairs in found.items():
        np.testing.assert_allclose(pairs.values, expected(blocks, 20, order), atol=1e-4)
        gram = (pairs.flat.mT @ pairs.flat).double()
        torch.testing.assert_close(gram, torch.eye(20).double(), rtol=0, atol=1e-5)


def test_spaces_that_end_before_they_have_all_pairs_together_go_on():
    given = hessian(np.ones(30), np.ones(30))
    found = block_lanczos(given, 5, ["algebraic"], block=1)["algebraic"]
    assert_eigenpairs(found, given.blocks, 5, "algebraic")


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 16])
@pytest.mark.parametrize("blocks", [1, 2])
def test_all_pairs_of_a_small_hessian_can_be_asked_for_and_no_more(n, blocks):
    given = hessian(*[np.linspace(1, 2, n) + i for i in range(blocks)])
    found = block_lanczos(given, n * blocks, ALL)
    for order in ALL:
        assert_eigenpairs(found[order], given.blocks, n * blocks, order)
    with pytest.raises(
        ValueError, match=f"{n * blocks + 1} eigenpairs of a Hessian that has {n * blocks}: ask for"
    ):
        block_lanczos(given, n * blocks + 1, ALL)


@pytest.mark.parametrize("block", [1, 2, 3, 8])
def test_the_width_of_the_block_does_not_change_what_is_found(block):
    given = hessian(decaying(50), decaying(50, 10.0))
    found = block_lanczos(given, 9, ALL, 1e-6, block=block)
    for order in ALL:
        assert_eigenpairs(found[order], given.blocks, 9, order, 1e-6)


def test_products_are_counted():
    given = hessian(decaying(80))
    found = block_lanczos(given, 5, ALL)
    assert {pairs.products for pairs in found.values()} == {given.multiplied}
    given = hessian(decaying(80))
    assert scipy_lanczos(given, 5, "algebraic").products == given.multiplied - 5  # the residuals'


def test_a_looser_tolerance_needs_fewer_products_and_keeps_its_promise():
    spectrum = 100.0 / np.arange(1, 301) ** 1.2
    needed = []
    for tolerance in (1e-1, 1e-3, 1e-6):
        given = hessian(spectrum)
        found = block_lanczos(given, 10, ["algebraic"], tolerance)["algebraic"]
        assert_eigenpairs(found, given.blocks, 10, "algebraic", tolerance)
        needed.append(found.products)
    assert needed[0] < needed[1] < needed[2] < 300


def test_small_wanted_values_are_held_to_their_own_size():
    # The last wanted value is a 10 000th of the first: a residual over the largest says nothing.
    spectrum = np.r_[1e4, 1.0, 0.99, 0.98, np.linspace(0.9, -0.9, 296)]
    given = hessian(spectrum)
    found = block_lanczos(given, 4, ["algebraic"], 1e-4)["algebraic"]
    assert (true_residuals(given.blocks, found) < 1.01e-4).all()
    assert_eigenpairs(found, given.blocks, 4, "algebraic")


@settings(max_examples=15, deadline=None)
@example([0.0, -5.0, 1.0, 0.0, 1.0, -1.0, 2.0, -5.0, -5.0], 3, 0)  # more of one value than a block
@given(
    st.lists(st.floats(-10, 10).map(lambda x: round(x, 3)), min_size=3, max_size=14),
    st.integers(1, 3),
    st.integers(0, 99),
)
def test_any_spectrum_is_found(values, k, seed):
    given_hessian = hessian(values, seed=seed)
    found = block_lanczos(given_hessian, k, ALL, 1e-6, block=2)
    for order in ALL:
        whole = expected(given_hessian.blocks, k, order)
        pairs = found[order]
        # Values of equal magnitude and opposite sign come in either order.
        one, other = pairs.values.numpy(), whole
        if order == "magnitude":
            one, other = np.abs(one), np.abs(other)
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-12)
        off = given_hessian.blocks @ pairs.vectors - pairs.vectors * pairs.values
        assert off.flatten(0, 1).norm(dim=0).max() <= 1e-6 * max(1e-6, np.abs(whole).max()) * 1.01


def test_equal_seeds_give_equal_bits_and_others_other_starts():
    one, again, other = (
        block_lanczos(hessian(decaying(150)), 8, ALL, seed=seed)["magnitude"] for seed in (3, 3, 4)
    )
    for name in ("values", "vectors", "residuals"):
        assert torch.equal(getattr(one, name), getattr(again, name)), name
    assert not torch.equal(one.residuals, other.residuals)
    torch.testing.assert_close(one.values, other.values, rtol=1e-7, atol=0)
    arpack = [scipy_lanczos(hessian(decaying(150)), 8, "algebraic", seed=3) for _ in range(2)]
    assert torch.equal(arpack[0].vectors, arpack[1].vectors)


@cache
def pendulum_problem():
    """A PPO agent with 10, 10 units in Pendulum, and 1000 samples of its own."""
    agent = ppo((0,), (3,), 1, hidden_units=10)
    agent = trained(agent, (0,), 20)
    batch = fresh_rollout(agent, PENDULUM, "test/pendulum", 1000, 5).normalised(1e-8)
    return agent, batch


@pytest.mark.parametrize("group", ["actor", "critic"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ten_pairs_of_ppo_in_pendulum_are_those_of_its_whole_hessian(group, dtype):
    agent, batch = pendulum_problem()
    assert batch.observation.shape[1] == 1000
    chosen, loss = agent.groups[group], agent.losses()[group]
    whole = explicit_hessian(hessian_of(chosen, loss, batch, torch.float64))
    given = hessian_of(chosen, loss, batch, dtype)
    truth = explicit_eigenpairs(whole, 10, ALL)
    found = block_lanczos(given, 10, ALL, 1e-5)
    rounding = 2e-6 if dtype == torch.float32 else 1e-12
    largest = float(truth["magnitude"].values[0].abs())
    for order in ALL:
        for pairs in (found[order], scipy_lanczos(given, 10, order, 1e-5)):
            np.testing.assert_allclose(
                pairs.values, truth[order].values, rtol=1e-4, atol=rounding * largest
            )
            for start, stop in clusters(truth[order].values, 1e-2):
                one, other = (x.flat[:, start:stop].double() for x in (pairs, truth[order]))
                assert overlap(one.numpy(), other.numpy()) > 0.999, (order, start, stop)
        assert_eigenpairs(found[order], whole, 10, order, 1e-4, rounding)


def clusters(values, gap):
    """Ranges of values that are nearer to each other than a share of the largest; the last, which
    may go on beyond what was asked for, is left out."""
    distances = (values[1:] - values[:-1]).abs() / values.abs().max()
    ends = [i + 1 for i, x in enumerate(distances) if x > gap]
    return list(zip([0, *ends], ends, strict=False))


@pytest.mark.parametrize(
    ("build", "group"),
    [
        (lambda seeds: sac(seeds, hidden_units=6), "actor"),
        (lambda seeds: sac(seeds, hidden_units=6), "critic"),
        (lambda seeds: td3(seeds, hidden_units=6), "actor"),
        (lambda seeds: td3(seeds, hidden_units=6), "critic"),
        (lambda seeds: dqn(seeds, (5,), 3, hidden_units=6), "q"),
        (lambda seeds: dqn(seeds, (4, 4, 2), 3, hidden_units=6, convolution_filters=2), "q"),
    ],
    ids=["sac-actor", "sac-critic", "td3-actor", "td3-critic", "dqn-vector", "dqn-grid"],
)
def test_pairs_of_every_agent_are_those_of_its_whole_hessian(build, group):
    agent = trained(build((3,)), (3,), 10)
    chosen, loss = agent.groups[group], agent.losses()[group]
    given = hessian_of(chosen, loss, loss_batch(agent, (3,), 50, 100), torch.float64)
    whole = explicit_hessian(given)
    found = block_lanczos(given, 5, ALL, 1e-6)
    for order in ALL:
        assert_eigenpairs(found[order], whole, 5, order, 1e-6)


def test_actor_and_critic_together_have_the_sorted_union_of_their_spectra():
    agent, batch = pendulum_problem()
    groups, losses = agent.groups, agent.losses()
    flats = [groups[name].parameters.flat.detach().double() for name in losses]
    wide = converted(batch, torch.float64)
    split = flats[0].shape[1]

    def together(flat):
        parts = torch.split(flat, [split, flat.shape[1] - split], dim=1)
        return sum(
            loss(groups[name].parameters.with_flat(part), wide).sum()
            for (name, loss), part in zip(losses.items(), parts, strict=True)
        )

    whole = torch.autograd.functional.hessian(together, torch.cat(flats, dim=1))[0, :, 0]
    assert not whole[:split, split:].any()
    values = np.linalg.eigvalsh(whole.numpy())
    found = [
        block_lanczos(hessian_of(groups[name], loss, batch, torch.float64), 8, ALL, 1e-6)
        for name, loss in losses.items()
    ]
    for order, kept in (("algebraic", values[::-1][:8]), ("smallest", values[:8])):
        union = np.sort(np.concatenate([one[order].values for one in found]))
        union = union[::-1][:8] if order == "algebraic" else union[:8]
        np.testing.assert_allclose(union, kept, rtol=1e-8)
    padded = torch.zeros(len(values), 16, dtype=torch.float64)
    for row, one in ((0, found[0]), (split, found[1])):
        basis = one["algebraic"].flat
        start = 0 if row == 0 else 8
        padded[row : row + len(basis), start : start + 8] = basis
    torch.testing.assert_close(padded.mT @ padded, torch.eye(16).double(), rtol=0, atol=1e-10)


def test_the_weight_of_the_critic_s_loss_leaves_vectors_and_fractions():
    agent, batch = pendulum_problem()
    critic = agent.groups["critic"]
    scaled = ppo((0,), (3,), 1, hidden_units=10, value_coefficient=4.0)
    found = []
    for one in (agent, scaled):
        loss = one.critic_loss
        pairs = block_lanczos(hessian_of(critic, loss, batch, torch.float64), 5, ALL, 1e-8)
        gradient = gradient_of(critic, loss, batch, torch.float64).flatten().numpy()
        found.append((pairs, gradient))
    (one, g), (other, h) = found
    np.testing.assert_allclose(h, 8 * g, rtol=1e-10)
    for order in ALL:
        torch.testing.assert_close(other[order].values, 8 * one[order].values, rtol=1e-8, atol=0)
        assert overlap(one[order].flat.numpy(), other[order].flat.numpy()) > 1 - 1e-8
        shares = [fractions(p[order].flat.numpy(), x) for p, x in ((one, g), (other, h))]
        np.testing.assert_allclose(*shares, rtol=1e-6)
