import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from suite.analysis.registry import ANALYSES, diagnostics
from suite.report import figures
from suite.report.figures import draw
from suite.report.panels import (
    Line,
    Panel,
    Reference,
    diagnostic_panels,
    grouped,
    learning_panels,
)
from suite.stats.runs import Run, Series


def test_returns_are_drawn_beside_random_play(runs: list[Run]) -> None:
    group, cells = next(iter(grouped(runs).items()))
    (panel,) = learning_panels(cells, group)
    assert [(r.kind, r.told) for r in panel.references] == [("null", "random play: 1")]


@pytest.mark.parametrize(("last", "is_logarithmic"), [(500.0, False), (5e3, True)])
def test_a_diagnostic_that_grows_a_thousandfold_has_a_logarithmic_axis(
    runs: list[Run], last: float, is_logarithmic: bool
) -> None:
    grown = Series(np.array([0.0, 50.0, 100.0]), np.array([1.0, 2.0, last]))
    runs = [replace(run, series={"plugin/pptb/size": grown}) for run in runs]
    group, cells = next(iter(grouped(runs).items()))
    (panel,) = diagnostic_panels(cells, group)
    assert panel.logarithmic is is_logarithmic
    assert ("10^{" in draw(panel)) is is_logarithmic


def lines(evaluations: int, seeds: int) -> tuple[Line, ...]:
    steps = np.arange(evaluations) / 1000
    curves = np.random.default_rng(0).normal(0.004, 0.001, (seeds, evaluations))
    return (Line("x", 0, steps, curves, tuple(range(seeds)), ()),)


def test_a_logarithmic_axis_reaches_down_to_a_mean_that_is_below_all_seeds_it_shows() -> None:
    # One seed stays at 1 and the others fall to 0, so that the mean is 1/150.
    curves = np.array([[1.0, 1.0], *[[1.0, 0.0]] * 149])
    line = Line("x", 0, np.arange(2.0), curves, tuple(range(150)), ())
    assert "10^{-2}" in draw(Panel("p", "t", "q", "", (line,), logarithmic=True))


def test_labels_of_axes_keep_their_digits() -> None:
    assert ">0.004</text>" in draw(Panel("p", "t", "q", "", lines(5, 2)))


def test_the_page_has_the_rules_of_drawings() -> None:
    css = (Path(figures.__file__).parent / "templates/page.css").read_text(encoding="utf-8")
    panel = Panel("p", "t", "q", "", lines(5, 2))
    drawn = draw(panel) + draw(replace(panel, logarithmic=True))
    for name, style in figures.RULES.items():
        assert f"figure svg .{name} {{ {style} }}\n" in css
        assert f'class="{name}"' in drawn and style not in drawn


def test_figures_of_a_page_share_no_ids() -> None:
    found = [
        re.findall(r' id="([^"]+)"', draw(Panel(name, "t", "q", "", lines(5, 2)))) for name in "pq"
    ]
    assert found[0]
    assert len({name for names in found for name in names}) == len(found[0]) + len(found[1])
    for reference in re.findall(
        r'(?:url\(|href=")#([^)"]+)', draw(Panel("p", "t", "q", "", lines(5, 2)))
    ):
        assert reference in found[0]


def test_a_figure_does_not_grow_with_evaluations_and_seeds() -> None:
    few, many = (
        draw(Panel("p", "t", "q", "", lines(evaluations, seeds)))
        for evaluations, seeds in ((80, 10), (2000, 100))
    )
    assert len(many) < len(few) < 30_000


@pytest.mark.parametrize(("count", "seeds", "shown"), [(3, 10, 3), (4, 8, 0), (2, 11, 0)])
def test_seeds_are_thin_lines_where_they_can_be_told_apart(
    count: int, seeds: int, shown: int
) -> None:
    several = tuple(replace(lines(5, seeds)[0], colour=colour) for colour in range(count))
    panel = Panel("p", "t", "q", "", several)
    assert draw(panel).count('class="seed"') == shown  # those of a line are one path
    assert draw(panel).count('class="mean"') == count
    assert draw(replace(panel, diagnostic=True)).count('class="seed"') == 0


def test_nulls_are_dashed_bounds_dotted_comparisons_both_and_ceilings_whole() -> None:
    line = lines(5, 2)
    at = np.array([0.0, 0.004])
    for kind, dashes in (
        ("null", ["44,33"]),
        ("bound", ["11,22"]),
        ("comparison", ["88,22,16.5,22"]),
        ("ceiling", []),
    ):
        reference = Reference("r", kind, at, np.array([0.003, 0.003]))  # type: ignore[arg-type]
        panel = Panel("p", "t", "q", "", line, (reference,))
        assert re.findall(r"stroke-dasharray: ([\d.,]+)", draw(panel)) == dashes
        assert f"{kind}, r: 0.003" in panel.alternative()


def test_a_reference_of_one_of_several_lines_has_its_colour() -> None:
    at = np.array([0.0, 1000.0])
    line = Line("a", 2, at, np.array([[1.0, 2.0]]), (0,), ())
    own = Reference("first visit", "null", at, np.array([0.0, 1.0]), colour=2)
    everyones = replace(own, colour=None)
    shown = draw(Panel("p", "t", "q", "", (line,), (own, everyones)))
    dashed = re.findall(r"stroke-dasharray: [\d.,]+[^>]*stroke: ([^;\"]+)", shown)
    assert dashed == ["var(--line-2)", "currentColor"]


def test_a_line_has_students_interval() -> None:
    line = Line("x", 0, np.array([0.0]), np.array([[1.0], [2.0], [3.0]]), (0, 1, 2), ())
    low, high = line.interval()  # type: ignore[misc]
    assert high[0] - 2.0 == pytest.approx(4.302653 / np.sqrt(3), rel=1e-6)
    assert 2.0 - low[0] == pytest.approx(4.302653 / np.sqrt(3), rel=1e-6)
    assert Line("x", 0, np.array([0.0]), np.array([[1.0]]), (0,), ()).interval() is None


def test_layers_of_a_diagnostic_are_averaged(runs: list[Run]) -> None:
    group, cells = next(iter(grouped(runs).items()))
    norms = next(p for p in diagnostic_panels(cells, group) if p.quantity == "weight norms: ratio")
    assert norms.note == "mean over layers"
    assert norms.lines[0].mean[1] == pytest.approx(2.0)


def test_visits_to_a_game_are_not_averaged(runs: list[Run]) -> None:
    steps = np.array([1000.0, 2000.0])
    for i, run in enumerate(runs):
        visits = {f"visits/breakout/{n}": Series(steps, np.full(2, float(n))) for n in (1, 2)}
        runs[i] = replace(run, series={**run.series, **visits}, analyses={"visits": 2})
    group, cells = next(iter(grouped(runs).items()))
    shown = [p for p in diagnostic_panels(cells, group) if p.quantity.startswith("visits")]
    assert [p.quantity for p in shown] == ["visits: breakout: 1", "visits: breakout: 2"]
    assert [p.lines[0].mean[0] for p in shown] == [1.0, 2.0]
    assert [(p.note, p.over) for p in shown] == [("", "steps since the switch")] * 2


def test_networks_and_orders_of_a_subspace_are_not_averaged(runs: list[Run]) -> None:
    steps = np.array([1000.0, 2000.0])
    values = {"actor": 0.2, "critic": 0.9}
    named = {f"gradient_subspaces/fraction/{group}/algebraic": values[group] for group in values}
    named |= {name.replace("algebraic", "magnitude"): 0.5 for name in named}
    named |= {f"{name}/1": 0.1 for name in named}
    series = {name: Series(steps, np.full(2, value)) for name, value in named.items()}
    runs = [replace(run, series=series, analyses={"gradient_subspaces": 1}) for run in runs]
    group, cells = next(iter(grouped(runs).items()))
    shown = {p.quantity: p.lines[0].mean[0] for p in diagnostic_panels(cells, group)}
    assert shown == {
        f"gradient subspaces: fraction: {name}: algebraic": pytest.approx(value)
        for name, value in values.items()
    }


def test_what_is_not_over_steps_says_over_what_it_is(runs: list[Run]) -> None:
    spectrum = Series(np.array([1.0, 2.0, 3.0]), np.array([9.0, 4.0, 1.0]))
    series = {"gradient_subspaces/final_spectrum/critic": spectrum}
    runs = [replace(run, series=series, analyses={"gradient_subspaces": 1}) for run in runs]
    group, cells = next(iter(grouped(runs).items()))
    (panel,) = diagnostic_panels(cells, group)
    assert ">number of the eigenvalue</text>" in draw(panel)


def test_an_analysis_that_is_not_installed_is_in_no_diagnostic(runs: list[Run]) -> None:
    series = {"elsewhere/x": Series(np.array([1.0, 2.0]), np.array([1.0, 2.0]))}
    runs = [replace(run, series=series, analyses={"elsewhere": 1}) for run in runs]
    group, cells = next(iter(grouped(runs).items()))
    assert diagnostic_panels(cells, group) == []


def test_series_of_every_analysis_are_drawn() -> None:
    assert not [kind for kind, made in ANALYSES.items() if not diagnostics(made)]


def test_a_path_is_where_it_was_after_rounding() -> None:
    random = np.random.default_rng(0)
    points = random.uniform(-2000, 4000, (500, 2))
    path = "M " + " \nL ".join(f"{x:.6f} {y:.6f}" for x, y in points) + " "
    short = figures._short_path(path)
    moves = [float(n) for n in re.findall(r"-?\d+", short)]
    ends = np.cumsum(np.reshape(moves, (-1, 2)), axis=0)
    assert np.abs(ends - points).max() < 0.501
    assert figures._short_path("M 1 2 Q 1 2 3 4") == "M 1 2 Q 1 2 3 4"


def test_stale_runs_are_in_no_figure(runs: list[Run]) -> None:
    stale = [replace(run, stale="older") for run in runs]
    assert grouped(stale) == {}


def test_seeds_with_other_steps_are_left_out_of_a_mean(runs: list[Run]) -> None:
    shorter = {
        name: replace(series, steps=series.steps[:2], values=series.values[:2])
        for name, series in runs[2].series.items()
    }
    runs[2] = replace(runs[2], series=shorter)
    group, cells = next(iter(grouped(runs).items()))
    panel: Panel = learning_panels(cells, group)[0]
    assert panel.lines[0].seeds == (0, 1, 3, 4, 5, 6, 7)
