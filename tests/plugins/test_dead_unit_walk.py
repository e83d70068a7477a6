"""The random-walk model of dead units."""

import numpy as np
import pytest

from suite.analysis.dead_unit_walk import DeadUnitWalk

SEEDS = range(8)


def walk(update, norm, seeds=SEEDS, steps=1000, **changes):
    settings = dict(dimension=100, update=update, norm=norm, step_size=1.0) | changes
    model = DeadUnitWalk(DeadUnitWalk.Settings(**settings), seeds)
    for _ in range(steps):
        model.advance()
    return model


@pytest.fixture(scope="module")
def figures():
    return {
        (update, norm): walk(update, norm).figures()
        for update in ("gradient", "sign")
        for norm in ("none", "rms", "layer")
    }


# Pilot values: eight seeds of this model in another program; spread between seeds below 0.03.
@pytest.mark.parametrize(
    "update, norm, expected",
    [
        ("gradient", "none", 0.98),
        ("gradient", "rms", 0.87),
        ("gradient", "layer", 0.85),
        ("sign", "none", 0.99),
    ],
)
def test_dead_units_accumulate(figures, update, norm, expected):
    assert figures[update, norm]["dead_fraction"].mean() == pytest.approx(expected, abs=0.03)


def test_norms_end_the_growth_of_dead_units_under_signs(figures):
    none = figures["sign", "none"]["dead_fraction_last_half"].mean()
    for norm in ("rms", "layer"):
        assert none - figures["sign", norm]["dead_fraction_last_half"].mean() > 0.3
        assert figures["sign", norm]["downward_moves"].min() > 20


def test_norms_only_slow_the_growth_of_dead_units_under_gradients(figures):
    none = figures["gradient", "none"]["dead_fraction"].mean()
    assert 0 < none - figures["gradient", "rms"]["dead_fraction"].mean() < 0.3


@pytest.mark.parametrize("update", ["gradient", "sign"])
def test_without_a_norm_dead_units_stay_dead(figures, update):
    assert (figures[update, "none"]["downward_moves"] == 0).all()


@pytest.mark.parametrize("norm", ["rms", "layer"])
def test_the_gradient_is_that_of_the_normalised_relu(norm):
    model = walk("gradient", norm, seeds=(0,), steps=5, dimension=12)
    noise = np.random.default_rng(0).standard_normal(12)

    def value(v):
        centred = v - v.mean() if norm == "layer" else v
        return noise @ np.maximum(centred / np.linalg.norm(centred), 0)

    v, h = model.values[0], 1e-6
    numeric = [(value(v + h * e) - value(v - h * e)) / (2 * h) for e in np.eye(12)]
    assert np.allclose(model._gradient(noise[None])[0], numeric, atol=1e-7)


@pytest.mark.parametrize("norm", ["none", "rms", "layer"])
def test_a_seed_does_not_depend_on_its_companions(norm):
    together, alone = walk("sign", norm, (4, 1, 9), 50), walk("sign", norm, (9,), 50)
    assert np.array_equal(together.history[2], alone.history[0])
    assert np.array_equal(together.values[2], alone.values[0])


def test_a_resumed_walk_equals_an_unbroken_one():
    unbroken = walk("sign", "layer", (0, 1), 30)
    saved = {key: np.copy(value) for key, value in unbroken.state().items()}
    resumed = walk("sign", "layer", (0, 1), 0)
    resumed.load_state(saved)
    for _ in range(20):
        unbroken.advance()
        resumed.advance()
    assert np.array_equal(resumed.history, unbroken.history)
    for name, value in unbroken.figures().items():
        assert np.array_equal(resumed.figures()[name], value)
