"""PPTB's algebra and the facts that its definition implies."""

import copy
import math
import warnings
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from suite.plugins import eigenpairs, path_window
from suite.plugins.path_window import PathWindow
from suite.plugins.pptb import PPTB as PPTBPlugin
from suite.plugins.pptb import PPTBSettings
from suite.training.rows import cut, stack

from .conftest import PPTB, batch_for


def random_path(n, m, seed=0, offset=1.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    steps = torch.randn(n, m, generator=generator, dtype=torch.float64)
    start = offset * math.sqrt(n) * torch.randn(m, generator=generator, dtype=torch.float64)
    return (steps.cumsum(0) + start).to(dtype)


def window_of(rows, capacity=None, segments=None):
    capacity = capacity or len(rows)
    memory = torch.empty(capacity, rows.shape[1], dtype=rows.dtype)
    window = PathWindow(memory, segments or [slice(0, rows.shape[1])])
    for row in rows:
        window.append(row)
    return window


def moved(rows, trim_rank, boost_rank=0, boost=0.0, centre="none", segments=None):
    move = window_of(rows, segments=segments).trim_and_boost(trim_rank, boost_rank, boost, centre)
    return torch.zeros(rows.shape[1], dtype=rows.dtype) if move is None else move.vector


def by_svd(rows, trim_rank, boost_rank, boost, centre="none"):
    """The move as the paper's Algorithm 1 computes it: coordinates of U, changed and put back."""
    rows = rows.double()
    base = {"none": torch.zeros(1, dtype=rows.dtype), "mean": rows.mean(0), "first": rows[0]}[
        centre
    ]
    u, sigma, vt = torch.linalg.svd(rows - base, full_matrices=False)
    coordinates = u[-1].clone()
    coordinates[:boost_rank] += boost * (u[-1, :boost_rank] - u[0, :boost_rank])
    if trim_rank is not None:
        coordinates[trim_rank:] = 0
    return (coordinates * sigma) @ vt + base - rows[-1]


def by_projection(rows, trim_rank, boost_rank, boost):
    vt = torch.linalg.svd(rows.double(), full_matrices=False)[2]
    newest, oldest = rows[-1].double(), rows[0].double()
    kept = vt[:trim_rank].T @ (vt[:trim_rank] @ newest)
    return kept + boost * vt[:boost_rank].T @ (vt[:boost_rank] @ (newest - oldest)) - newest


def rebuilt(window):
    """The snapshots that a window holds, in float64."""
    increments = torch.roll(window.increments[: window.count], -window.oldest, 0).double()
    later = increments[1:].flip(0).cumsum(0).flip(0)
    newest = window.newest.double()
    return torch.cat((newest - later, newest.unsqueeze(0)))


def far_path(n, m, ratio, smoothness, seed, dtype, drift=0.0):
    """A path whose end is `ratio` times as far from the origin as from its start."""
    generator = torch.Generator().manual_seed(seed)
    steady = drift * torch.randn(m, generator=generator, dtype=torch.float64)
    velocity, velocities = torch.zeros(m).double(), []
    for step in torch.randn(n, m, generator=generator, dtype=torch.float64):
        velocity = smoothness * velocity + step
        velocities.append(velocity + steady)
    path = torch.stack(velocities).cumsum(0)
    path -= path[-1].clone()
    end = torch.randn(m, generator=generator, dtype=torch.float64)
    return (path + end * (ratio * path[0].norm() / end.norm())).to(dtype)


def relative(error, reference):
    return float((error.double() - reference.double()).norm() / reference.double().norm())


# The facts, in the order of the definition's consequences.


def test_fact_1_full_rank_without_boost_is_the_identity():
    rows = random_path(6, 40)
    for rank in (6, 7, None):
        assert window_of(rows).trim_and_boost(rank, 2, 0.0) is None
    assert window_of(rows).trim_and_boost(5, 2, 0.0) is not None


def test_fact_1_boosting_one_row_or_a_closed_path_does_nothing():
    rows = random_path(6, 40)
    assert window_of(rows[:1]).trim_and_boost(None, 2, 0.5) is None
    closed = torch.cat((rows, rows[:1]))
    assert float(moved(closed, None, 2, 0.5).norm()) < 1e-12 * float(rows[0].norm())


@pytest.mark.parametrize("segments", [None, [slice(0, 12), slice(12, 40)]])
def test_boosting_without_a_rank_goes_along_the_whole_displacement(segments):
    rows = random_path(9, 40)
    found = moved(rows, None, None, 0.3, segments=segments)
    assert relative(found, 0.3 * (rows[-1] - rows[0])) < 1e-11
    # The span of all snapshots has the displacement in it.
    assert relative(moved(rows, None, 9, 0.3, segments=segments), found) < 1e-9
    trimmed = by_projection(rows, 4, 0, 0.0) + 0.3 * (rows[-1] - rows[0])
    assert relative(moved(rows, 4, None, 0.3), trimmed) < 1e-9


@pytest.mark.parametrize("trim_rank, boost_rank, boost", [(4, 0, 0.0), (4, 2, 0.3), (9, 2, 1.0)])
def test_fact_2_svd_projection_and_gram_forms_agree(trim_rank, boost_rank, boost):
    rows = random_path(30, 200)
    reference = by_svd(rows, trim_rank, boost_rank, boost)
    assert relative(by_projection(rows, trim_rank, boost_rank, boost), reference) < 1e-12
    assert relative(moved(rows, trim_rank, boost_rank, boost), reference) < 1e-11


def test_fact_2_gram_eigenvalues_are_squared_singular_values():
    rows = random_path(30, 200)
    window = window_of(rows)
    window._include_pending()
    gram = path_window._Gram(window, 0, "none")
    matrix = gram.multiply(torch.eye(30, dtype=torch.float64))
    assert torch.allclose(matrix, rows @ rows.T, rtol=1e-12)
    values, _ = eigenpairs.leading_eigenpairs(gram.multiply, 30, 8, torch.device("cpu"))
    assert torch.allclose(values, torch.linalg.svdvals(rows)[:8] ** 2, rtol=1e-10)


@pytest.mark.parametrize("centre", ["mean", "first"])
def test_centring_subtracts_and_adds_back(centre):
    rows = random_path(30, 200)
    reference = by_svd(rows, 5, 2, 0.3, centre)
    assert relative(moved(rows, 5, 2, 0.3, centre), reference) < 1e-11
    assert relative(moved(rows, 5, 2, 0.3), reference) > 1e-3


def test_fact_3_signs_of_singular_pairs_do_not_matter(monkeypatch):
    rows = random_path(30, 200)
    reference = moved(rows, 6, 2, 0.3)
    plain = path_window.leading_eigenpairs

    def flipped(*arguments):
        values, vectors = plain(*arguments)
        return values, vectors * torch.tensor([1, -1, -1, 1, -1, -1]).unsqueeze(1)

    monkeypatch.setattr(path_window, "leading_eigenpairs", flipped)
    assert torch.equal(moved(rows, 6, 2, 0.3), reference)


@pytest.mark.parametrize("pair, same", [((0, 1), True), ((3, 4), True), ((1, 2), False)])
def test_fact_3_rotations_inside_a_kept_group_do_not_matter(monkeypatch, pair, same):
    rows = random_path(30, 200)
    reference = moved(rows, 6, 2, 0.3)
    plain = path_window.leading_eigenpairs

    def rotated(*arguments):
        values, vectors = plain(*arguments)
        turn = torch.tensor([[0.6, 0.8], [-0.8, 0.6]], dtype=torch.float64)
        vectors = vectors.clone()
        vectors[list(pair)] = turn @ vectors[list(pair)]
        return values, vectors

    monkeypatch.setattr(path_window, "leading_eigenpairs", rotated)
    assert (relative(moved(rows, 6, 2, 0.3), reference) < 1e-10) is same


def test_fact_4_idempotent_on_a_fixed_subspace_only():
    rows = random_path(40, 300)
    vt = torch.linalg.svd(rows, full_matrices=False)[2][:5]
    trimmed = rows @ vt.T @ vt
    size = float(moved(rows, 5).norm())
    assert float(moved(trimmed, 5).norm()) < 1e-10 * size
    again = rows.clone()
    again[-1] += moved(rows, 5)
    assert 0.05 * size < float(moved(again, 5).norm()) < size


def test_fact_5_removed_energy_is_that_of_the_dropped_directions():
    rows = random_path(40, 300)
    u, sigma, _ = torch.linalg.svd(rows, full_matrices=False)
    removed = []
    for rank in range(1, 40):
        move = window_of(rows).trim_and_boost(rank, 0, 0.0)
        dropped = float((u[-1, rank:] ** 2 * sigma[rank:] ** 2).sum())
        removed.append(float(move.vector.norm() ** 2))
        assert removed[-1] == pytest.approx(dropped, rel=1e-8)
        share = 1 - dropped / float(rows[-1].norm() ** 2)
        assert move.kept_energy == pytest.approx(share, rel=1e-10)
    assert all(a >= b for a, b in pairwise(removed))


def test_fact_6_affine_in_the_boost_and_full_reverse_gives_the_first_rows_projection():
    rows = random_path(30, 200)
    at_0, at_1, at_3 = (moved(rows, 5, 2, boost) for boost in (0.0, 1.0, 3.0))
    assert torch.allclose(at_3, at_0 + 3 * (at_1 - at_0), rtol=1e-9, atol=1e-9)
    vt = torch.linalg.svd(rows, full_matrices=False)[2][:5]
    assert torch.allclose(rows[-1] + moved(rows, 5, 5, -1.0), vt.T @ (vt @ rows[0]), atol=1e-9)


def test_fact_7_interior_rows_may_be_shuffled():
    rows = random_path(30, 200)
    order = torch.randperm(28, generator=torch.Generator().manual_seed(2)) + 1
    shuffled = torch.cat((rows[:1], rows[order], rows[-1:]))
    assert relative(moved(shuffled, 5, 2, 0.3), moved(rows, 5, 2, 0.3)) < 1e-10
    reversed_path = rows.flip(0)
    assert relative(moved(reversed_path, 5, 2, 0.3), moved(rows, 5, 2, 0.3)) > 0.1


def test_fact_8_orthogonal_and_scale_equivariant_but_not_in_translations_or_layer_scales():
    rows = random_path(30, 60)
    reference = moved(rows, 5, 2, 0.3)
    generator = torch.Generator().manual_seed(3)
    rotation = torch.linalg.qr(torch.randn(60, 60, generator=generator, dtype=torch.float64)).Q
    assert relative(moved(rows @ rotation, 5, 2, 0.3), reference @ rotation) < 1e-9
    order = torch.randperm(60, generator=generator)
    assert relative(moved(rows[:, order], 5, 2, 0.3), reference[order]) < 1e-9
    assert relative(moved(7 * rows, 5, 2, 0.3), 7 * reference) < 1e-9
    assert relative(moved(rows + 5.0, 5, 2, 0.3), reference) > 1e-3
    scale = torch.cat((torch.full((30,), 10.0), torch.ones(30))).double()
    assert relative(moved(rows * scale, 5, 2, 0.3), reference * scale) > 1e-3


def test_fact_8_layerwise_is_each_layer_alone_and_not_the_whole_vector():
    rows = random_path(30, 60)
    layers = [slice(0, 25), slice(25, 60)]
    layerwise = moved(rows, 5, 2, 0.3, segments=layers)
    for layer in layers:
        assert relative(layerwise[layer], moved(rows[:, layer], 5, 2, 0.3)) < 1e-9
    assert relative(layerwise, moved(rows, 5, 2, 0.3)) > 1e-2


@pytest.mark.parametrize("copies", [1, 2, 5])
def test_fact_9_duplicated_rows_are_legal(copies):
    rows = random_path(12, 60, offset=20.0).repeat_interleave(copies, 0)
    for rank in (3, 11, 12 * copies - 1):
        move = moved(rows, rank, 2, 0.1)
        assert torch.isfinite(move).all()
        if rank < 12:
            assert relative(move, by_svd(rows, rank, 2, 0.1)) < 1e-6


def test_fact_9_weights_sum_to_about_one_when_the_mean_dominates():
    rows = random_path(12, 60, offset=100.0)
    window = window_of(rows)
    taken = []
    window.combination = lambda weights, segment: (
        taken.append(weights) or torch.zeros(60, dtype=torch.float64)
    )
    window.trim_and_boost(3, 0, 0.0)
    assert torch.isfinite(taken[0]).all()
    assert float(taken[0].sum()) == pytest.approx(0.0, abs=1e-3)  # of a move: weights minus one


def test_a_constant_path_is_left_where_it_is():
    rows = torch.ones(9, 20, dtype=torch.float64)
    move = moved(rows, 3, 2, 0.5)
    assert torch.isfinite(move).all()
    assert float(move.norm()) < 1e-12


@pytest.mark.parametrize("capacity", [5, 12, 30])
@pytest.mark.parametrize("looks", [(), (7,), (3, 11, 16)])
@pytest.mark.parametrize("block", [2, 256])
def test_the_gram_matrix_is_that_of_the_rows_held_however_often_it_was_asked_for(
    monkeypatch, capacity, looks, block
):
    monkeypatch.setattr(path_window, "BLOCK", block)
    rows = 3 + torch.randn(20, 33, generator=torch.Generator().manual_seed(1)).cumsum(0)
    segments = [slice(0, 20), slice(20, 33)]
    window = PathWindow(torch.empty(capacity, 33), segments)
    for count, row in enumerate(rows, 1):
        window.append(row)
        if count in looks:
            window.gram()
    held = rows[-min(capacity, 20) :].double()
    for index, segment in enumerate(segments):
        expected = held[:, segment] @ held[:, segment].T
        torch.testing.assert_close(window.gram(index), expected, rtol=1e-5, atol=1e-4)


def test_fact_10_the_oldest_row_of_a_full_window_is_dropped():
    rows = torch.arange(13.0).unsqueeze(1) * torch.tensor([1.0, -2.0, 4.0])
    window = window_of(rows, capacity=8)
    assert torch.equal(window.rows(), rows[5:])


def test_fact_10_rows_are_copies():
    live = torch.arange(3.0)
    window = window_of(live.unsqueeze(0), capacity=4)
    live += 100
    assert torch.equal(window.rows()[0], torch.arange(3.0))


def test_fact_10_the_interval_must_be_a_multiple_of_the_store_interval():
    with pytest.raises(ValidationError, match="5 is not a multiple of store_interval 2"):
        PPTBSettings(**PPTB | {"interval": 5})


def test_fact_10_the_buffer_starts_with_the_initial_policy_and_ends_with_the_current_one(build):
    trained = build("td3", [("pptb", PPTB | {"capacity": 40, "interval": 1000})], total=4000)
    policies = [trained.policy()[0]]
    for _ in range(10):
        trained.train(4)  # two policy updates: one snapshot
        policies.append(trained.policy()[0])
    rows = trained.plugins[0].windows[0].rows()
    assert torch.allclose(rows, torch.stack(policies), atol=1e-7)


def around_a_change(build, kind, overrides, learn_calls):
    trained = build(kind, [("pptb", PPTB | overrides)], seeds=(0, 1))
    trained.train(learn_calls - 1)
    trained.agent.update(batch_for(kind, trained.seeds, trained.updates))
    before = copy.deepcopy(trained.agent.state())
    trained.plugins[0].after_update(trained.agent)
    return trained, before, trained.agent.state()


@pytest.mark.parametrize("kind, learn_calls", [("td3", 16), ("dqn", 8), ("classifier", 8)])
def test_fact_11_only_the_policy_is_changed(build, kind, learn_calls):
    trained, before, after = around_a_change(build, kind, {}, learn_calls)
    policy = f"{trained.agent.policy}/flat"
    for name, value in after.items():
        same = torch.equal(torch.as_tensor(value), torch.as_tensor(before[name]))
        assert same is (name != policy), name


def test_fact_11_flat_vector_and_tensors_are_one(build):
    trained, _, _ = around_a_change(build, "dqn", {}, 8)
    parameters = trained.agent.groups["q"].parameters
    for part in parameters.slices:
        assert torch.equal(parameters.part(part), parameters.leaves[part.name])


def test_the_optimiser_is_reset_and_the_target_synced_on_request(build):
    overrides = {"reset_optimiser": True, "sync_target": True}
    _, before, after = around_a_change(build, "td3", overrides, 16)
    assert float(before["actor/optimiser/mean"].abs().sum()) > 0
    for moment in ("mean", "square"):
        assert float(after[f"actor/optimiser/{moment}"].abs().sum()) == 0
        assert torch.equal(
            after[f"critic/optimiser/{moment}"], before[f"critic/optimiser/{moment}"]
        )
    assert torch.equal(after["actor/target"], after["actor/flat"])
    assert not torch.equal(before["actor/target"], before["actor/flat"])


@pytest.mark.parametrize(
    "buffer_after, rows, newest_is_changed",
    [
        ("keep", 5, False),
        ("clear", 0, None),
        ("replace_last", 5, True),
        ("append_result", 6, True),
    ],
)
def test_the_buffer_after_a_change(build, buffer_after, rows, newest_is_changed):
    trained, before, after = around_a_change(build, "td3", {"buffer_after": buffer_after}, 16)
    for seed, window in enumerate(trained.plugins[0].windows):
        assert window.count == rows
        if newest_is_changed is not None:
            source = after if newest_is_changed else before
            assert torch.allclose(window.rows()[-1], source["actor/flat"][seed], atol=1e-7)
    trained.train(40)
    assert torch.isfinite(trained.flats()).all()


def test_a_replaced_row_counts_from_the_next_change_on():
    rows = random_path(20, 50)
    window = window_of(rows)
    window.trim_and_boost(3, 2, 0.1)
    replaced = rows.clone()
    replaced[-1] += 1.0
    window.replace_newest(replaced[-1])
    assert relative(window.trim_and_boost(3, 2, 0.1).vector, by_svd(replaced, 3, 2, 0.1)) < 1e-9


def with_one_diverged(build, buffer_after, seeds, diverged=2):
    """Training past two changes, which the seed that diverges skips."""
    settings = PPTB | {"buffer_after": buffer_after, "capacity": 9}
    trained = build("classifier", [("pptb", settings)], seeds=seeds).train(5)
    if diverged in seeds:
        trained.agent.groups["classifier"].parameters.flat[seeds.index(diverged), 3] = math.nan
    return trained.train(8)


@pytest.mark.parametrize("buffer_after", ["keep", "clear", "replace_last", "append_result"])
@pytest.mark.parametrize("seeds", [(2, 0, 1), (0, 1, 2)])
def test_windows_of_unequal_length_resume_in_another_group(build, buffer_after, seeds):
    whole = with_one_diverged(build, buffer_after, seeds)
    counts = {window.count for window in whole.plugins[0].windows}
    assert len(counts) == (2 if buffer_after in ("clear", "append_result") else 1)
    rows = {seed: copy.deepcopy(cut(whole.state(), i)) for i, seed in enumerate(seeds)}
    whole.train(10)
    for group in ((1, 2), (2, 0, 1), (0,), (2,)):
        resumed = build("classifier", [("pptb", whole.plugins[0].settings.model_dump())], group)
        resumed.load_state(stack([rows[seed] for seed in group]), 13)
        resumed.train(10)
        for i, seed in enumerate(group):
            found, expected = cut(resumed.state(), i), cut(whole.state(), seeds.index(seed))
            for name, array in expected.arrays.items():
                np.testing.assert_array_equal(found.arrays[name], array, err_msg=name)


@pytest.mark.parametrize("buffer_after", ["keep", "clear", "replace_last", "append_result"])
def test_what_is_saved_of_a_seed_does_not_depend_on_its_companions(build, buffer_after):
    together = with_one_diverged(build, buffer_after, (0, 2))
    for i, seed in enumerate((0, 2)):
        alone = cut(with_one_diverged(build, buffer_after, (seed,)).state(), 0)
        for name, array in cut(together.state(), i).arrays.items():
            np.testing.assert_array_equal(alone.arrays[name], array, err_msg=name)


def test_a_checkpoint_holds_the_snapshots_and_few_empty_rows(build):
    trained = build("classifier", ["pptb"], total=4000).train(8)
    assert trained.plugins[0].windows[0].count == 5
    assert trained.plugins[0].state()["increments"].shape[1] <= 7
    assert trained.train(60).plugins[0].state()["increments"].shape[1] == PPTB["capacity"]


def drifting(build, coefficient, capacity, steps):
    """Speed per interval of a policy that drifts by a constant step and is boosted at each one."""
    trained = build(
        "classifier",
        [
            (
                "pptb",
                PPTB
                | {
                    "capacity": capacity,
                    "store_interval": 1,
                    "interval": 1,
                    "trim_rank": None,
                    "boost_rank": 1,
                    "boost_coefficient": coefficient,
                },
            )
        ],
        total=steps,
    )
    group = trained.agent.groups["classifier"]
    plugin = trained.plugins[0]
    drift = torch.zeros_like(group.parameters.flat[0])
    drift[:4] = torch.tensor([1.0, -2.0, 0.5, 1.0]) * 2.0**-10
    group.parameters.flat.zero_()
    plugin.attach(trained.agent, steps)
    places = []
    for _ in range(steps):
        group.parameters.flat += drift
        group.steps += 1
        plugin.after_update(trained.agent)
        places.append(float(group.parameters.flat[0, 0] / drift[0]))
    return np.diff(places), plugin


@pytest.mark.filterwarnings("ignore:PPTB")
@pytest.mark.parametrize("product", [0.3, 0.6, 0.9])
def test_fact_14_boosting_settles_at_the_predicted_speed(build, product):
    intervals = 5  # spanned by a window of six rows
    speeds, _ = drifting(build, product / intervals, intervals + 1, 400)
    assert speeds[-1] == pytest.approx(1 / (1 - product), rel=0.01)


@pytest.mark.filterwarnings("ignore:PPTB")
def test_fact_14_boosting_diverges_beyond_one(build):
    speeds, plugin = drifting(build, 0.25, 6, 150)
    assert speeds[-1] > 100
    assert plugin.diagnostics()["boost_times_window"][0] == pytest.approx(1.5)


def test_fact_14_the_product_is_warned_of_from_one_on():
    with pytest.warns(UserWarning, match=r"= 10; from 1 on.*diverges"):
        PPTBPlugin(PPTBSettings(**PPTB | {"capacity": 40, "store_interval": 1, "interval": 4,
                                          "boost_coefficient": 1.0}))  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        PPTBPlugin(PPTBSettings(**PPTB))
        PPTBPlugin(PPTBSettings(**PPTB | {"boost_coefficient": 50.0, "boost_rank": 0}))


def test_fact_16_without_an_effect_nothing_is_stored(build):
    trained = build("td3", [("pptb", PPTB | {"trim_rank": None, "boost_rank": 0})]).train(40)
    assert trained.plugins[0].windows == []
    assert trained.plugins[0].state() == {}


def test_the_first_change_waits_for_more_rows_than_directions(build):
    base = build("classifier", [])
    trained = build("classifier", [("pptb", PPTB | {"trim_rank": 6, "capacity": 12})])
    # Snapshots after 2, 4, ... updates and the initial one: seven of them after twelve updates.
    assert torch.equal(base.train(11).flats(), trained.train(11).flats())
    assert trained.plugins[0].diagnostics()["move_to_norm"][0] == 0
    trained.train(1)
    assert not torch.equal(base.train(1).flats(), trained.flats())
    assert trained.plugins[0].diagnostics()["move_to_norm"][0] > 0


def test_policy_updates_are_counted_and_not_learn_calls(build):
    # TD3's actor is updated at every second learn call.
    for unit, first in (("policy_updates", 24), ("learn_calls", 12)):
        settings = PPTB | {"interval": 12, "unit": unit, "trim_rank": 2}
        trained = build("td3", [("pptb", settings)])
        trained.train(first - 1)
        assert trained.plugins[0].diagnostics()["move_to_norm"][0] == 0
        trained.train(1)
        assert trained.plugins[0].diagnostics()["move_to_norm"][0] > 0


def test_a_diverged_seed_is_left_alone_and_its_sibling_is_not(build):
    base = build("td3", ["pptb"], seeds=(0, 1)).train(40)
    trained = build("td3", ["pptb"], seeds=(0, 1)).train(10)
    trained.agent.groups["actor"].parameters.flat[1, 5] = math.nan
    trained.train(30)
    assert torch.equal(trained.flats()[0], base.flats()[0])
    assert not torch.isfinite(trained.flats()[1]).all()


@pytest.mark.parametrize(
    "bad, words",
    [
        ({"trim_rank": 1, "boost_rank": 2}, "boost_rank 2 is larger than trim_rank 1"),
        ({"trim_rank": 12}, "capacity 12 never allows a first change, which needs 13"),
        ({"interval": 0}, "greater than 0"),
        ({"capacity": 1}, "greater than or equal to 2"),
        ({"centre": "median"}, "'none', 'mean' or 'first'"),
        ({"trim_rank": 2.5}, "valid integer"),
        ({"momentum": 1}, "Extra inputs"),
    ],
)
def test_bad_settings_are_refused(bad, words):
    with pytest.raises(ValidationError, match=words):
        PPTBSettings(**PPTB | bad)


# Numerics.


@settings(max_examples=40, deadline=None)
@given(
    capacity=st.integers(3, 9),
    calls=st.lists(st.integers(1, 6), min_size=1, max_size=6),
    centre=st.sampled_from(["none", "mean", "first"]),
)
def test_an_incremental_window_equals_the_svd_of_its_rows(capacity, calls, centre):
    rows = random_path(sum(calls), 30, seed=sum(calls))
    window = window_of(rows[:0], capacity=capacity)
    stored = 0
    for appended in calls:
        for row in rows[stored : stored + appended]:
            window.append(row)
        stored += appended
        held = rows[max(0, stored - capacity) : stored]
        assert torch.allclose(window.rows(), held, atol=1e-10)
        if len(held) > 2:
            move = window.trim_and_boost(2, 1, 0.3, centre)
            assert torch.allclose(move.vector, by_svd(held, 2, 1, 0.3, centre), atol=1e-7)


@pytest.mark.parametrize("smoothness", [0.0, 0.9])
@pytest.mark.parametrize("offset", [1.0, 10.0])
def test_float32_agrees_with_a_float64_svd_to_1e_5_of_the_move(smoothness, offset):
    n, m = 300, path_window.LARGE + 1
    generator = torch.Generator().manual_seed(0)
    velocity = torch.zeros(m)
    place = offset * math.sqrt(n) * torch.randn(m, generator=generator)
    memory = torch.empty(n, m)
    window = PathWindow(memory, [slice(0, m)])
    rows = []
    for step in range(n + 50):
        velocity = smoothness * velocity + torch.randn(m, generator=generator)
        place = place + velocity
        window.append(place)
        rows.append(place)
        if step in (100, 250):
            window.trim_and_boost(16, 2, 0.1)
    held = torch.stack(rows[-n:]).double()
    move = window.trim_and_boost(16, 2, 0.1)
    vectors = torch.linalg.eigh(held @ held.T)[1]  # float64 of exactly these rows
    kept, leading = vectors[:, -16:], vectors[:, -2:]
    weights = kept @ kept[-1] + 0.1 * leading @ (leading[-1] - leading[0])
    weights[-1] -= 1
    reference = weights @ held
    assert relative(move.vector, reference) < 1e-5
    if offset == 10.0:
        # A float32 Gram matrix of the raw rows could not do this.
        raw = (held.float() @ held.float().T).double()
        vectors = torch.linalg.eigh(raw)[1]
        kept, leading = vectors[:, -16:], vectors[:, -2:]
        weights = kept @ kept[-1] + 0.1 * leading @ (leading[-1] - leading[0])
        weights[-1] -= 1
        assert relative(weights @ held, reference) > 1e-5


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(30, 120),
    ratio=st.floats(0.1, 1000.0),
    size=st.sampled_from([400, 5000]),
    smoothness=st.sampled_from([0.0, 0.9, 1.0]),
    trim_rank=st.none() | st.integers(2, 20),
    boost=st.sampled_from([0.0, 0.1, 1.0]),
    centre=st.sampled_from(["none", "mean", "first"]),
    dense_size=st.sampled_from([20, 512]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    seed=st.integers(0, 9),
)
def test_a_move_is_that_of_a_full_svd_however_far_from_the_origin(
    n, ratio, size, smoothness, trim_rank, boost, centre, dense_size, dtype, seed
):
    assume(trim_rank is not None or boost > 0)
    rows = far_path(n, size, ratio, smoothness, seed, dtype)
    window = window_of(rows[:0], capacity=n - 7)
    for row in rows:
        window.append(row)
    base = {"none": 0.0, "mean": rebuilt(window).mean(0), "first": rebuilt(window)[0]}[centre]
    sigma = torch.linalg.svdvals(rebuilt(window) - base)
    gaps = 1 - sigma[1:] / sigma[:-1]
    # Directions of nearly equal singular values are badly determined by the snapshots themselves.
    assume(all(gaps[rank - 1] > 1e-3 for rank in (trim_rank, 2 if boost else None) if rank))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(eigenpairs, "DENSE_SIZE", dense_size)
        move = window.trim_and_boost(trim_rank, 2, boost, centre)
    reference = by_svd(rebuilt(window), trim_rank, 2 if boost else 0, boost, centre)
    assert relative(move.vector, reference) < 1e-6


@pytest.mark.long
@pytest.mark.parametrize("ratio", [120, 400, 1000])
@pytest.mark.parametrize("drift", [0.0, 10.0])
@pytest.mark.parametrize(
    "trim_rank, boost, centre",
    [(64, 0.1, "none"), (64, 0.0, "none"), (8, 0.0, "mean"), (None, 0.1, "first")],
)
def test_a_large_window_moves_as_a_full_svd_says(ratio, drift, trim_rank, boost, centre):
    window = window_of(far_path(800, 1500, ratio, 0.0, 0, torch.float32, drift))
    move = window.trim_and_boost(trim_rank, 2, boost, centre)
    reference = by_svd(rebuilt(window), trim_rank, 2 if boost else 0, boost, centre)
    assert relative(move.vector, reference) < 1e-6


@pytest.mark.parametrize("centre", ["none", "mean", "first"])
@pytest.mark.parametrize("growth", [1.3, 2.0, 4.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_kept_energy_is_a_share_of_a_diverging_path_too(growth, dtype, centre):
    generator = torch.Generator().manual_seed(0)
    place, rows = torch.zeros(50).double(), []
    for _ in range(25):
        place = growth * place + torch.randn(50, generator=generator, dtype=torch.float64)
        rows.append(place)
    window = window_of(torch.stack(rows).to(dtype))
    held = rebuilt(window)
    base = {"none": 0.0, "mean": held.mean(0), "first": held[0]}[centre]
    u, sigma, _ = torch.linalg.svd(held - base, full_matrices=False)
    energy = (u[-1] * sigma).square()
    for trim_rank in (1, 2, 5, 24):
        kept = window.trim_and_boost(trim_rank, 1, 0.1, centre).kept_energy
        assert 0.0 <= kept <= 1.0
        assert kept == pytest.approx(float(energy[:trim_rank].sum() / energy.sum()), abs=1e-7)


@pytest.mark.parametrize("count", [1, 8, 32])
def test_lanczos_agrees_with_a_dense_decomposition(count):
    rows = random_path(700, 900, offset=3.0)
    matrix = rows @ rows.T
    values, vectors = eigenpairs.leading_eigenpairs(
        lambda block: block @ matrix, 700, count, matrix.device
    )
    reference = torch.linalg.eigvalsh(matrix).flip(0)[:count]
    assert torch.allclose(values, reference, rtol=1e-10)
    assert torch.allclose(vectors @ vectors.T, torch.eye(count).double(), atol=1e-10)
    residual = (vectors @ matrix - values.unsqueeze(1) * vectors).norm(dim=1)
    assert bool((residual < 1e-9 * values + 1e-14 * values[0]).all())


def test_many_equal_eigenvalues_fall_back_to_a_dense_decomposition():
    values, vectors = eigenpairs.leading_eigenpairs(
        lambda block: 2.0 * block, 600, 20, torch.device("cpu")
    )
    assert torch.allclose(values, torch.full((20,), 2.0).double())
    assert torch.allclose(vectors @ vectors.T, torch.eye(20).double(), atol=1e-12)


def test_low_rank_beyond_its_rank_is_handled():
    factor = random_path(600, 10)
    matrix = factor @ factor.T
    values, _ = eigenpairs.leading_eigenpairs(lambda block: block @ matrix, 600, 20, matrix.device)
    reference = torch.linalg.svdvals(factor) ** 2
    assert torch.allclose(values[:10], reference, rtol=1e-9)
    assert float(values[10:].abs().max()) < 1e-10 * float(reference[0])


@pytest.mark.parametrize("size", [64, 1024])
@pytest.mark.parametrize("height", [4.5, 2.0**30])
def test_an_eigenvalue_of_the_constant_vector_is_found_once_and_in_its_place(size, height):
    scale = torch.arange(1.0, 7.0, dtype=torch.float64)
    bits = torch.arange(size).unsqueeze(1) >> torch.arange(6) & 1
    factor = (2.0 * bits - 1.0) * scale  # orthogonal columns of zero sum, all without rounding
    matrix = (factor @ factor.T + height) / size
    values, vectors = eigenpairs.leading_eigenpairs(
        lambda block: block @ matrix, size, 9, matrix.device
    )
    expected = torch.cat((scale.square(), torch.tensor([height, 0.0, 0.0]).double()))
    expected = expected.sort(descending=True).values
    assert torch.allclose(values, expected, rtol=1e-12, atol=1e-12 + 1e-15 * height)
    assert torch.allclose(vectors @ vectors.T, torch.eye(9).double(), atol=1e-12)


@pytest.mark.filterwarnings("ignore:PPTB")
def test_memory_is_the_snapshots_and_little_more(build):
    trained = build("td3", [("pptb", PPTB | {"capacity": 2000})], seeds=(0, 1), total=100)
    plugin = trained.plugins[0]
    # Never more rows than the run can store, whatever the capacity.
    assert plugin.memory.shape[1] <= 100 // 2 + 100 // 4 + 2
    k, m = 2000, 71_952
    rows, others = 4 * k * m, 8 * k * k + 8 * k + 4 * m
    window = plugin.windows[0]
    held = [t for t in vars(window).values() if isinstance(t, torch.Tensor)]
    assert {id(t) for t in held} == {
        id(window.increments), id(window.products), id(window.along), id(window.newest)
    }  # fmt: skip
    assert (rows + others) / rows < 1.2
