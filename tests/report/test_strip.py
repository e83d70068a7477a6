import pytest

from suite.report.judged import Strip
from suite.stats.nulls import ResolvedNull
from suite.stats.verdicts import Comparison


def test_the_small_picture_has_interval_bound_and_null_on_one_axis() -> None:
    seen = Comparison(
        label="",
        observed=2.0,
        low=1.0,
        high=3.0,
        method="t",
        assumed=False,
        condition=False,
        above=0.0,
        below=None,
        supports=True,
        contradicts=False,
    )
    null = ResolvedNull(name="n", value=5.0, low=4.0, high=10.0, source="s")
    strip = Strip.of(seen, null)
    assert (strip.interval, strip.observed) == ((14.8, 32.4), 23.6)
    assert (strip.bounds, strip.wanted) == ((6.0,), (6.0, 100.0))
    assert (strip.null, strip.null_range) == (50.0, (41.2, 94.0))
    assert Strip.of(seen, None).null is None


@pytest.mark.parametrize(
    ("low", "high", "interval", "observed"),
    [
        (1.0, None, (94.0, 100.0), 100.0),
        (None, 1.0, (0.0, 94.0), 0.0),
        (None, None, None, 100.0),
    ],
)
def test_open_ends_reach_the_ends_of_the_axis(
    low: float | None, high: float | None, interval: object, observed: float
) -> None:
    seen = Comparison(
        label="",
        observed=None,
        low=low,
        high=high,
        method="order",
        assumed=False,
        condition=False,
        above=0.0,
        below=None,
        supports=False,
        contradicts=False,
    )
    strip = Strip.of(seen, None)
    assert (strip.interval, strip.observed) == (interval, observed)
