"""`suite why` finds what differs between two runs, and the first step where their traces part."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from suite.commands.why import compare
from suite.stats.runs import Run, Series

WALK = "dead_unit_walk--walk-sign-rms--none"


def run_of(values: dict[str, list[float]], spec: dict | None = None, **provenance: object) -> Run:
    series = {
        name: Series(np.arange(len(row), dtype=np.float64) * 10, np.array(row, dtype=np.float64))
        for name, row in values.items()
    }
    provenance = provenance or {"cpu": "one"}
    return Run(
        "key", "cell", "smoke", 0, "done", spec=spec or {}, series=series, provenance=provenance
    )


def paths(differences: tuple) -> list[tuple[str, str, str]]:
    return [(one.path, one.left, one.right) for one in differences]


@given(st.lists(st.floats(-9, 9), min_size=1, max_size=8), st.data())
def test_first_change_of_any_series_is_where_traces_part(row: list[float], data: st.DataObject):
    changed = {name: data.draw(st.sets(st.integers(0, len(row) - 1))) for name in "ab"}
    left = run_of({"a": row, "b": row})
    right = run_of({name: [x + (i in changed[name]) for i, x in enumerate(row)] for name in "ab"})
    traces = compare(left, right, rounded=False).traces
    assert traces is not None
    expected = sorted((10 * min(steps), name) for name, steps in changed.items() if steps)
    assert [(one.step, one.series) for one in traces.partings] == expected
    for one in traces.partings:
        assert one.right == one.left + 1


def test_unknown_values_are_equal_to_each_other_and_to_no_number():
    left, right = run_of({"a": [math.nan, math.nan]}), run_of({"a": [math.nan, 1.0]})
    traces = compare(left, right, rounded=False).traces
    assert traces is not None and [one.step for one in traces.partings] == [10]
    traces = compare(left, left, rounded=False).traces
    assert traces is not None and not traces.partings


def test_evidence_is_compared_with_the_digits_it_keeps():
    left, right = run_of({"a": [1.23456789]}), run_of({"a": [1.23457]})
    exact = compare(left, right, rounded=False).traces
    rounded = compare(left, right, rounded=True).traces
    assert exact is not None and len(exact.partings) == 1
    assert rounded is not None and not rounded.partings


def test_only_common_steps_are_compared():
    whole = run_of({"a": [0.0, 1.0, 2.0, 3.0]})
    thin = replace(whole, series={"a": Series(np.array([0.0, 30.0]), np.array([0.0, 4.0]))})
    traces = compare(whole, thin, rounded=False).traces
    assert traces is not None and [one.step for one in traces.partings] == [30]


def test_series_of_one_run_are_named():
    traces = compare(run_of({"a": [0.0]}), run_of({"b": [0.0]}), rounded=False).traces
    assert traces is not None
    assert (traces.shared, traces.only_left, traces.only_right) == ((), ("a",), ("b",))


def test_settings_are_told_by_dotted_path_and_plugins_by_name():
    pptb = {"name": "pptb", "kind": "pptb", "settings": {"capacity": 20, "unit": "updates"}}
    small = {**pptb, "settings": {"capacity": 10, "unit": "updates"}}
    nap = {"name": "nap", "kind": "nap", "settings": {}}
    left = run_of({}, {"agent": {"settings": {"rate": 0.1}}, "plugins": [pptb], "seed": 1})
    right = run_of({}, {"agent": {"settings": {"rate": 0.2}}, "plugins": [nap, small], "seed": 1})
    assert paths(compare(left, right, rounded=False).spec) == [
        ("agent.settings.rate", "0.1", "0.2"),
        ("plugins", "pptb", "nap + pptb"),
        ("plugins.pptb.settings.capacity", "20", "10"),
    ]


def test_versions_lock_code_and_machine_are_told_apart():
    left = run_of(
        {},
        {"versions": {"agent/td3": 1, "env/mujoco": 1}},
        constraints_sha256="a",
        libraries={"torch": "1", "numpy": "1"},
        git={"commit": "c", "changed": False},
        cpu="slow",
        seconds={"total": 1.0},
    )
    right = run_of(
        {},
        {"versions": {"agent/td3": 2, "env/mujoco": 1, "plugin/nap": 1}},
        constraints_sha256="b",
        libraries={"torch": "2", "numpy": "1"},
        git={"commit": "c", "changed": True},
        cpu="fast",
        seconds={"total": 2.0},
    )
    found = compare(left, right, rounded=False)
    assert paths(found.versions) == [("agent/td3", "1", "2"), ("plugin/nap", "-", "1")]
    assert paths(found.lock) == [("constraints_sha256", "a", "b"), ("libraries.torch", "1", "2")]
    assert paths(found.code) == [("git.changed", "false", "true")]
    assert paths(found.machine) == [("cpu", "slow", "fast")]
    assert found.spec == ()


def test_numerics_have_a_section_of_their_own():
    recorded = {"products": "numpy-1", "blas": "openblas 0.3 Haswell", "torch": "2"}
    left = run_of({}, numerics=recorded, cpu="slow")
    right = run_of({}, numerics={**recorded, "blas": "openblas 0.3 SkylakeX"}, cpu="fast")
    found = compare(left, right, rounded=False)
    told = ("blas", "openblas 0.3 Haswell", "openblas 0.3 SkylakeX")
    assert paths(found.numerics) == [told]
    assert paths(found.machine) == [("cpu", "slow", "fast")]
    assert not compare(left, left, rounded=False).numerics
    earlier = run_of({}, libraries={"torch": "2"}, cpu="slow")
    names = [one.path for one in compare(left, earlier, rounded=False).numerics]
    assert "products" in names and "blas" in names and "torch" not in names


def test_numerics_stand_before_the_machine_and_may_not_be_known(suite, project: Path):
    assert suite("run", WALK).exit_code == 0
    runs = [f"{WALK}:{seed}@smoke" for seed in (0, 1)]
    lines = suite("why", *runs).stdout.splitlines()
    at = lines.index("numerics: the same")
    assert lines[at + 1].startswith("machine:")
    for path in project.glob("runs/*/provenance.json"):
        provenance = json.loads(path.read_text())
        del provenance["numerics"]
        path.write_text(json.dumps(provenance))
    told = suite("why", *runs).stdout
    assert "numerics: the same as far as they were recorded" in told
    told = suite("why", runs[0], "dead_unit_walk--walk-sign-none--none:0@smoke").stdout
    assert "numerics: not known" in told


def test_seeds_part_and_a_run_does_not_part_from_its_evidence(suite, project: Path):
    assert suite("run", WALK).exit_code == 0
    told = suite("why", f"{WALK}:0@smoke", f"{WALK}:1@smoke")
    assert told.exit_code == 0
    assert "seed: 0 | 1" in told.stdout and "traces: part at step" in told.stdout
    suite("evidence", WALK, "--scale", "smoke")
    file = next(p for p in project.glob("reports/evidence/*/*.json") if _seed(p) == 0)
    told = suite("why", f"{WALK}:0@smoke", str(file))
    assert "the same at all common steps" in told.stdout and "spec: the same" in told.stdout
    folder = shutil.copytree(project / "runs", project.parent / "other") / told.stdout[:16]
    told = suite("why", str(file), str(folder))
    assert told.exit_code == 0 and "machine: the same" in told.stdout
    assert "numerics: the same\n" in told.stdout, "evidence does not keep them"


def _seed(path: Path) -> int:
    return int(json.loads(path.read_text())["record"]["seed"])


def test_run_of_an_earlier_spec_is_found_by_the_beginning_of_its_key(suite, project: Path):
    suite("run", WALK)
    presets = project / "tasks" / "agents.yaml"
    text = presets.read_text()
    start = text.index("walk-sign-rms:")
    changed = text[start:].replace("settings:", "settings:\n      step_size: 0.5", 1)
    assert changed != text[start:]
    presets.write_text(text[:start] + changed)
    earlier = next(p.parent.name for p in project.glob("runs/*/spec.json") if _spec_seed(p) == 0)
    told = suite("why", earlier[:10], f"{WALK}:0@smoke")
    assert told.exit_code == 0, told.output
    assert "stale: a setting changed since" in told.stdout
    assert "agent.settings.step_size:" in told.stdout
    assert "traces: none; " in told.stdout and " is queued" in told.stdout


def _spec_seed(path: Path) -> int:
    return int(json.loads(path.read_text())["seed"])


def test_unknown_and_ambiguous_names_say_what_is_allowed(suite):
    told = suite("why", f"{WALK}:7@smoke", f"{WALK}:0@smoke")
    assert told.exit_code == 2
    assert "no run" in told.stderr and "CELL:SEED@SCALE" in told.stderr.upper()
    told = suite("why", "", f"{WALK}:0@smoke")
    assert told.exit_code == 2 and "8 runs are called" in " ".join(told.stderr.split())
