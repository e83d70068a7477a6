"""The regression gate fails on a planted slowdown, names it, and passes without one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.bench

HERE = Path(__file__).parent


def gate(reference: Path, *arguments: str, planted: str = "") -> subprocess.CompletedProcess[str]:
    """The gate for NaP alone, with a reference of its own."""
    paths = [str(HERE), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    if planted:
        environment["PLANTED_SLOWDOWN"] = planted
        arguments = ("-p", "planted_slowdown", *arguments)
    command = [sys.executable, "-m", "pytest", "-m", "bench", "-k", "plugin/nap", "-q"]
    where = [str(HERE / "test_regressions.py"), f"--reference={reference}", *arguments]
    return subprocess.run(
        [*command, *where], cwd=HERE.parents[1], env=environment, capture_output=True, text=True
    )


def test_gate_fails_on_a_plugin_that_became_a_quarter_slower_and_names_it(tmp_path: Path) -> None:
    reference = tmp_path / "reference.json"
    assert gate(reference, "--write-reference").returncode == 0
    clean = gate(reference)
    assert clean.returncode == 0 and "passed: " in clean.stdout, clean.stdout
    slow = gate(reference, planted="nap:update")
    assert slow.returncode == 1, slow.stdout
    assert "regression: slower: plugin/nap " in slow.stdout
    assert "FAILED tests/bench/test_regressions.py::test_is_not_slower_than_its_reference" in (
        slow.stdout
    )
    own = gate(reference, planted="nap:own")
    assert own.returncode == 1, own.stdout
    assert "regression: slower: plugin/nap/own " in own.stdout
