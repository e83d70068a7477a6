"""Numbers taken from the series of a run."""

import pytest

from suite.specs.claims import SeriesFigure
from suite.stats.runs import NoFigureError, figure_values

# At steps 0, 10, ..., 80; what is unknown counts for nothing.
RISES = [1.0, 2.0, float("nan"), 3.0, 4.0, 9.0, 5.0, 7.0, 8.0]


def take(run, take):
    (value,) = figure_values([run], SeriesFigure(series="x", take=take))
    return value


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("first", 1.0),
        ("last", 8.0),
        ("max", 9.0),
        ("mean", 39 / 8),
        ("growth", 8.0),
        ("largest_growth", 9.0),
        ("rise", (7 + 8) / 2 - (1 + 2) / 2),
        ("first_half", (1 + 2 + 3 + 4) / 4),
        ("half_way", 50.0),  # the first to reach 5
    ],
)
def test_a_number_is_taken_from_the_known_points_of_a_series(make_run, what, value):
    assert take(make_run("a--b--c", 0, series={"x": RISES}), what) == pytest.approx(value)


def test_a_series_that_falls_is_half_way_where_it_starts(make_run):
    assert take(make_run("a--b--c", 0, series={"x": [3.0, 2.0, 1.0]}), "half_way") == 0.0


@pytest.mark.parametrize(
    ("values", "what", "words"),
    [
        ([float("nan")], "mean", "no finite value in series 'x'"),
        ([0.0, 1.0], "growth", "starts at 0, no growth"),
        ([1.0, 2.0, 3.0], "rise", "has 3 points, no rise"),
    ],
)
def test_what_can_not_be_taken_is_named(make_run, values, what, words):
    with pytest.raises(NoFigureError, match=words):
        take(make_run("a--b--c", 0, series={"x": values}), what)
