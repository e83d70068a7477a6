"""What the report says of each claim and its verdict."""

import html
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from toy_project import NUMERICS, SEEDS, claim, cost_claim, record

from suite.report.judged import Judged, counts
from suite.report.numbers import interval, number
from suite.report.page import write_report
from suite.specs.project import Project
from suite.stats.runs import Run
from suite.stats.verdicts import AtScale, Flag, Verdict, expectations, judge
from suite.store.numerics import digest


def written(project: Project, runs: list[Run], verdicts: list[Verdict], folder: Path) -> str:
    write_report(project, runs, verdicts, folder)
    return (folder / "report.html").read_text(encoding="utf-8")


def with_first(project: Project, one: object) -> Project:
    """The project with another claim in the place of its first."""
    first = project.studies["first"]
    studies = {**project.studies, "first": replace(first, claims=(one, *first.claims[1:]))}
    return replace(project, studies=studies)


def judge_first(
    project: Project, one: object, runs: list[Run], verdicts: list[Verdict]
) -> tuple[Project, list[Verdict]]:
    verdict = judge(one, runs, expectations(project))  # type: ignore[arg-type]
    return with_first(project, one), [verdict, *verdicts[1:]]


def text_of(source: str) -> str:
    """The words of some HTML, with one space between blocks."""
    inline = re.sub(r"</?(?:a|b|i|span|code)\b[^>]*>", "", source)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", inline)))


def row(source: str, name: str) -> str:
    rows = re.findall(r'<tr role="row">.*?</tr>', source, re.S)
    return next(r for r in rows if f'data-sort="{name}"' in r)


def evidence(source: str, name: str) -> str:
    found = re.search(
        rf'<article class="evidence" id="evidence-{name}">.*?</article>', source, re.S
    )
    assert found is not None
    return found[0]


def summary_row(folder: Path, name: str) -> list[str]:
    lines = (folder / "summary.md").read_text(encoding="utf-8").splitlines()
    found = next(line for line in lines if line.startswith(f"| {name} |"))
    return re.split(r"(?<!\\) \| ", found.strip("| "))


def test_findings_tell_what_claims_saw_whatever_it_was(
    project: Project, runs: list[Run], verdicts: list[Verdict], tmp_path: Path
) -> None:
    said = ("It gains {first-C1}, then {first-C2}.", "Later <all> is {first-C2}")
    first = replace(project.studies["first"], findings=said)
    other = verdicts[1].model_copy(update={"state": "not run", "seen": None})
    project = replace(project, studies={**project.studies, "first": first})
    source = written(project, runs, [verdicts[0], other, verdicts[2]], tmp_path)
    (found,) = re.findall(r'<ol class="findings">.*?</ol>', source, re.S)
    one = verdicts[0]
    seen = f"{number(one.observed)} {interval(one.low, one.high)}"
    assert text_of(found).split(" ", 1)[1].strip() == (
        f"It gains {seen} ✓ supported, then – – not run. Later <all> is – – not run"
    )
    lines = (tmp_path / "summary.md").read_text(encoding="utf-8").splitlines()
    assert f"- It gains {seen} (supported), then – (not run)." in lines


def test_the_papers_own_claims_are_counted_apart_and_first(report: Path) -> None:
    source = (report / "report.html").read_text(encoding="utf-8")
    (big,) = re.findall(r'<ul class="counts".*?</ul>', source, re.S)
    assert text_of(big).strip() == "1✓ supported 0✗ contradicted 0? inconclusive 0– not run"
    (others,) = re.findall(r'<dl class="others">.*?</dl>', source, re.S)
    extensions, ours = text_of(others).split("Ours")
    for told in (extensions, ours):
        assert "0 supported, 0 contradicted, 1 inconclusive, 0 not run" in told
    (papers,) = re.findall(r'<ul class="papers">.*?</ul></li>\n</ul>', source, re.S)
    first, second = text_of(papers).split("The Second Paper")
    assert "the paper's own: 1 supported" in first and "ours: 0 supported" in first
    assert "extension:" not in first
    assert "extension: 0 supported" in second and "own:" not in second
    summary = (report / "summary.md").read_text(encoding="utf-8")
    nothing = "0 contradicted, 1 inconclusive, 0 not run"
    own = "The papers' own claims: 1 supported, 0 contradicted, 0 inconclusive, 0 not run."
    assert own in summary
    assert f"Extensions: 0 supported, {nothing}. Ours: 0 supported, {nothing}." in summary


def test_counts_have_every_kind_and_state(verdicts: list[Verdict]) -> None:
    found = counts(verdicts)
    assert [*found] == ["paper", "extension", "ours"]
    assert found["paper"]["supported"] == 1
    assert sum(sum(states.values()) for states in found.values()) == len(verdicts)


def test_each_row_tells_whose_claim_it_is_and_where_it_may_be_settled(report: Path) -> None:
    source = (report / "report.html").read_text(encoding="utf-8")
    expected = {
        "first-C1": ("the paper's own", "smoke"),
        "first-C2": ("ours", "paper"),
        "second-C1": ("extension", "smoke"),
    }
    for name, (whose, settled_at) in expected.items():
        told = text_of(row(source, name))
        assert whose in told and f"may be settled at {settled_at}" in told
        assert whose in text_of(evidence(source, name)).partition(" the plug-in")[0]
        cells = summary_row(report, name)
        assert (cells[1], cells[7]) == (whose, settled_at)


def test_no_interval_of_a_claim_is_labelled_with_95_per_cent(report: Path) -> None:
    source = (report / "report.html").read_text(encoding="utf-8")
    labels = re.findall(r'<th scope="col"[^>]*>([^<]*)</th>', source)
    assert labels.count("observed [interval]") >= 3
    assert [label for label in labels if "95" in label] == []
    for told in (text_of(source), (report / "summary.md").read_text(encoding="utf-8")):
        for found in re.finditer(r"95 %", told):
            around = told[max(found.start() - 60, 0) : found.end() + 60]
            assert re.search(r"together|normal seeds", around), around
        once = "that a claim is ever judged by, at all looks, are made to hold together with 95 %"
        assert told.count(once) == 1


def test_the_evidence_has_the_rule_in_words_and_the_look(report: Path) -> None:
    told = text_of(evidence((report / "report.html").read_text(encoding="utf-8"), "first-C2"))
    assert "supported if it lies above 0" in told
    assert "contradicted if it lies below 0" in told
    assert "settled at paper: more steps" in told
    assert "judged at smoke, look 1, with the planned seeds; each interval of 96.7 %" in told
    assert "null selection, 2.5 (resampled)" in told


def test_later_looks_and_none_are_told(project: Project, runs: list[Run]) -> None:
    hill = [cell for cell in project.cells["smoke"] if cell.id.startswith("hill")]
    more = [Run.of(record(c, c.run(seed))) for c in hill for seed in range(SEEDS, 2 * SEEDS)]
    one = claim("first-C9", "hill")

    def looked(runs: list[Run]) -> str:
        return Judged(one, judge(one, runs, expectations(project))).looked

    assert looked(runs + more) == (
        "look 2, with 2 times as many seeds as planned; each interval of 98.9 %"
    )
    assert looked(runs[1:]) == (
        "before the first look, for which planned seeds are missing; each interval of 96.7 %"
    )


def test_an_assumed_range_says_so_wherever_it_is_shown(project, runs, verdicts, tmp_path) -> None:  # type: ignore[no-untyped-def]
    project, verdicts = judge_first(project, cost_claim("first-C1"), runs, verdicts)
    assert Judged(cost_claim("first-C1"), verdicts[0]).assumed
    source = written(project, runs, verdicts, tmp_path)
    shown = row(source, "first-C1")
    assert "0.6 assumed [0.3, 1.2]" in text_of(shown)
    assert 'aria-label="assumed [0.3, 1.2], must lie below 0.5"' in shown
    assert 'class="interval assumed"' in shown
    told = text_of(evidence(source, "first-C1"))
    assert "0.6 assumed [0.3, 1.2]" in told and "decides nothing" in told
    assert summary_row(tmp_path, "first-C1")[4] == "0.6 assumed [0.3, 1.2]"
    assert "assumed" not in row(source, "first-C2")


def test_open_ends_are_open_and_two_are_no_interval(project, runs, verdicts, tmp_path) -> None:  # type: ignore[no-untyped-def]
    few = [run for run in runs if run.seed < 4]
    expected = {
        key: replace(plan, seeds=plan.seeds[:4]) for key, plan in expectations(project).items()
    }
    verdicts[0] = judge(project.studies["first"].claims[0], few, expected)
    assert (verdicts[0].look, verdicts[0].low, verdicts[0].high) == (0, None, None)
    source = written(project, few, verdicts, tmp_path)
    shown = row(source, "first-C1")
    assert f"{verdicts[0].observed:.3g} no interval" in text_of(shown)
    assert 'aria-label="no interval, must lie above 0"' in shown
    assert 'class="interval' not in shown
    assert summary_row(tmp_path, "first-C1")[4].endswith(" no interval")
    (seen,) = verdicts[0].comparisons
    half = seen.model_copy(update={"low": 1.0})
    verdicts[0] = verdicts[0].model_copy(update={"low": 1.0, "comparisons": (half,)})
    source = written(project, few, verdicts, tmp_path)
    assert "[1, open]" in text_of(row(source, "first-C1"))
    assert "[1, open]" in text_of(evidence(source, "first-C1"))
    assert "[1, open]" in summary_row(tmp_path, "first-C1")[4]


def test_a_condition_is_marked_as_one(project, runs, verdicts, tmp_path) -> None:  # type: ignore[no-untyped-def]
    (seen,) = verdicts[0].comparisons
    gap = seen.model_copy(update={"label": "the gap", "condition": True})
    unclear = gap.model_copy(update={"supports": False})
    for condition, outcome in ((gap, "holds"), (unclear, "not clear")):
        verdicts[0] = verdicts[0].model_copy(update={"comparisons": (condition, seen)})
        told = text_of(evidence(written(project, runs, verdicts, tmp_path), "first-C1"))
        rows = told[told.index("outcome") :]
        assert "condition: the gap" in rows and outcome in rows and "supports" in rows


def test_what_was_checked_is_told_of_a_contradicted_claim_alone(
    project: Project, runs: list[Run], verdicts: list[Verdict], tmp_path: Path
) -> None:
    one = project.studies["first"].claims[0].model_copy(update={"checked": "by hand, and twice"})
    project, told = with_first(project, one), "What was checked: by hand, and twice"
    assert told not in text_of(written(project, runs, verdicts, tmp_path))
    verdicts = [verdicts[0].model_copy(update={"state": "contradicted"}), *verdicts[1:]]
    assert told in text_of(evidence(written(project, runs, verdicts, tmp_path), "first-C1"))


def at_scales(*parts: tuple[str, str]) -> tuple[AtScale, ...]:
    return tuple(
        AtScale(
            scale=scale,  # type: ignore[arg-type]
            state="inconclusive",
            seen=seen,  # type: ignore[arg-type]
            observed=-3.0,
            low=-4.0,
            high=-2.0,
        )
        for scale, seen in parts
    )


def test_a_scale_that_says_otherwise_stands_in_the_row(project, runs, verdicts, tmp_path) -> None:  # type: ignore[no-untyped-def]
    others = at_scales(("short", "contradicted"), ("paper", "supported"))
    flag = Flag(kind="scales differ", says="scales differ: at short it is contradicted")
    update = {"other_scales": others, "flags": (*verdicts[0].flags, flag)}
    verdicts[0] = verdicts[0].model_copy(update=update)
    source = written(project, runs, verdicts, tmp_path)
    told = text_of(row(source, "first-C1"))
    assert "2.01 [" in told and "⚠ at short it is contradicted: −3 [−4, −2]" in told
    assert "at paper it is" not in told
    assert "⚠" not in row(source, "first-C2")
    told = text_of(evidence(source, "first-C1"))
    assert "short ? inconclusive contradicted ⚠ differs −3 [−4, −2]" in told
    assert "paper ? inconclusive supported −3 [−4, −2]" in told
    assert "; at short contradicted: −3 [−4, −2]" in summary_row(tmp_path, "first-C1")[4]


def test_real_scales_that_differ_are_shown(project, runs, verdicts, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Judged at smoke, and at paper the control is better."""
    planned = [cell for cell in project.cells["paper"] if cell.id.startswith("hill")]
    turned = []
    for cell, source_cell in zip(planned, planned[::-1], strict=True):
        for spec, other in zip(cell.runs, source_cell.runs, strict=True):
            run, taken = Run.of(record(cell, spec)), Run.of(record(source_cell, other))
            turned.append(replace(run, series=taken.series))
    runs = runs + turned
    project, verdicts = judge_first(project, claim("first-C1", "hill"), runs, verdicts)
    assert (verdicts[0].scale, verdicts[0].state) == ("paper", "contradicted")
    told = text_of(row(written(project, runs, verdicts, tmp_path), "first-C1"))
    assert "−2.01 [" in told and "⚠ at smoke it is supported: 2.01 [" in told


def test_numerics_are_named_and_listed_once(report: Path, runs: list[Run]) -> None:
    name = digest(NUMERICS)
    source = (report / "report.html").read_text(encoding="utf-8")
    for shown in (row(source, "first-C1"), evidence(source, "first-C1")):
        assert f'<a class="id" href="#numerics-{name}">{name}</a>' in shown
        assert "mixed" not in shown and "not recorded" not in shown
    assert source.count(f'id="numerics-{name}"') == 1
    assert text_of(source).count("of <one> kind") == 1
    assert summary_row(report, "first-C1")[8] == name
    assert f'<a href="#numerics-{name}">' in source[source.index(f'id="run-{runs[0].key}"') :]


def test_numerics_that_mix_are_marked(project, runs, verdicts, tmp_path) -> None:  # type: ignore[no-untyped-def]
    older = {n: v for n, v in runs[0].provenance.items() if n != "numerics"}
    runs[0] = replace(runs[0], provenance=older)
    project, verdicts = judge_first(project, claim("first-C1", "hill"), runs, verdicts)
    names = sorted({digest(run.numerics) for run in runs[: 2 * SEEDS]})
    assert verdicts[0].numerics == tuple(names) and len(names) == 2
    source = written(project, runs, verdicts, tmp_path)
    for shown in (row(source, "first-C1"), evidence(source, "first-C1")):
        assert "⚠ 2 numerics mixed:" in text_of(shown)
        assert "(in part not recorded)" in text_of(shown)
        assert all(f'href="#numerics-{name}"' in shown for name in names)
    listed = text_of(source)[text_of(source).index("Numerics What decides") :]
    assert "products not recorded" in listed and "torch 2.0" in listed
    assert summary_row(tmp_path, "first-C1")[8] == f"mixed: {', '.join(names)}"


def test_the_versions_of_analyses_that_were_read_stand_in_the_evidence(
    project, runs, verdicts, tmp_path
) -> None:  # type: ignore[no-untyped-def]
    read = [verdicts[0].model_copy(update={"analyses": {"weight_norms": 3}}), *verdicts[1:]]
    source = written(project, runs, read, tmp_path)
    assert "analyses weight_norms version 3" in text_of(evidence(source, "first-C1"))
    assert "analyses" not in text_of(evidence(source, "first-C2"))


def test_a_claim_says_how_sure_it_is_and_what_other_claims_leave_of_it(verdicts) -> None:  # type: ignore[no-untyped-def]
    def certainty(p_value: float | None, survives: bool | None) -> str:
        update = {"p_value": p_value, "survives_correction": survives}
        return Judged(SimpleNamespace(), verdicts[0].model_copy(update=update)).certainty  # type: ignore[arg-type]

    assert certainty(None, None) == ""
    assert certainty(0.0321, None) == "p = 0.032 for support"
    assert certainty(1e-6, True).startswith("p < 0.001 for support; holds after correction")
    assert "does not hold after correction" in certainty(0.02, False)
