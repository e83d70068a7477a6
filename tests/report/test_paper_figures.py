import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from parsed_page import Page

from suite.report.figures import draw
from suite.report.judged import Judged
from suite.report.page import write_report
from suite.report.panels import lines_of
from suite.report.redrawing import redraw
from suite.report.references import references, walk_energy_lost
from suite.specs.figures import Beside, Recorded
from suite.specs.loading import load_project
from suite.specs.models import SCALES
from suite.specs.project import Project
from suite.stats.nulls import ResolvedNull, walk_path
from suite.stats.runs import Run, Series
from suite.stats.verdicts import judge

STEPS = np.array([0.0, 500.0, 1000.0])


@pytest.fixture(scope="module")
def papers() -> Project:
    return load_project(Path(__file__).parents[2])


@pytest.fixture(scope="module")
def judged(papers: Project) -> dict[str, Judged]:
    claims = [claim for study in papers.studies.values() for claim in study.claims]
    return {claim.id: Judged(claim, judge(claim, [])) for claim in claims}


def runs_of(
    papers: Project, cells: Sequence[str], scale: str, **series: Sequence[float]
) -> list[Run]:
    """Done runs of all seeds of cells, with the same values in each."""
    found = []
    for cell in papers.cells[scale]:  # type: ignore[index]
        for spec in cell.runs if cell.id in cells else ():
            points = {
                name.replace("__", "/"): Series(STEPS, np.array(values))
                for name, values in series.items()
            }
            found.append(
                Run(
                    spec.key(),
                    cell.id,
                    cell.scale,
                    spec.seed,
                    "done",
                    spec=spec.model_dump(mode="json"),
                    series=points,
                )
            )
    return found


@pytest.fixture(scope="module")
def panels(papers: Project, judged: dict[str, Judged]):  # type: ignore[no-untyped-def]
    """The panels of one figure of a study, from runs and, if others are given, claims."""

    def found(study: str, source: str, runs: list[Run], claims: dict[str, Judged] | None = None):  # type: ignore[no-untyped-def]
        redrawn = redraw(papers.studies.values(), runs, {**judged, **(claims or {})})
        (one,) = (r for r in redrawn[study] if r.figure.source == source)
        return one.panels

    return found


def test_with_all_runs_every_figure_has_a_panel_for_each_task(papers, judged) -> None:  # type: ignore[no-untyped-def]
    for study in papers.studies.values():
        assert study.figures
        for figure in study.figures:
            cells = [cell for task in figure.tasks for cell in figure.cells_of(task)]
            series = {
                figure.series.replace("*", "hidden1"): [0.9, 0.8, 0.7],
                "plugin/pptb/snapshots": [1.0, 30.0, 40.0],
            }
            runs = [r for scale in SCALES for r in runs_of(papers, cells, scale, **series)]
            drawn = redraw([replace(study, figures=(figure,))], runs, judged)[study.name]
            tasks = [panel.title.split(",")[0] for panel in drawn[0].panels]
            assert tasks == figure.tasks, figure.source


def test_the_largest_scale_that_has_two_arms_is_drawn(papers, panels) -> None:  # type: ignore[no-untyped-def]
    arms = [f"breakout--chain-ddqn--{plugins}" for plugins in ("none", "pptb")]
    runs = runs_of(papers, arms, "smoke", **{"return": [0.0, 1.0, 2.0]})
    runs += runs_of(papers, arms[:1], "short", **{"return": [0.0, 5.0, 9.0]})
    (panel,) = panels("ladder", "Table 3", runs)
    assert panel.title == "breakout, smoke, 4k steps"
    assert [line.label for line in panel.lines] == ["none", "pptb"]
    assert [(r.label, r.values[0]) for r in panel.references] == [("random play", 0.51)]
    assert panels("ladder", "Table 3", runs[-1:]) == ()
    runs += runs_of(papers, arms[1:], "short", **{"return": [0.0, 4.0, 8.0]})
    (panel,) = panels("ladder", "Table 3", runs)
    assert panel.title == "breakout, short, 300k steps"


def test_selection_scales_the_gain_over_random_play(papers, panels, judged) -> None:  # type: ignore[no-untyped-def]
    arms = [f"hopper--td3-official--{plugins}" for plugins in ("none", "pptb")]
    runs = runs_of(papers, arms, "smoke", **{"return": [0.0, 16.7, 116.7]})
    null = ResolvedNull(name="best of 12", value=1.1, low=0.9, high=1.5, source="drawn")
    one = judged["pptb-C10-auc"]
    claims = {"pptb-C10-auc": replace(one, verdict=one.verdict.model_copy(update={"null": null}))}
    (panel,) = panels("ladder", "Fig. 10 and Table 1", runs, claims)
    play, best = panel.references
    assert (play.label, best.label) == ("random play", "best of 12")
    assert np.isnan(best.values[:2]).all()
    ends = (best.low[2], best.values[2], best.high[2])
    assert ends == pytest.approx((106.7, 126.7, 166.7))
    unknown = {"pptb-C10-auc": replace(one, verdict=one.verdict.model_copy(update={"null": None}))}
    (panel,) = panels("ladder", "Fig. 10 and Table 1", runs, unknown)
    assert [reference.label for reference in panel.references] == ["random play"]


def test_selection_is_of_the_control_alone(papers, panels, judged) -> None:  # type: ignore[no-untyped-def]
    arms = [f"hopper--td3-official--{plugins}" for plugins in ("pptb", "pptb_trim")]
    runs = runs_of(papers, arms, "paper", **{"return": [0.0, 16.7, 116.7]})
    null = ResolvedNull(name="best of 12", value=1.1, low=0.9, high=1.5, source="drawn")
    one = judged["pptb-C10-auc"]
    claims = {"pptb-C10-auc": replace(one, verdict=one.verdict.model_copy(update={"null": null}))}
    (panel,) = panels("ladder", "Fig. 10 and Table 1", runs, claims)
    assert [reference.label for reference in panel.references] == ["random play"]


def test_lost_energy_is_drawn_beside_random_walks(papers, panels) -> None:  # type: ignore[no-untyped-def]
    runs = runs_of(
        papers,
        ["hopper--td3-official--pptb"],
        "smoke",
        plugin__pptb__kept_energy=[1.0, 0.9999, 0.999],
        plugin__pptb__snapshots=[1.0, 30.0, 40.0],
        weight_norms__norm__actor__hidden1=[3.0, 3.0, 5.0],
        weight_norms__norm__actor__output=[4.0, 4.0, 5.0],
    )
    (panel,) = panels("ladder", "section 4.1, the energy in few directions", runs)
    assert panel.logarithmic
    # Nothing is lost at first, which a logarithmic axis cannot show.
    assert panel.lines[0].mean == pytest.approx([0.0, 1e-4, 1e-3])
    assert np.isnan(panel.drawable(panel.lines[0].mean)).tolist() == [True, False, False]
    zero, grown = panel.references
    assert zero.values[2] == pytest.approx(walk_energy_lost(40, 16, 0.0))
    # The squared norm doubled: the walk started one displacement from zero.
    assert np.isnan(grown.values[1])
    assert grown.values[2] == pytest.approx(walk_energy_lost(40, 16, 1.0))


def test_what_falls_to_nothing_is_told_as_nothing_where_the_axis_ends(papers, panels) -> None:  # type: ignore[no-untyped-def]
    plain, norm = (f"random_labels--mlp-lr3e-3--{plugin}" for plugin in ("none", "ln_plain"))
    runs = runs_of(papers, [plain], "smoke", propagation__jacobian_norm=[3.0, 16.0, 0.0])
    runs += runs_of(papers, [norm], "smoke", propagation__jacobian_norm=[3.0, 16.0, 12.0])
    (panel,) = panels("nap", "Fig. 2, Jacobian", runs)
    assert panel.logarithmic
    assert [line.ends for line in panel.lines] == [(3.0, 0.0), (3.0, 12.0)]
    assert "from 3 to 0" in panel.alternative()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "10^{-" not in draw(panel), "the axis ends where there is something"


def test_arms_that_are_agents_are_labelled_by_agent(papers, panels) -> None:  # type: ignore[no-untyped-def]
    arms = [f"dead_unit_walk--walk-sign-{norm}--none" for norm in ("none", "rms", "layer")]
    runs = runs_of(papers, arms, "smoke", dead_fraction=[0.5, 0.6, 0.7])
    (panel,) = panels("nap", "Figs. 11 and 12, adaptive updates", runs)
    assert [line.label for line in panel.lines] == [arm.split("--")[1] for arm in arms]


def test_guessing_and_bounds_are_drawn(papers, panels) -> None:  # type: ignore[no-untyped-def]
    arms = [f"random_labels--mlp-lr3e-3--{plugins}" for plugins in ("none", "nap")]
    runs = runs_of(papers, arms, "smoke", online_accuracy=[0.9, 0.8, 0.7])
    (panel,) = panels("nap", "Figs. 2 and 5", runs)
    assert [(r.label, r.values[0]) for r in panel.references] == [("guessing", 0.1)]
    arms = [f"inverted_pendulum--td3-official--pptb_{how}" for how in ("stable", "unstable")]
    runs = runs_of(papers, arms, "smoke", weight_norms__ratio__actor__hidden1=[1.0, 2.0, 4.0])
    (panel,) = panels("ladder", "ours, to section 4.2", runs)
    assert [(r.kind, r.values[0]) for r in panel.references] == [("bound", 10.0)]


PRESETS = """\
tasks:
  coins:
    family: synthetic
    environment: random_labels
    arguments: {inputs: 8, dimensions: 4, classes: 2, batch_size: 4, steps_per_task: 10}
agents:
  slow: {kind: classifier, settings: &}
  fast: {kind: classifier, settings: &}
""".replace(
    "&",
    "{batch_size: 4, hidden_layers: 1, hidden_units: 8, learning_rate: 0.003, adam_beta1: 0.9, "
    "adam_beta2: 0.999, adam_epsilon: 0.00000001}",
)
OWN = """\
study: own
paper: A Paper of One's Own
cells:
  - tasks: [coins]
    agents: [slow, fast]
    plugins: [[]]
    scales: {smoke: {seeds: 3, budget: 1000, evaluate_every: 500, evaluation_episodes: 0}}
figures:
  - source: Fig. 7, right
    shows: errors on <tossed> coins
    cells: [{tasks: [coins], agents: [fast, slow], plugins: [[]]}]
    series: online_accuracy
    quantity: share of errors
    change: complement
    null: {kind: level, value: 0.5, label: a coin of one's own}
  - source: Fig. 8
    shows: what nobody recorded
    cells: [{tasks: [coins], agents: [slow, fast], plugins: [[]]}]
    series: of/nothing
    quantity: nothing
    axis: log
    null: {kind: control}
not_redrawn: Fig. 9 is a photograph.
"""


def test_a_study_of_ones_own_brings_its_figures(tmp_path: Path) -> None:
    (tmp_path / "tasks" / "studies").mkdir(parents=True)
    (tmp_path / "tasks" / "presets.yaml").write_text(PRESETS)
    (tmp_path / "tasks" / "studies" / "own.yaml").write_text(OWN)
    project = load_project(tmp_path)
    cells = ["coins--slow--none", "coins--fast--none"]
    runs = runs_of(project, cells, "smoke", online_accuracy=[0.5, 0.75, 0.9])
    write_report(project, runs, [], tmp_path)
    source = (tmp_path / "report.html").read_text(encoding="utf-8")
    section = source[source.index('<h3 id="figures-own"') : source.index('<section id="curves"')]
    page = Page(section)
    (figure,) = (attributes for tag, attributes in page.elements if tag == "figure")
    assert figure["aria-label"] == (
        "share of errors over steps 0 to 1,000. fast, seeds 0, 1, 2: from 0.5 to 0.1; slow, seeds "
        "0, 1, 2: from 0.5 to 0.1; null, a coin of one's own: 0.5."
    )
    assert "Fig. 7, right" in page.text and "errors on <tossed> coins" in page.text
    assert "Not redrawn yet, because runs are lacking: Fig. 8." in page.text
    assert "Not redrawn: Fig. 9 is a photograph." in page.text
    assert "stroke-dasharray: 44,33" in section


@pytest.mark.parametrize(
    ("snapshots", "rank", "start"), [(40, 16, 0.0), (40, 4, 0.0), (20, 3, 3.0)]
)
def test_the_walks_lost_energy_is_that_of_simulated_walks(
    snapshots: int, rank: int, start: float
) -> None:
    random = np.random.default_rng(0)
    path = random.normal(size=(snapshots, 20_000)).cumsum(axis=0)
    origin = random.normal(size=20_000)
    path += origin * start * np.linalg.norm(path[-1]) / np.linalg.norm(origin)
    kept = np.linalg.svd(path, full_matrices=False)[2][:rank]
    lost = 1 - np.sum((kept @ path[-1]) ** 2) / np.sum(path[-1] ** 2)
    assert walk_energy_lost(snapshots, rank, start) == pytest.approx(lost, rel=0.1)


@given(
    snapshots=st.integers(1, 60),
    rank=st.integers(1, 60),
    start=st.one_of(st.just(0.0), st.floats(1e-3, 20.0)),
)
def test_the_walks_lost_energy_is_that_of_its_gram_matrix(
    snapshots: int, rank: int, start: float
) -> None:
    path = walk_path(snapshots, offset=start)
    gram = path @ path.T
    values, vectors = np.linalg.eigh(gram)
    outside = slice(0, max(snapshots - rank, 0))
    lost = (vectors[-1, outside] ** 2 * values[outside]).sum() / gram[-1, -1]
    assert walk_energy_lost(snapshots, rank, start) == pytest.approx(lost, rel=1e-6, abs=1e-12)


def test_a_walk_farther_from_zero_loses_less() -> None:
    lost = [walk_energy_lost(40, 16, start) for start in (0.0, 0.5, 1.0, 3.0, 10.0)]
    assert lost == sorted(lost, reverse=True)
    assert walk_energy_lost(10, 16, 0.0) == 0.0


def test_what_several_lines_recorded_has_their_colours_and_that_of_one_has_none(papers) -> None:  # type: ignore[no-untyped-def]
    names = [f"breakout_first--chain-ddqn--{arm}" for arm in ("none", "nap_decay_affine")]
    found = runs_of(
        papers, names, "short", visits__breakout__1=[1, 2, 3], visits__breakout__2=[0, 1, 2]
    )
    cells = {name: [run for run in found if run.cell == name] for name in names}
    lines = lines_of(cells, {name: name for name in names}, ["visits/breakout/2"])
    first = Beside(series="visits/breakout/1", label="first visit")
    null = Recorded(kind="recorded", beside=(first,))
    assert [r.colour for r in references(null, lines, cells, {})] == [0, 1]
    assert [r.colour for r in references(null, lines[:1], cells, {})] == [None]
