import random
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from suite.report.figures import draw
from suite.report.judged import Judged, Strip
from suite.report.page import number, percent, write_report
from suite.report.panels import (
    Line,
    Panel,
    Reference,
    diagnostic_panels,
    grouped,
    learning_panels,
)
from suite.stats.nulls import ResolvedNull
from suite.stats.runs import Run, Series
from suite.stats.verdicts import Comparison, expectations, judge


class Page(HTMLParser):
    """Elements of a page as (tag, attributes), and its text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, attribute: str) -> list[str]:
        return [a[attribute] or "" for _, a in self.elements if attribute in a]


@pytest.fixture
def source(report: Path) -> str:
    return (report / "report.html").read_text(encoding="utf-8")


@pytest.fixture
def page(source: str) -> Page:
    return Page(source)


def test_each_claim_is_shown_with_its_verdict_reason_and_source(page, verdicts) -> None:  # type: ignore[no-untyped-def]
    assert [verdict.state for verdict in verdicts] == ["supported", "inconclusive", "inconclusive"]
    for verdict in verdicts:
        assert verdict.claim in page.text
        assert verdict.reason in page.text
        assert verdict.state in page.text
    assert "needs scale paper (more steps); ran at smoke, 1 % of the paper's budget" in page.text
    assert "Null: selection, 2.5 (resampled)" in page.text
    assert "the plug-in helps on hill | really" in page.text


def test_papers_come_first_and_then_what_their_verdicts_rest_on(source: str) -> None:
    papers = ("paper-first", "paper-second")
    rest = ("curves", "cost", "not-run", "evidence", "provenance", "appendix")
    places = [source.index(f'<section id="{name}"') for name in papers + rest]
    assert places == sorted(places)


def test_observed_null_and_paper_stand_side_by_side(source: str) -> None:
    row = next(r for r in re.findall(r'<tr role="row">.*?</tr>', source, re.S) if "first-C2" in r)
    cells = re.findall(r'<td role="cell"[^>]*data-name="(\w+)"[^>]*>(.*?)</td>', row, re.S)
    told = {name: re.sub(r"<[^>]*>|\s+", " ", cell) for name, cell in cells}
    assert list(told) == ["observed", "null", "paper", "reached"]
    assert told["observed"].split()[0] == "1.95"
    assert "2.5" in told["null"] and "selection" in told["null"]
    assert "a &lt;large&gt; gain" in told["paper"]
    assert "3 seeds a cell" in told["reached"] and "smoke" in told["reached"]


def test_each_open_claim_has_what_would_settle_it(source: str, page: Page) -> None:
    commands = re.findall(r"<pre[^>]*><code>(.*?)</code></pre>", source)
    assert [re.sub(r"</?span>", "", command) for command in commands] == [
        "suite run hill--climber--none hill--climber--pptb --scale paper",
        "suite run labels--learner--none labels--learner--pptb --scale smoke",
    ]
    assert "6 runs, about" in page.text


def test_all_links_lead_somewhere_and_no_id_is_used_twice(page: Page) -> None:
    ids = Counter(page.values("id"))
    assert {name: count for name, count in ids.items() if count > 1} == {}
    links = page.values("href") + page.values("xlink:href")
    assert len(links) > 20
    assert [link for link in links if not link.startswith("#") or link[1:] not in ids] == []


def test_nothing_is_loaded_from_elsewhere(page: Page, source: str) -> None:
    tags = [tag for tag, _ in page.elements]
    assert not {*tags} & {"link", "iframe", "object", "embed"}
    assert tags.count("script") == 1
    assert [src[:22] for src in page.values("src") if not src.startswith("data:image/png")] == []
    assert re.findall(r"url\((?!#)[^)]*\)|@import", source) == []
    assert "default-src 'none'" in source


def test_pictures_are_inside_the_page_and_said_in_words(project, runs, verdicts, tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "raycast_and_gl.png").write_bytes(b"not really a picture")
    write_report(project, runs, verdicts, tmp_path)
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    (image,) = (attributes for tag, attributes in page.elements if tag == "img")
    assert image["src"] == "data:image/png;base64,bm90IHJlYWxseSBhIHBpY3R1cmU="
    assert "casting rays" in (image["alt"] or "")


def test_every_figure_has_its_content_in_words_with_all_seeds(page: Page) -> None:
    figures = [attributes for tag, attributes in page.elements if tag == "figure"]
    assert len(figures) == 3
    told = figures[0]["aria-label"] or ""
    assert "none, seeds 0, 1, 2: from 1 to 5.0" in told
    assert "pptb, seeds 0, 1, 2: from 1 to 7.0" in told
    assert all("seeds 0, 1, 2" in (figure["aria-label"] or "") for figure in figures)


def test_a_diagnostic_that_never_changes_is_a_sentence(page: Page) -> None:
    assert "pptb: boost times window throughout: pptb 0.4." in page.text


def test_a_claim_says_how_sure_it_is_and_what_other_claims_leave_of_it(verdicts) -> None:  # type: ignore[no-untyped-def]
    def certainty(p_value: float | None, survives: bool | None) -> str:
        update = {"p_value": p_value, "survives_correction": survives}
        return Judged(SimpleNamespace(), verdicts[0].model_copy(update=update)).certainty  # type: ignore[arg-type]

    assert certainty(None, None) == ""
    assert certainty(0.0321, None) == "p = 0.032"
    assert certainty(1e-6, True).startswith("p < 0.001; holds after correction")
    assert "does not hold after correction" in certainty(0.02, False)


def test_an_interval_of_another_confidence_says_so(project, runs, verdicts, tmp_path) -> None:  # type: ignore[no-untyped-def]
    verdicts[0] = verdicts[0].model_copy(update={"confidence": 0.9986})
    write_report(project, runs, verdicts, tmp_path)
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert text.count("at 99.9 %") == 1
    assert "intervals of 99.9 %" in text


def test_the_small_picture_has_interval_bound_and_null_on_one_axis() -> None:
    seen = Comparison(
        label="",
        observed=2.0,
        low=1.0,
        high=3.0,
        method="t",
        above=0.0,
        below=None,
        supports=True,
        contradicts=False,
    )
    null = ResolvedNull(name="n", value=5.0, low=4.0, high=10.0, source="s")
    strip = Strip.of(seen, null)
    assert (strip.low, strip.observed, strip.high) == (14.8, 23.6, 32.4)
    assert (strip.bounds, strip.wanted) == ((6.0,), (6.0, 100.0))
    assert (strip.null, strip.null_range) == (50.0, (41.2, 94.0))
    assert Strip.of(seen, None).null is None


def test_figures_follow_the_colours_of_the_page(source: str) -> None:
    assert "prefers-color-scheme: dark" in source
    svgs = re.findall(r"<svg aria-hidden.*?</svg>", source, flags=re.DOTALL)
    assert len(svgs) == 3
    for svg in svgs:
        assert "currentColor" in svg
        assert re.findall(r"#0[0-9a-f]{5}\b", svg) == []


def test_failed_runs_are_named_with_their_reason(page: Page) -> None:
    assert "failed: ValueError: <odd> labels" in page.text
    assert "failed: labels--learner--none seeds 0, 1, 2" in page.text


def test_diverged_seeds_are_named_beside_the_curves(project, runs, tmp_path) -> None:  # type: ignore[no-untyped-def]
    runs[0] = replace(runs[0], state="diverged", message="not finite at step 50")
    verdicts = [
        judge(claim, runs, expectations(project))
        for study in project.studies.values()
        for claim in study.claims
    ]
    write_report(project, runs, verdicts, tmp_path)
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "seeds 1 2; 0 diverged" in text
    assert "diverged: not finite at step 50" in text
    assert "3 seeds each, 600 steps; 1 diverged" in text


def test_runs_beyond_the_plan_without_a_result_are_named(project, runs, verdicts, tmp_path) -> None:  # type: ignore[no-untyped-def]
    runs.append(Run("c0ffee", "hill--climber--none", "smoke", 7, "corrupt", "a.json: no JSON"))
    runs.append(Run("badcafe", "hill--climber--none", "smoke", 8, "queued"))
    write_report(project, runs, verdicts, tmp_path)
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    rows = text[text.index("What was not run") : text.index("Scale paper:")]
    assert "corrupt: a.json: no JSON" in rows
    assert "8not started" in rows


def test_what_has_not_begun_is_listed_by_scale(page: Page) -> None:
    assert "Scale paper: 4 cells not started, 120k steps." in page.text
    assert "suite run --scale paper" in page.text


def test_cost_and_provenance_name_where_and_how_long(page: Page, runs: list[Run]) -> None:
    assert "environment 30 %, update 60 %" in page.text
    # 6 s for 100 learn calls.
    assert page.text.count("60environment 30 %") == 2
    assert "a <quick> one" in page.text
    assert "commit abc123" in page.text
    for run in runs[:6]:
        assert f"run-{run.key}" in page.values("id")


def test_a_number_leads_to_its_runs_and_these_to_their_settings(
    page: Page, runs: list[Run]
) -> None:
    links = set(page.values("href"))
    ids = set(page.values("id"))
    for run in runs[:6]:
        assert {f"#run-{run.key}", f"#settings-{run.cell}-smoke"} <= links
        assert f"settings-{run.cell}-smoke" in ids
    assert '"rate": 0.1' in page.text
    assert '"seed"' not in page.text


def test_returns_are_drawn_beside_random_play(runs: list[Run]) -> None:
    group, cells = next(iter(grouped(runs).items()))
    (panel,) = learning_panels(cells, group)
    assert [(r.kind, r.told) for r in panel.references] == [("null", "random play: 1")]


def test_the_same_inputs_in_any_order_give_the_same_bytes(
    project, runs, verdicts, source, report, tmp_path
) -> None:  # type: ignore[no-untyped-def]
    summary = (report / "summary.md").read_text(encoding="utf-8")
    random.Random(1).shuffle(runs)
    write_report(project, runs, list(reversed(verdicts)), tmp_path)
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == source
    assert (tmp_path / "summary.md").read_text(encoding="utf-8") == summary


def test_without_any_run_the_report_says_so(project, tmp_path) -> None:  # type: ignore[no-untyped-def]
    verdicts = [judge(claim, []) for study in project.studies.values() for claim in study.claims]
    write_report(project, [], verdicts, tmp_path)
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "Nothing has been trained yet" in text
    assert "3– not run" in text
    assert "No comparison is in reports/side_by_side/" in text
    assert "Scale smoke: 4 cells not started" in text


def test_the_summary_is_a_table_in_markdown(report: Path) -> None:
    lines = (report / "summary.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| first-C1")]
    assert len(rows) == 1
    cells = re.split(r"(?<!\\) \| ", rows[0].strip("| "))
    assert cells[1:6] == [
        "the plug-in helps on hill \\| really",
        "✓ supported",
        "1.95 [1.63, 2.28]",
        "–",
        "smoke, 3 seeds",
    ]
    assert "| selection: 2.5 |" in next(line for line in lines if line.startswith("| first-C2"))
    assert "- first-C2: `suite run hill--climber--none hill--climber--pptb --scale paper`" in lines


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


def test_labels_of_axes_keep_their_digits() -> None:
    assert ">0.004</text>" in draw(Panel("p", "t", "q", "", lines(5, 2)))


def test_a_figure_does_not_grow_with_evaluations_and_seeds() -> None:
    few, many = (
        draw(Panel("p", "t", "q", "", lines(evaluations, seeds)))
        for evaluations, seeds in ((80, 10), (2000, 100))
    )
    assert len(many) < len(few) < 30_000


def test_nulls_are_dashed_and_bounds_dotted() -> None:
    line = lines(5, 2)
    at = np.array([0.0, 0.004])
    for kind, dashes in (("null", "4.4,3.3"), ("bound", "1.1,2.2")):
        reference = Reference("r", kind, at, np.array([0.003, 0.003]))  # type: ignore[arg-type]
        panel = Panel("p", "t", "q", "", line, (reference,))
        assert f"stroke-dasharray: {dashes}" in draw(panel)
        assert f"{kind}, r: 0.003" in panel.alternative()


def test_a_line_has_students_interval() -> None:
    line = Line("x", 0, np.array([0.0]), np.array([[1.0], [2.0], [3.0]]), (0, 1, 2), ())
    low, high = line.interval()  # type: ignore[misc]
    assert high[0] - 2.0 == pytest.approx(4.302653 / np.sqrt(3), rel=1e-6)
    assert 2.0 - low[0] == pytest.approx(4.302653 / np.sqrt(3), rel=1e-6)
    assert Line("x", 0, np.array([0.0]), np.array([[1.0]]), (0,), ()).interval() is None


def test_layers_of_a_diagnostic_are_averaged(runs: list[Run]) -> None:
    group, cells = next(iter(grouped(runs).items()))
    norms = next(p for p in diagnostic_panels(cells, group) if p.quantity == "weight norm ratio")
    assert norms.note == "mean over layers"
    assert norms.lines[0].mean[1] == pytest.approx(2.0)


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
    assert panel.lines[0].seeds == (0, 1)


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
