"""Studies as pytest items, from the outside: what a user of pytest types and sees."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest
from sessions import calls, outcomes, reasons, run
from study import OUTCOMES, STUDY, write_project
from typer.testing import CliRunner

import suite.cli
import suite.judging
from suite.pytest_plugin import SCALES
from suite.report.drawings import Drawings
from suite.specs import models
from suite.specs.registry import AGENTS

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]


def test_cells_and_claims_are_items_with_the_outcome_of_their_verdict(project):
    assert outcomes(run(project, "tasks")) == OUTCOMES


def test_a_skip_gives_its_reason_at_the_line_of_the_study(project):
    (report,) = calls(run(project, "tasks", "-k", "C3"))
    path, line, reason = report.longrepr
    assert Path(path).read_text().splitlines()[line - 1].strip() == "- id: small-C3"
    assert reason.startswith("Skipped: inconclusive: 0 [")


def test_nothing_trains_unless_it_is_asked_for(pytester):
    write_project(pytester.path)
    assert set(outcomes(run(pytester, "tasks")).values()) == {"skipped"}
    assert not (pytester.path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-k", "small-C1 or huge"], {"small-C1", "labels--mlp--huge"}),
        (["-m", "claim"], {"small-C1", "small-C2", "small-C3", "small-C4"}),
        (["-m", "cell"], {"labels--mlp--none", "labels--mlp--same", "labels--mlp--huge"}),
        (["-m", "claim", "-x"], {"small-C1", "small-C2"}),
        (["tasks/studies/small.yaml::small-C3"], {"small-C3"}),
    ],
)
def test_items_are_chosen_as_tests_are(project, arguments, expected):
    assert set(outcomes(run(project, "--strict-markers", *arguments))) == expected


def test_last_failed_runs_the_contradicted_claim(project):
    project.inline_run("-p", "suite.pytest_plugin", "tasks")
    again = project.inline_run("-p", "suite.pytest_plugin", "tasks", "--lf")
    assert outcomes(again) == {"small-C2": "failed"}


def test_scale_counts_only_runs_of_that_scale(project):
    assert set(outcomes(run(project, "tasks", "--scale", "paper")).values()) == {"skipped"}
    assert outcomes(run(project, "tasks", "--scale", "smoke")) == OUTCOMES


def test_fewer_seeds_than_planned_decide_nothing(project):
    found = run(project, "tasks", "--seeds", "7")
    assert outcomes(found) == OUTCOMES | {"small-C1": "skipped", "small-C2": "skipped"}
    assert "decided when all planned seeds have ended; seen so far: " in reasons(found)["small-C1"]


def test_more_seeds_are_missing_until_trained_and_count_from_the_next_look_on(project):
    more = outcomes(run(project, "tasks", "--seeds", "9"))
    assert more["labels--mlp--none"] == "skipped" and more["small-C1"] == "passed"
    before = set((project.path / "runs").iterdir())
    assert outcomes(run(project, "tasks", "-k", "none", "--seeds", "9", "--train")) == {
        "labels--mlp--none": "passed"
    }
    assert len(set((project.path / "runs").iterdir()) - before) == 1
    told = project.runpytest_inprocess("-p", "suite.pytest_plugin", "tasks", "-k", "C2")
    told.stdout.fnmatch_lines(["labels--mlp--none: mean 0.*, runs by seed 0: *, 7: *"])
    told.stdout.no_fnmatch_line("labels--mlp--none:*, 8: *")


def test_junit_xml_has_verdicts_as_properties(project):
    run(project, "tasks", "--junitxml=out.xml")
    cases = {
        case.get("name"): {p.get("name"): p.get("value") for p in case.iter("property")}
        for case in ElementTree.parse(project.path / "out.xml").iter("testcase")
    }
    assert cases["small-C2"]["verdict"] == "contradicted"
    assert cases["small-C2"]["scale"] == "smoke"
    assert float(cases["small-C2"]["observed"]) < 0.99
    assert cases["labels--mlp--none"]["state"] == "trained"


def test_a_table_of_verdicts_closes_the_report(project):
    result = project.runpytest_inprocess("-p", "suite.pytest_plugin", "tasks", "-rA")
    result.stdout.fnmatch_lines(
        [
            "*short test summary info*",
            "*= verdicts =*",
            "small-C1  supported     smoke  *lies above 0.1",
            "small-C2  contradicted  smoke  *lies below 0.99",
            "small-C3  inconclusive  smoke  0 [[]*",
            "small-C4  not run       -      none of its cells has a run",
            "1 contradicted, 1 inconclusive, 1 not run, 1 supported",
            "*1 failed, 3 passed, 3 skipped*",
        ],
        consecutive=False,
    )


def test_a_contradiction_tells_the_claim_and_the_runs_behind_it(project):
    result = project.runpytest_inprocess("-p", "suite.pytest_plugin", "tasks", "-k", "C2")
    result.stdout.fnmatch_lines(["contradicted at smoke:*", "claim: the accuracy is above 0.99*"])
    result.stdout.fnmatch_lines(["labels--mlp--none: mean 0.*, runs by seed 0: *, 1: *, 2: *"])


def test_a_failed_run_fails_its_cell_with_the_traceback(project):
    store = suite.judging.Store(project.path / "runs")
    judging = suite.judging.Judging(project.path)
    cell = next(c for c in judging.project.cells["smoke"] if c.id == "labels--mlp--none")
    key = cell.runs[1].key()
    shutil.rmtree(store.folder(key))
    store.fail(key, "Traceback\n  one line\nValueError: odd labels\n")
    result = project.runpytest_inprocess("-p", "suite.pytest_plugin", "tasks", "-m", "cell")
    result.assert_outcomes(passed=1, failed=1, skipped=1)
    result.stdout.fnmatch_lines(["failed at smoke: seed 1 (ValueError: odd labels)", "  one line"])


def test_evidence_is_enough_also_for_seeds_beyond_the_plan(project, monkeypatch):
    run(project, "tasks", "--seeds", "9", "--train", "-k", "none")
    monkeypatch.chdir(project.path)
    assert CliRunner().invoke(suite.cli.app, ["evidence", "--scale", "smoke"]).exit_code == 0
    shutil.rmtree(project.path / "runs")
    assert outcomes(run(project, "tasks")) == OUTCOMES
    seeds = outcomes(run(project, "tasks", "-k", "none", "--seeds", "9"))
    assert seeds == {"labels--mlp--none": "passed"}


def test_runs_of_an_older_behaviour_are_stale_and_do_not_count(exported, monkeypatch):
    monkeypatch.setattr(AGENTS["classifier"], "VERSION", 99)
    found = run(exported, "tasks")
    assert set(outcomes(found).values()) == {"skipped"}
    told = reasons(found)
    stale = "agent/classifier is version 99 now, the run had 1"
    assert f"seed 0 is stale ({stale})" in told["labels--mlp--none"]
    assert f"8 stale runs not counted ({stale})" in told["small-C1"]


def test_a_corrupt_evidence_file_fails_its_cell_by_name(exported):
    project = exported
    assert outcomes(run(project, "tasks")) == OUTCOMES
    file = next((project.path / "reports/evidence/labels--mlp--same").glob("smoke-2-*"))
    file.write_bytes(file.read_bytes()[:-100])
    found = run(project, "tasks")
    assert outcomes(found) == OUTCOMES | {"labels--mlp--same": "failed"}
    told = reasons(found)
    for item in ("labels--mlp--same", "small-C3"):
        assert f"evidence labels--mlp--same/{file.name} is no JSON" in told[item]


def test_a_bad_spec_is_a_collection_error_with_file_and_line(pytester):
    write_project(pytester.path)
    study = pytester.path / "tasks" / "studies" / "small.yaml"
    study.write_text(study.read_text().replace("[same]]", "[sane]]"))
    result = pytester.runpytest_inprocess("-p", "suite.pytest_plugin", "tasks")
    result.assert_outcomes(errors=1)
    line = STUDY.splitlines().index("    plugins: [[], [same]]") + 1
    result.stdout.fnmatch_lines([f"tasks/studies/small.yaml:{line}: unknown plug-in 'sane'*"])


def test_other_yaml_files_are_left_alone(pytester):
    (pytester.path / "tasks" / "studies").mkdir(parents=True)
    (pytester.path / "study.yaml").write_text("study: of another tool")
    (pytester.path / "tasks" / "studies" / "notes.yaml").write_text("notes: on studies")
    session = pytester.inline_run("-p", "suite.pytest_plugin")
    assert session.ret == pytest.ExitCode.NO_TESTS_COLLECTED


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (["--until-conclusive"], "needs --train"),
        (["--seed-cap", "6"], "limit of --until-conclusive"),
        (["--seeds", "0"], "invalid _count value: '0'"),
        (["--scale", "huge"], "invalid choice: 'huge'"),
    ],
)
def test_options_that_make_no_sense_are_refused(pytester, arguments, wrong):
    result = pytester.runpytest_inprocess("-p", "suite.pytest_plugin", *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert wrong in result.stderr.str()


def test_the_scales_are_those_of_the_specs():
    assert SCALES == models.SCALES


def install(folder: Path) -> None:
    """The plug-in as an installed package registers it."""
    info = folder / "installed-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: installed\nVersion: 1.0\n")
    points = "[pytest11]\nsuite.pytest_plugin = suite.pytest_plugin\n"
    (info / "entry_points.txt").write_text(points)


@pytest.mark.parametrize(
    "arguments", [[], pytest.param(["-p", "suite.pytest_plugin"], marks=pytest.mark.long)]
)
def test_loaded_by_its_entry_point_it_costs_other_sessions_nothing(
    pytester, monkeypatch, arguments
):
    install(pytester.path)
    monkeypatch.syspath_prepend(pytester.path)
    monkeypatch.setenv("PYTHONPATH", f"{pytester.path}:{ROOT}")
    pytester.makepyfile(
        """
        import sys

        def test_plugin_is_there_and_light(request):
            assert request.config.pluginmanager.hasplugin("suite.pytest_plugin")
            heavy = {"torch", "suite.judging", "suite.specs.models"}
            assert not heavy & set(sys.modules)
        """
    )
    pytester.runpytest_subprocess(*arguments).assert_outcomes(passed=1)


def test_items_match_verify_and_the_report_one_to_one(pytester, monkeypatch):
    """On this project's studies and committed evidence, as in a fresh clone; recorded verdicts
    come out as recorded."""
    for name in ("tasks", "reports/evidence"):
        shutil.copytree(ROOT / name, pytester.path / name)
    monkeypatch.chdir(pytester.path)
    monkeypatch.setattr(Drawings, "svg", lambda self, panel: "")  # none is compared here
    for command in (["verify", "--record"], ["report"]):
        assert CliRunner().invoke(suite.cli.app, command).exit_code == 0
    verdicts = json.loads((pytester.path / "reports" / "verdicts.json").read_text())
    stated = {
        claim: told for claims in verdicts["claims"].values() for claim, told in claims.items()
    }
    summary = (pytester.path / "reports" / "summary.md").read_text().splitlines()

    session = run(pytester, "tasks", "-m", "claim")
    assert session.ret == pytest.ExitCode.OK
    expected = {"supported": "passed", "contradicted": "xfailed"}
    assert outcomes(session) == {
        claim: expected.get(told["state"], "skipped") for claim, told in stated.items()
    }
    for report in calls(session):
        told = dict(report.user_properties)
        found = stated.pop(told["claim"])
        assert (told["verdict"], told["reason"]) == (found["state"], found["reason"])
        assert told["compared"] == "expected"
        assert any(f"| {told['claim']} |" in line and found["state"] in line for line in summary)
    assert stated == {}


@pytest.mark.long
def test_workers_side_by_side_train_and_judge_once(pytester, monkeypatch):
    write_project(pytester.path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    command = [sys.executable, "-m", "pytest", "-p", "suite.pytest_plugin", "-n", "2", "--train"]
    done = subprocess.run([*command, "tasks"], capture_output=True, text=True, cwd=pytester.path)
    assert "1 failed, 3 passed, 3 skipped" in done.stdout, done.stdout + done.stderr
    assert (
        Counter(done.stdout.splitlines())["1 contradicted, 1 inconclusive, 1 not run, 1 supported"]
        == 1
    )
    assert len(list((pytester.path / "runs").iterdir())) == 16
