import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite.stats.correction import corrected, holm
from suite.stats.verdicts import Verdict


def verdict(claim: str, p_value: float | None, state: str = "supported", **parts: float) -> Verdict:
    document = {
        "claim": claim,
        "kind_of_claim": "paper",
        "state": state,
        "reason": "",
        "statistic": "",
        "p_value": p_value,
        "confidence": 0.95,
    }
    return Verdict.model_validate(document | parts)


def test_holm_multiplies_the_smallest_by_all_and_never_falls() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_lies_between_no_correction_and_bonferronis(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    for p, q in zip(p_values, adjusted, strict=True):
        assert p <= q <= min(1.0, len(p_values) * p)
    assert sorted(adjusted) == [adjusted[i] for i in np.argsort(p_values, kind="stable")]


def test_a_supported_claim_survives_only_below_its_share_of_the_error_rate() -> None:
    found = corrected([verdict("a", 0.01), verdict("b", 0.03), verdict("c", 0.5, "inconclusive")])
    assert [v.survives_correction for v in found] == [True, False, None]
    # Alone, the second would survive.
    assert corrected([verdict("b", 0.03)])[0].survives_correction is True


def test_claims_without_a_p_value_are_not_counted() -> None:
    found = corrected([verdict("a", 0.03), verdict("b", None), verdict("c", None, "not run")])
    assert [v.survives_correction for v in found] == [True, None, None]


def test_a_look_corrects_at_its_own_error_rate() -> None:
    assert corrected([verdict("a", 0.01, confidence=0.999)])[0].survives_correction is False


def test_the_share_of_studies_with_a_false_claim_that_survives_is_five_percent() -> None:
    p_values = np.random.default_rng(0).uniform(size=(500, 12))
    survives = [
        any(
            v.survives_correction
            for v in corrected([verdict(str(i), p) for i, p in enumerate(row)])
        )
        for row in p_values
    ]
    # At a true 5 %, more than 40 of 500 has a chance of 0.2 %; without correction it is 46 %.
    assert sum(survives) <= 40
    assert (p_values.min(axis=1) < 0.05).mean() > 0.4
