"""The rule of the regression gate, without any timing."""

import json
from pathlib import Path

import gate
import pytest
from gate import CONFIRMATIONS, LIMIT, judge, read_reference, write_reference
from hypothesis import given
from hypothesis import strategies as st

REFERENCE = {"plugin/nap": 1.3, "plugin/nap/own": 0.04}


def never() -> dict[str, float]:
    raise AssertionError("nothing is to be measured again")


@given(st.floats(0.1, LIMIT - 1e-6), st.floats(0.1, LIMIT - 1e-6))
def test_ratios_below_the_limit_pass_at_once(first: float, second: float):
    found = {"plugin/nap": 1.3 * first, "plugin/nap/own": 0.04 * second}
    assert judge(found, REFERENCE, never).state == "passed"


def test_suspect_that_stays_slow_is_a_regression_and_is_named():
    slow = {"plugin/nap": 1.25 * 1.3, "plugin/nap/own": 0.04}
    measured = []

    def again() -> dict[str, float]:
        measured.append(slow)
        return slow

    outcome = judge(slow, REFERENCE, again)
    assert outcome.state == "regression" and len(measured) == CONFIRMATIONS
    assert outcome.reason.startswith("slower: plugin/nap 1.625") and "+25 %" in outcome.reason
    assert "own" not in outcome.reason


def test_slower_own_code_is_a_regression_though_the_update_hardly_shows_it():
    slow = {"plugin/nap": 1.31, "plugin/nap/own": 0.05}
    outcome = judge(slow, REFERENCE, lambda: slow)
    assert outcome.state == "regression" and "plugin/nap/own 0.05" in outcome.reason


@pytest.mark.parametrize("quiet", range(CONFIRMATIONS))
def test_suspect_that_is_fast_once_passes_and_is_told(quiet: int):
    answers = [{"agent/td3": 2.4}] * CONFIRMATIONS
    answers[quiet] = {"agent/td3": 2.0}
    rest = iter(answers)
    outcome = judge({"agent/td3": 2.4}, {"agent/td3": 2.0}, lambda: next(rest))
    assert outcome.state == "passed" and "suspect, not confirmed: agent/td3" in outcome.reason


def test_of_two_suspects_only_the_one_that_stays_slow_is_named():
    both = {"plugin/nap": 1.7, "plugin/nap/own": 0.06}
    answers = iter([{**both, "plugin/nap": 1.3}, both, both])
    outcome = judge(both, REFERENCE, lambda: next(answers))
    assert outcome.state == "regression"
    assert outcome.reason.startswith("slower: plugin/nap/own 0.06") and "1.7" not in outcome.reason


def test_timing_without_a_reference_is_inconclusive():
    outcome = judge({"agent/new": 1.0}, REFERENCE, never)
    assert outcome.state == "inconclusive" and "agent/new" in outcome.reason


def test_reference_counts_on_like_hardware_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "reference.json"
    assert read_reference(path) is None
    write_reference(path, {"agent/td3": 2.00004, "agent/sac": 1.0})
    assert read_reference(path) == {"agent/td3": 2.0, "agent/sac": 1.0}
    for field in ("cpu", "cores", "torch"):
        unlike = {**gate.hardware(), field: "other"}
        with monkeypatch.context() as patched:
            patched.setattr(gate, "hardware", lambda unlike=unlike: unlike)
            assert read_reference(path) is None
    monkeypatch.setattr(gate, "hardware", lambda: {"cpu": "other", "cores": 1, "torch": "1"})
    write_reference(path, {"agent/td3": 3.0})
    monkeypatch.undo()
    write_reference(path, {"agent/td3": 2.5})
    assert read_reference(path) == {"agent/td3": 2.5, "agent/sac": 1.0}
    assert len(json.loads(path.read_text())["machines"]) == 2


def test_hardware_names_the_cpu():
    here = gate.hardware()
    assert str(here["cpu"]).strip(", ") and int(here["cores"]) >= 1
