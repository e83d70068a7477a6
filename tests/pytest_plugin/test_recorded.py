"""Sessions with recorded verdicts, from the outside: what a contributor and CI see."""

import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from made_up import Trainer
from sessions import outcomes, properties, reasons, run
from study import OUTCOMES
from typer.testing import CliRunner, Result

import suite.cli
import suite.judging
from suite.expected import PATH
from suite.specs.source import SpecError

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
EXPECTED = OUTCOMES | {"small-C2": "xfailed"}


def record() -> Result:
    """`suite verify --record` in the present folder."""
    return CliRunner().invoke(suite.cli.app, ["verify", "--record"])


def said(done: Result) -> list[str]:
    """The lines below the table of verdicts."""
    lines = done.stdout.splitlines()
    return lines[next(i for i, line in enumerate(lines) if str(PATH) in line) :]


def edit(project: pytest.Pytester, old: str, new: str) -> None:
    path = project.path / PATH
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.fixture
def recorded(project):
    """The project with its runs, on which the recorded verdicts rest."""
    assert record().exit_code == 0
    return project


@pytest.fixture
def committed(exported):
    """The project with evidence, on which the recorded verdicts rest, and without runs."""
    assert record().exit_code == 0
    return exported


def test_claims_that_come_out_as_recorded_break_nothing(recorded):
    session = run(recorded, "tasks")
    assert outcomes(session) == EXPECTED
    assert session.ret == pytest.ExitCode.OK
    told = properties(session)
    assert told["small-C1"]["expected"] == "smoke: supported"
    assert told["small-C4"]["expected"] == "not run"
    assert {told[f"small-C{i}"]["compared"] for i in range(1, 5)} == {"expected"}


def test_the_table_marks_expected_and_changed_verdicts_and_counts_the_changed(recorded):
    edit(recorded, "state: supported", "state: contradicted")
    result = recorded.runpytest_inprocess("-p", "suite.pytest_plugin", "tasks", "-rA")
    result.assert_outcomes(passed=2, failed=1, xfailed=1, skipped=3)
    result.stdout.fnmatch_lines(
        [
            "*XFAIL *small-C2 - contradicted at smoke, as recorded: *lies below 0.99*",
            "*= verdicts =*",
            "small-C1  supported     smoke  changed   smoke: recorded contradicted at look 0, now "
            "supported at look 0; *lies above 0.1",
            "small-C2  contradicted  smoke  expected  *lies below 0.99",
            "small-C3  inconclusive  smoke  expected  0 [[]*",
            "small-C4  not run       -      expected  none of its cells has a run",
            "1 contradicted, 1 inconclusive, 1 not run, 1 supported; 1 changed",
        ],
        consecutive=False,
    )


def test_a_changed_verdict_fails_by_name_with_what_differs_and_what_to_do(recorded):
    edit(recorded, "state: supported", "state: inconclusive")
    text = (recorded.path / PATH).read_text()
    numerics = text.partition('numerics: ["')[2][:8]
    edit(recorded, numerics, "12345678")
    result = recorded.runpytest_inprocess("-p", "suite.pytest_plugin", "tasks", "-k", "C1")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "changed at smoke: recorded inconclusive at look 0, now supported at look 0, "
            f"numerics 12345678 then and {numerics} now",
            "supported at smoke: *lies above 0.1",
            "labels--mlp--none: mean 0.*, runs by seed 0: *, 7: *",
            "If this is the finding, record it: suite verify --record",
        ],
        consecutive=False,
    )


def test_verdicts_on_committed_evidence_come_out_in_every_clone(committed):
    assert outcomes(run(committed, "tasks")) == EXPECTED
    shutil.rmtree(committed.path / "reports" / "evidence")
    session = run(committed, "tasks")
    assert outcomes(session) == dict.fromkeys(OUTCOMES, "skipped") | {
        "small-C1": "failed",
        "small-C2": "failed",
        "small-C3": "failed",
    }
    assert (
        "changed at smoke: recorded supported at look 0, now not run"
        in (reasons(session)["small-C1"])
    )


def test_one_lost_file_of_evidence_changes_the_claims_that_rest_on_it(committed):
    next((committed.path / "reports/evidence/labels--mlp--none").glob("smoke-3-*")).unlink()
    session = run(committed, "tasks", "-m", "claim")
    told = reasons(session)
    assert (
        "recorded contradicted at look 0, now inconclusive before the first look"
        in (told["small-C2"])
    )
    assert "missing: labels--mlp--none seed 3" in told["small-C2"]
    assert outcomes(session)["small-C1"] == outcomes(session)["small-C2"] == "failed"
    assert outcomes(session)["small-C3"] == "skipped", "it is as inconclusive as it was"


def test_verdicts_on_runs_are_skipped_with_that_reason_where_these_are_not(recorded):
    shutil.rmtree(recorded.path / "runs")
    session = run(recorded, "tasks")
    assert set(outcomes(session).values()) == {"skipped"}
    assert session.ret == pytest.ExitCode.OK
    assert reasons(session)["small-C2"].endswith(
        "not run: none of its cells has a run; smoke: recorded contradicted at look 0, from runs "
        "that are not here')"
    )
    assert outcomes(run(recorded, "tasks", "--train")) == EXPECTED, "trained, they are compared"


def test_a_claim_that_is_not_recorded_fails_when_contradicted_and_says_how_to_record_it(recorded):
    lines = (recorded.path / PATH).read_text().splitlines()
    kept = [line for line in lines if "smoke:" not in line and "-C" not in line]
    (recorded.path / PATH).write_text("\n".join([*kept, "  small-C4: {}"]))
    session = run(recorded, "tasks")
    assert outcomes(session) == OUTCOMES
    assert reasons(session)["small-C2"].endswith("record it: suite verify --record")
    assert properties(session)["small-C1"]["compared"] == "new"
    assert "expected" not in properties(session)["small-C1"]


def test_a_recorded_claim_that_no_study_has_is_named_in_one_warning(recorded):
    with (recorded.path / PATH).open("a") as file:
        file.write("  small-C9: {}\n")
    line = len((recorded.path / PATH).read_text().splitlines())
    result = recorded.runpytest_inprocess("-p", "suite.pytest_plugin", "tasks")
    assert result.ret == pytest.ExitCode.OK
    told = [text for text in result.outlines if "small-C9 is recorded" in text]
    assert len(told) == 1
    assert f"{PATH}:{line}: PytestWarning: claim small-C9 is recorded and in no study" in told[0]
    assert told[0].endswith("; `suite verify --record` drops it")
    assert said(record())[1:] == ["in no study any more, dropped: small-C9"]


def test_strict_takes_no_notice_of_what_is_recorded(recorded):
    edit(recorded, "state: supported", "state: proven")
    session = run(recorded, "tasks", "--strict-claims")
    assert outcomes(session) == OUTCOMES
    assert "expected" not in properties(session)["small-C1"]


def test_only_the_scale_that_is_asked_for_is_compared(committed):
    edit(committed, "state: supported", "state: contradicted")
    assert outcomes(run(committed, "tasks", "--scale", "smoke"))["small-C1"] == "failed"
    at_paper = run(committed, "tasks", "--scale", "paper")
    assert set(outcomes(at_paper).values()) == {"skipped"}


def test_fewer_seeds_are_not_taken_for_a_changed_verdict(committed):
    session = run(committed, "tasks", "--seeds", "7")
    assert outcomes(session) == EXPECTED | {"small-C1": "skipped", "small-C2": "skipped"}
    told = "smoke: recorded contradicted at look 0, from runs that are not counted"
    assert told in reasons(session)["small-C2"]
    assert outcomes(run(committed, "tasks", "--seeds", "9"))["small-C2"] == "xfailed"


@pytest.mark.parametrize(
    ("gain", "outcome", "after"), [(0.2, "passed", "supported"), (-0.2, "failed", "contradicted")]
)
def test_what_more_seeds_decide_is_new_and_not_changed(
    committed, monkeypatch, gain, outcome, after
):
    """Of the first eight seeds nothing is seen; all that follow are far apart."""
    made_up = Trainer(lambda run: 0.3 + (gain if "inflate" in str(run.plugins) else 0.0))
    monkeypatch.setattr(suite.judging, "run_cells", made_up)
    arguments = ("tasks", "-k", "C3", "--train", "--until-conclusive")
    session = run(committed, *arguments)
    assert outcomes(session) == {"small-C3": outcome}
    told = properties(session)["small-C3"]
    assert (told["verdict"], told["compared"]) == (after, "new")
    assert f"recorded inconclusive at look 0, now {after} at look" in told["differing"]
    assert said(record())[1:] == ["changed: small-C3"]
    again = run(committed, *arguments)
    assert outcomes(again)["small-C3"] == ("passed" if outcome == "passed" else "xfailed")


def test_a_bad_file_is_a_collection_error_with_file_and_line(recorded):
    edit(recorded, "state: supported", "state: proven")
    lines = (recorded.path / PATH).read_text().splitlines()
    place = f"{PATH}:{next(i for i, line in enumerate(lines, 1) if 'proven' in line)}"
    result = recorded.runpytest_inprocess("-p", "suite.pytest_plugin", "tasks")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"{place}: state of small-C1 at smoke is 'proven'; should be*"])
    refused = record()
    assert isinstance(refused.exception, SpecError) and place in str(refused.exception)


def test_junit_xml_says_what_was_expected(recorded):
    run(recorded, "tasks", "--junitxml=out.xml")
    cases = {
        case.get("name"): {p.get("name"): p.get("value") for p in case.iter("property")}
        for case in ElementTree.parse(recorded.path / "out.xml").iter("testcase")
    }
    assert cases["small-C2"]["expected"] == "smoke: contradicted"
    assert cases["small-C2"]["compared"] == "expected"


def test_recording_again_writes_the_same_bytes_with_and_without_the_runs(recorded):
    before = (recorded.path / PATH).read_bytes()
    assert len(said(record())) == 1
    assert (recorded.path / PATH).read_bytes() == before
    shutil.rmtree(recorded.path / "runs")
    assert said(record())[1:] == [
        "left as they were where their runs are not here: small-C1, small-C2, small-C3"
    ]
    assert (recorded.path / PATH).read_bytes() == before


def test_evidence_takes_the_place_of_runs_in_the_file(recorded):
    runs = (recorded.path / PATH).read_text()
    assert "rests_on: evidence" not in runs.partition("small:")[2]
    CliRunner().invoke(suite.cli.app, ["evidence", "--scale", "smoke"])
    record()
    assert (recorded.path / PATH).read_text() == runs.replace("on: runs,", "on: evidence,")


@pytest.mark.long
def test_workers_compare_too(recorded, monkeypatch):
    edit(recorded, "state: supported", "state: contradicted")
    with (recorded.path / PATH).open("a") as file:
        file.write("  small-C9: {}\n")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    command = [sys.executable, "-m", "pytest", "-p", "suite.pytest_plugin", "-n", "2", "tasks"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=recorded.path)
    assert "1 contradicted, 1 inconclusive, 1 not run, 1 supported; 1 changed" in done.stdout
    assert done.stdout.count("small-C9 is recorded") == 1
