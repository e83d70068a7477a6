import pytest

from suite.report.numbers import confidence, interval, number, percent, seen
from suite.stats import sequential


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (-0.12345, "−0.123"), (9636.95, "9,637"), (12.0, "12"), (6.55e12, "6.55e+12")],
)
def test_numbers_are_short(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("share", "text"), [(None, "–"), (0.0042, "0.42 %"), (0.5, "50 %"), (0.0996, "10 %")]
)
def test_shares_are_percentages(share: float | None, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (-1.0, 2.5, "[−1, 2.5]"),
        (None, 2.5, "[open, 2.5]"),
        (0.0, None, "[0, open]"),
        (None, None, "no interval"),
    ],
)
def test_open_ends_are_no_numbers(low: float | None, high: float | None, text: str) -> None:
    assert interval(low, high) == text


def test_an_assumed_range_says_so() -> None:
    assert interval(1.0, 2.0, assumed=True) == "assumed [1, 2]"


def test_what_is_infinite_is_no_dash() -> None:
    assert (seen(None), seen(-2.0)) == ("infinite", "−2")


def test_no_confidence_is_rounded_to_certainty() -> None:
    told = [confidence(sequential.confidence(look)) for look in range(10)]
    assert told[:3] == ["96.7 %", "98.9 %", "99.63 %"]
    assert len({*told}) == 10 and "100 %" not in told
