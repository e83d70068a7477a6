from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from suite.specs.claims import ClaimSpec
from suite.stats import sequential
from suite.stats.columns import Column
from suite.stats.power import power, seeds_to_settle

A, B = "toy--agent--none", "toy--agent--norm"
Claims = Callable[..., ClaimSpec]


def difference(make_claim: Claims, **parts: Any) -> ClaimSpec:
    sides = {"treatment": [B], "control": [A], "paired": True, "direction": "greater"}
    return make_claim(kind="difference", **(sides | parts))


def columns(mean: float, seeds: int = 8) -> dict[str, Column]:
    """Differences with this mean and a sample deviation of 1."""
    spread = stats.norm.ppf((np.arange(seeds) + 0.5) / seeds)
    values = mean + spread / spread.std(ddof=1)
    names = tuple(range(seeds))
    return {A: Column(names, np.zeros(seeds)), B: Column(names, values)}


def power_of_t(effect: float, seeds: int, confidence: float = 0.95) -> float:
    reach = stats.t.isf((1 - confidence) / 2, seeds - 1)
    return float(stats.nct.sf(reach, seeds - 1, effect * seeds**0.5))


@pytest.mark.parametrize(("effect", "seeds"), [(0.5, 20), (1.0, 9), (0.5, 40)])
def test_power_by_resampling_is_that_of_a_t_test(make_claim: Claims, effect, seeds) -> None:  # type: ignore[no-untyped-def]
    seen = power(difference(make_claim), columns(effect), seeds, confidence=0.95, draws=400)
    # The standard error of 400 draws is 2.5 %, and eight values are no normal distribution.
    assert seen == pytest.approx(power_of_t(effect, seeds), abs=0.08)


def settled(spec: ClaimSpec, of: dict[str, Column], planned: int = 8, **parts: Any) -> int | None:
    return seeds_to_settle(spec, of, planned=planned, look=0, **parts)


def test_seeds_to_settle_are_those_of_the_first_coming_look_with_a_power_of_eighty_percent(
    make_claim: Claims,
) -> None:
    for effect, look in ((0.6, 3), (0.75, 2), (1.3, 1)):
        seeds = settled(difference(make_claim), columns(effect))
        assert seeds == sequential.seeds(8, look)
        # A power of t is clearly on its side of 80 % at this look and at the one before.
        assert power_of_t(effect, seeds, sequential.confidence(look)) > 0.85
        if look > 1:
            before = sequential.confidence(look - 1)
            assert power_of_t(effect, seeds // 2, before) < 0.75


def test_a_look_that_was_there_does_not_settle_what_it_left_open(make_claim: Claims) -> None:
    found = seeds_to_settle(difference(make_claim), columns(1.2), planned=8, look=2)
    assert found == sequential.seeds(8, 3)


def test_few_seeds_do_not_make_the_spread_look_smaller(make_claim: Claims) -> None:
    # Three values have a deviation of 1; drawn with replacement they would have 0.82.
    few, many = (
        power(difference(make_claim), columns(0.5, seeds=n), 30, confidence=0.95) for n in (3, 30)
    )
    assert few == pytest.approx(many, abs=0.08)


def test_an_effect_the_other_way_is_settled_as_well(make_claim: Claims) -> None:
    assert [settled(difference(make_claim), columns(effect)) for effect in (0.75, -0.75)] == [
        32,
        32,
    ]


def test_what_lies_between_falsifier_and_margin_is_never_settled(make_claim: Claims) -> None:
    spec = difference(make_claim, margin=1.0, falsifier=0.0)
    assert settled(spec, columns(0.5)) is None


def test_a_null_that_is_not_beaten_is_never_settled(make_claim: Claims) -> None:
    assert settled(difference(make_claim), columns(0.5), beaten=lambda bounds: False) is None


def test_pairs_stay_together_when_seeds_are_drawn(make_claim: Claims) -> None:
    names, shared = tuple(range(6)), np.array([0.0, 50.0, 10.0, 90.0, 20.0, 70.0])
    noise = np.array([0.1, -0.1, 0.2, -0.2, 0.1, -0.1])
    both = {A: Column(names, shared), B: Column(names, shared + 0.1 + noise)}
    paired = settled(difference(make_claim), both)
    assert paired is not None and paired < 100
    assert settled(difference(make_claim, paired=False), both) is None


def test_readings_of_cost_are_never_settled_by_seeds(make_claim: Claims) -> None:
    spec = make_claim(kind="cost", clock={"seconds": "plugin/pptb"}, measured=[A], bound=0.05)
    assert settled(spec, {A: Column((0, 1), np.array([0.04, 0.06]))}) is None


def test_the_same_runs_give_the_same_number(make_claim: Claims) -> None:
    found = {settled(difference(make_claim), columns(0.4)) for _ in range(2)}
    assert len(found) == 1
