"""What the analysis of a path tells of paths whose nature is known."""

from types import SimpleNamespace

import numpy as np
import pytest

from suite.analysis.path_layers import spread
from suite.analysis.policy_path import PolicyPath, PolicyPathSettings, adam_of, risen
from suite.stats.nulls import stationary_path, walk_path

SIZES = {"hidden1": 300, "hidden2": 700, "output": 200}
ADAM = {"learning_rate": 1e-3, "adam_beta1": 0.9, "adam_beta2": 0.999}
BUDGET = 10_000
PADDING = 9


def tensors():
    """Starts of weights and biases, a tenth of each layer."""
    found, start = {}, 0
    for name, size in SIZES.items():
        found |= {f"{name}.weight": start, f"{name}.bias": start + size - size // 10}
        start += size
    return found


def analysed(path, returns=None, settings=ADAM, names=None, **analysis):
    """The figures of a path [n, m]."""
    names = tensors() if names is None else names
    recorded = SimpleNamespace(
        snapshots=len(path),
        size=path.shape[1],
        tensors=names,
        rows=lambda part: iter(path[:, part].astype(np.float32)),
    )
    spec = SimpleNamespace(agent=SimpleNamespace(settings=settings), budget=BUDGET, seed=0)
    series = {} if returns is None else {"return": returns}
    run = SimpleNamespace(path=lambda every: recorded, spec=spec, record={"series": series})
    return PolicyPath(PolicyPathSettings(**analysis)).analyse(run)


def walk(snapshots=120, sizes=1.0, seed=0):
    steps = np.random.default_rng(seed).standard_normal((snapshots - 1, sum(SIZES.values())))
    path = np.cumsum(np.vstack([0 * steps[:1], steps * sizes]), axis=0)
    return np.hstack([path, np.zeros((snapshots, PADDING))]).astype(np.float32)


def evaluations(values):
    return {"step": np.linspace(0, BUDGET, len(values)).tolist(), "value": list(map(float, values))}


def test_a_walk_is_told_as_the_walk_that_it_is():
    figures = analysed(walk()).figures
    for layer in (*SIZES, "all"):
        assert figures[f"detour_over_walk/{layer}"] == pytest.approx(1, abs=0.25)
        assert figures[f"still/{layer}"] == figures[f"unmoved/{layer}"] == 0
        for period in ("whole", "early", "middle", "later"):
            for null in ("walk", "fitted"):
                over = figures[f"over_{null}/dimensionality_80/{layer}/{period}"]
                assert over == pytest.approx(1, abs=0.2)
    assert figures["monotonicity"] > 0.99
    assert figures["sign_changes"] == pytest.approx(1, abs=0.15)
    assert figures["over_fitted/sign_changes"] == pytest.approx(1, abs=0.15)
    assert figures["coordinate_detour"] == pytest.approx(2, rel=0.3)
    assert abs(figures["first_apart"]) < 0.15


@pytest.mark.parametrize("what", ["accumulated", "detour"])
def test_what_parameters_of_a_walk_travel_is_what_is_told_of_a_walk(what):
    series = analysed(walk(400)).series
    shares, found = series[f"{what}_quantiles/hidden2"]
    also, expected = series[f"walk_{what}_quantiles/hidden2"]
    np.testing.assert_array_equal(shares, also)
    assert (shares[0], shares[-1]) == (0, 1)
    # Detours are those of the parameters that travel farthest.
    np.testing.assert_allclose(found[8:-8], expected[8:-8], rtol=0.2)


@pytest.mark.parametrize("growth", [-2.0, 0.0, 2.0])
def test_amplitudes_are_told_by_how_much_is_left_of_them(growth):
    time = np.linspace(0, 1, 400)[:, None]
    waves = np.sin(2 * np.pi * np.arange(2, 9) * time) * np.exp(growth * time)
    ways = np.linalg.qr(np.random.default_rng(0).standard_normal((sum(SIZES.values()), 8)))[0]
    path = np.hstack([np.hstack([50 * time, waves]) @ ways.T, np.zeros((400, PADDING))])
    figures = analysed(path.astype(np.float32)).figures
    assert figures["amplitude_kept"] == pytest.approx(np.exp(growth / 2), rel=0.1)


def test_the_leading_coordinates_of_an_exact_walk_change_sign_once_more_each():
    path = walk_path(500)
    found = analysed(path, names={"only.weight": 0})
    assert found.figures["sign_changes"] == 1.0
    assert found.figures["monotonicity"] == 1.0
    assert found.figures["dimensionality_80/only/whole"] == pytest.approx(117, abs=2)
    assert "largest_rise/dimensionality_80/only" in found.figures
    assert "first_apart" not in found.figures


def test_a_stationary_path_is_neither_monotone_nor_concentrated():
    figures = analysed(stationary_path(500, 0.9), names={"only.weight": 0}).figures
    assert figures["monotonicity"] < 0.9
    assert figures["dimensionality_50/only/whole"] == pytest.approx(72, abs=2)


def test_a_path_in_a_plane_has_two_directions():
    time = np.linspace(0, 1, 90)
    path = np.zeros((90, sum(SIZES.values())))
    path += np.outer(time, np.arange(path.shape[1])) + np.outer(
        np.sin(9 * time), np.ones(len(path.T))
    )
    figures = analysed(path.astype(np.float64)).figures
    assert figures["dimensionality_99/all/whole"] <= 2
    assert figures["over_fitted/dimensionality_80/all/whole"] <= 1


def test_parameters_that_hardly_travel_are_counted_and_those_that_never_do():
    path = walk()
    second = slice(SIZES["hidden1"], SIZES["hidden1"] + SIZES["hidden2"])
    path[:, second][:, :140] = 1.0
    path[:, second][:, 140:210] *= 0.01
    figures = analysed(path).figures
    assert figures["still/hidden2"] == pytest.approx(0.3)
    assert figures["unmoved/hidden2"] == pytest.approx(0.2)
    assert figures["still_moved/hidden2"] == pytest.approx(70 / 560)
    assert figures["still/hidden1"] == figures["still/output"] == 0
    assert figures["ks/hidden1/hidden2"] > 0.25 > figures["ks/hidden1/output"]
    assert figures["first_apart"] < 0
    assert figures["gini/hidden2"] > figures["gini/hidden1"] + 0.2


def test_padding_is_no_parameter():
    path = walk()
    figures = analysed(path).figures
    assert figures["unmoved/output"] == 0
    assert figures == analysed(path[:, :-PADDING]).figures


def test_a_learned_constant_is_in_no_layer():
    names = {"log_std.constant": 0, "hidden1.weight": 1}
    path = walk()[:, :300]
    path[:, 0] *= 100
    figures = analysed(path, names=names).figures
    assert "still/log_std" not in figures
    assert figures["dimensionality_50/all/whole"] < figures["dimensionality_50/hidden1/whole"]


def test_steps_that_grow_and_then_rest_make_periods_differ():
    sizes = np.repeat([1.0, 1.0, 0.02], 40)[:119, None]
    figures = analysed(walk(sizes=sizes)).figures
    later = figures["dimensionality_80/all/later"]
    assert later < figures["dimensionality_80/all/early"]
    assert figures["largest_rise/dimensionality_80/all"] < 0
    # That the walk rests far from where it began is told by its fit.
    assert figures["over_fitted/dimensionality_80/all/later"] == pytest.approx(1, abs=0.2)


def test_only_the_part_until_the_return_has_risen_has_coordinates():
    path = walk(200)
    values = np.concatenate([np.linspace(0, 10, 11), np.full(10, 10.0)])
    found = analysed(path, evaluations(values))
    assert risen(evaluations(values)) == 5000.0
    assert found.figures["looked_at"] == pytest.approx(0.5, abs=0.01)
    steps, curve = found.series["coordinate/1"]
    assert steps[0] == 0 and steps[-1] == pytest.approx(5000, abs=60)
    assert curve[-1] > curve[0]


def test_a_return_that_follows_time_is_tracked_no_better_than_time_does():
    figures = analysed(walk(), evaluations(np.arange(21))).figures
    assert figures["tracks_return/1"] > 0.99
    assert figures["return_with_time"] == pytest.approx(1)
    assert figures["tracks_return_less_time"] == pytest.approx(0, abs=0.01)


def test_a_return_that_follows_a_coordinate_and_not_time_is_told():
    time = np.linspace(0, 1, 120)
    along = np.sin(2 * np.pi * time) + time
    path = np.outer(along, np.ones(sum(SIZES.values()))) + 0.001 * walk()[:, :-PADDING]
    values = np.interp(np.linspace(0, 1, 41), time, along)
    figures = analysed(path, evaluations([*values[:-4], *[values.max() + 5] * 4])).figures
    assert figures["tracks_return_less_time"] > 0.2


def test_many_snapshots_are_thinned_but_all_of_the_way_counts():
    path = walk(400)
    thin, whole = (analysed(path, snapshots=most).figures for most in (100, 400))
    assert thin["snapshots"] == whole["snapshots"] == 400
    assert thin["detour/all"] == whole["detour/all"]
    assert thin["dimensionality_80/all/whole"] < 0.5 * whole["dimensionality_80/all/whole"]
    alone = analysed(path[spread(400, 100)]).figures
    assert thin["dimensionality_80/all/whole"] == alone["dimensionality_80/all/whole"]
    assert thin["monotonicity"] == pytest.approx(alone["monotonicity"], rel=1e-6)


def test_of_a_path_that_is_not_finite_or_too_short_only_its_length_is_known():
    broken = walk()
    broken[50, 3] = np.nan
    assert analysed(broken).figures == {"snapshots": 120.0}
    assert analysed(walk(5)).figures == {"snapshots": 5.0}


def test_reading_in_parts_changes_nothing(monkeypatch):
    whole = analysed(walk()).figures
    monkeypatch.setattr("suite.analysis.path_layers.HELD", 120 * 47)
    parts = analysed(walk()).figures
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        assert parts[name] == pytest.approx(value, rel=1e-9, abs=1e-12), name


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"actor_learning_rate": 3e-4, "adam_beta1": 0.9}, (3e-4, 0.9)),
        ({"learning_rate": 1e-3, "beta1": 0.5, "optimiser": "adam"}, (1e-3, 0.5)),
        ({"learning_rate": 1e-3, "beta1": 0.5, "optimiser": "rmsprop_centred"}, None),
        ({"step_size": 0.1}, None),
    ],
)
def test_only_adam_has_a_null_of_noise(settings, expected):
    assert adam_of(settings) == expected
    figures = analysed(walk(), settings=settings).figures
    assert ("noise/monotonicity" in figures) == (expected is not None)


def test_a_layer_at_zero_is_left_out_and_one_that_rests_travels_nowhere():
    path = walk()
    path[:, : SIZES["hidden1"]] = 0
    path[:, -SIZES["output"] - PADDING : -PADDING] = 1
    figures = analysed(path).figures
    assert not any("hidden1" in name for name in figures)
    assert figures["unmoved/output"] == 1
    assert figures["dimensionality_99/output/whole"] == 1
    assert np.isnan(figures["detour/output"])
    assert analysed(0 * path).figures == {"snapshots": len(path)}


def test_a_clone_is_looked_at_from_where_its_teacher_stopped():
    """A return that the clone has before it moves would end the look at once."""
    path, settings = walk(), ADAM | {"warmup_steps": 100, "collect_steps": BUDGET // 2}
    returns = evaluations([0] + [12] * 11 + [*range(12), 12])
    found = analysed(path, returns, settings)
    assert found.figures["looked_at"] > 0.8
    assert found.series["coordinate/1"][0][0] == BUDGET // 2
    assert found.figures["return_with_time"] > 0.9
    untaught = analysed(path, settings=ADAM | {"warmup_steps": 100})
    assert untaught.series["coordinate/1"][0][0] == 100
