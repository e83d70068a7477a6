import random
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from parsed_page import Page

from suite.report.page import write_report
from suite.stats.runs import Run
from suite.stats.verdicts import expectations, judge


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
    assert told["observed"].split()[0] == "2.01"
    assert "2.5" in told["null"] and "selection" in told["null"]
    assert "a &lt;large&gt; gain" in told["paper"]
    assert "8 seeds a cell" in told["reached"] and "smoke" in told["reached"]


def test_claims_that_are_not_run_are_folded_away_with_what_would_settle_them(  # type: ignore[no-untyped-def]
    project, runs, tmp_path
) -> None:
    there = [run for run in runs if run.cell.startswith("hill")]
    claims = [claim for study in project.studies.values() for claim in study.claims]
    verdicts = [judge(claim, there, expectations(project)) for claim in claims]
    waiting = [verdict.claim for verdict in verdicts if verdict.state == "not run"]
    assert 0 < len(waiting) < len(claims)
    write_report(project, there, verdicts, tmp_path)
    source = (tmp_path / "report.html").read_text(encoding="utf-8")
    papers = source[source.index('id="paper-first"') : source.index('id="curves"')]
    folded = "".join(re.findall(r"<details>.*?</details>", papers, re.S))
    for claim in claims:
        assert (f">{claim.id}</a>" in folded) == (claim.id in waiting)
        assert papers.count(f">{claim.id}</a> ·") == 1
    assert "1 claim without runs" in folded


def test_each_open_claim_has_what_would_settle_it(source: str, page: Page) -> None:
    commands = re.findall(r"<pre[^>]*><code>(.*?)</code></pre>", source)
    assert [re.sub(r"</?span>", "", command) for command in commands] == [
        "suite run hill--climber--none hill--climber--pptb --scale paper",
        "suite run labels--learner--none labels--learner--pptb --scale smoke",
    ]
    assert "16 runs, about" in page.text


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


def test_every_figure_has_its_content_in_words_with_its_seeds(page: Page) -> None:
    figures = [attributes for tag, attributes in page.elements if tag == "figure"]
    assert len(figures) == 3
    told = figures[0]["aria-label"] or ""
    seeds = "seeds 0, 1, 2, 3, 4, 5, 6, 7"
    assert f"none, {seeds}: from 1 to 5.0" in told
    assert f"pptb, {seeds}: from 1 to 7.0" in told
    assert all("pptb, 8 seeds: from" in (figure["aria-label"] or "") for figure in figures[1:])


def test_a_task_has_the_environments_that_papers_have_in_its_place(page: Page) -> None:
    assert "Environment: Hill-v5; in the papers Hill-v4 (first), a slope (second)." in page.text


def test_a_diagnostic_that_never_changes_is_a_sentence(page: Page) -> None:
    assert "pptb: boost times window throughout: pptb 0.4." in page.text


def test_figures_follow_the_colours_of_the_page(source: str) -> None:
    assert "prefers-color-scheme: dark" in source
    svgs = re.findall(r"<svg aria-hidden.*?</svg>", source, flags=re.DOTALL)
    assert len(svgs) == 3
    for svg in svgs:
        assert 'class="axis"' in svg  # in currentColor, by the rules of drawings
        assert re.findall(r"#0[0-9a-f]{5}\b", svg) == []


@pytest.mark.parametrize(("larger", "is_shown"), [(["none", "pptb"], False), (["none"], True)])
def test_diagnostics_are_of_the_largest_scale_of_their_cells(  # type: ignore[no-untyped-def]
    project, runs, verdicts, tmp_path, larger: list[str], is_shown: bool
) -> None:
    again = [
        replace(run, scale="paper", key=run.key[::-1])
        for run in runs
        if run.state == "done" and run.cell.split("--")[-1] in larger
    ]
    write_report(project, [*runs, *again], verdicts, tmp_path)
    source = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Diagnostics at scale paper" in source
    assert ("Diagnostics at scale smoke" in source) is is_shown


def test_failed_runs_are_named_with_their_reason(page: Page) -> None:
    assert "failed: ValueError: <odd> labels" in page.text
    assert "failed: labels--learner--none seeds 0, 1, 2, 3, 4, 5, 6, 7" in page.text


def test_diverged_seeds_are_named_beside_the_curves(project, runs, tmp_path) -> None:  # type: ignore[no-untyped-def]
    runs[0] = replace(runs[0], state="diverged", message="not finite at step 50")
    verdicts = [
        judge(claim, runs, expectations(project))
        for study in project.studies.values()
        for claim in study.claims
    ]
    write_report(project, runs, verdicts, tmp_path)
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "seeds 1 2 3 4 5 6 7; 0 diverged" in text
    assert "diverged: not finite at step 50" in text
    assert "8 seeds each, 1.6k steps; 1 diverged" in text


def test_runs_beyond_the_plan_without_a_result_are_named(project, runs, verdicts, tmp_path) -> None:  # type: ignore[no-untyped-def]
    runs.append(Run("c0ffee", "hill--climber--none", "smoke", 7, "corrupt", "a.json: no JSON"))
    runs.append(Run("badcafe", "hill--climber--none", "smoke", 8, "queued"))
    write_report(project, runs, verdicts, tmp_path)
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    rows = text[text.index("What was not run") : text.index("Scale paper:")]
    assert "corrupt: a.json: no JSON" in rows
    assert "8not started" in rows


def test_what_has_not_begun_is_listed_by_scale(page: Page) -> None:
    assert "Scale paper: 4 cells not started, 320k steps." in page.text
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
    assert "rate: 0.1" in page.text
    assert "seed:" not in page.text


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
    assert "1– not run" in text
    assert "No comparison is in reports/side_by_side/" in text
    assert "Scale smoke: 4 cells not started" in text


def test_the_summary_is_a_table_in_markdown(report: Path) -> None:
    lines = (report / "summary.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| first-C1")]
    assert len(rows) == 1
    cells = re.split(r"(?<!\\) \| ", rows[0].strip("| "))
    assert cells[1:7] == [
        "the paper's own",
        "the plug-in helps on hill \\| really",
        "✓ supported",
        "2.01 [1.9, 2.12]",
        "–",
        "smoke, 8 seeds",
    ]
    assert "| selection: 2.5 |" in next(line for line in lines if line.startswith("| first-C2"))
    assert "- first-C2: `suite run hill--climber--none hill--climber--pptb --scale paper`" in lines
