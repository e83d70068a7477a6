"""`suite plan`: what is left to train, and how long it takes here."""

import re

import pytest

from suite.cache import folder
from suite.engine import duration

WALK = "dead_unit_walk--walk-sign-rms--none"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def told(result):
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def test_time_comes_from_finished_runs_where_there_are_any(suite):
    assert "; 0 of 4 cells estimated from finished runs" in told(suite("plan"))
    suite("run", WALK)
    assert "; 0 of 3 cells estimated from finished runs" in told(suite("plan"))
    # The finished one of smoke tells of its cell at another scale.
    assert "; 1 of 2 cells estimated from finished runs" in told(suite("plan", "--scale", "short"))
    suite("run")
    assert "smoke: nothing is left to train" in told(suite("plan"))


def test_estimates_are_kept_where_nothing_is_left_to_train(suite):
    suite("run")
    kept = folder() / "estimates.json"
    kept.unlink(missing_ok=True)
    assert "nothing is left to train" in told(suite("plan"))
    assert kept.exists()


def test_names_of_cells_are_whole_in_a_narrow_terminal(suite, monkeypatch):
    monkeypatch.setenv("COLUMNS", "45")
    lines = [line.split("  ")[0].strip() for line in suite("plan").output.splitlines()]
    assert WALK in "".join(lines)


def test_slower_processor_and_fewer_processes_take_longer(suite, monkeypatch):
    def seconds(slowness, jobs):
        monkeypatch.setattr(duration, "work_seconds", lambda: slowness * duration.REFERENCE_SECONDS)
        (found,) = re.findall(r"about (\d+) s with", told(suite("plan", "--jobs", jobs)))
        return int(found)

    assert seconds(10.0, "1") > seconds(1.0, "1")
    assert seconds(100.0, "1") > seconds(100.0, "2") > 0
