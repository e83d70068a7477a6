"""Update times, overheads of plug-ins, SVD, environments and renderer against the reference."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest
from gate import judge
from timings import TIMINGS, Turns
from workers import ROOT

from suite.specs.loading import load_project
from suite.stats.collecting import collect_runs
from suite.stats.verdicts import expectations
from suite.stats.verdicts import judge as judge_claim
from suite.store.store import Store

pytestmark = pytest.mark.bench

WARM_UP = 2
TURNS = 16
REFERENCE_BUILDS = 2


def measured(name: str) -> dict[str, float]:
    """Ratios by name, with everything built anew."""
    turns = Turns(name, TIMINGS[name]())
    turns.timing.subject()
    turns.take(TURNS)
    return turns.ratios()


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize("name", TIMINGS)
def test_is_not_slower_than_its_reference(
    benchmark: Any,
    name: str,
    reference: dict[str, float] | None,
    written: dict[str, float] | None,
    gains: Callable[[str], dict[str, Any]],
    tell: Callable[[str], None],
) -> None:
    turns = Turns(name, TIMINGS[name]())
    for _ in range(WARM_UP):
        turns.timing.subject()
    benchmark.pedantic(turns.work, setup=turns.prepare, rounds=TURNS)
    found = turns.ratios()
    benchmark.extra_info.update(ratios=found, calibration_ratio=turns.calibration_ratio())
    if name.startswith("plugin/"):
        benchmark.extra_info.update(gains(name.removeprefix("plugin/")))
    if written is not None:
        builds = [found, *(measured(name) for _ in range(REFERENCE_BUILDS - 1))]
        written.update({key: statistics.median(one[key] for one in builds) for key in found})
        return
    if reference is None:
        benchmark.extra_info["gate"] = "inconclusive"
        pytest.skip("inconclusive: no reference from a machine like this one")
    outcome = judge(found, reference, lambda: measured(name))
    benchmark.extra_info["gate"] = outcome.state
    tell(f"{outcome.state}: {outcome.reason}")
    if outcome.state == "inconclusive":
        pytest.skip(f"inconclusive: {outcome.reason}")
    assert outcome.state == "passed", outcome.reason


@pytest.fixture(scope="module")
def gains() -> Callable[[str], dict[str, Any]]:
    """What the studies claim of a kind of plug-in and what the evidence says, by claim."""
    project = load_project(ROOT)
    runs = collect_runs(project, Store(ROOT / "runs"), ROOT / "reports" / "evidence")
    expected = expectations(project)
    claims = [claim for study in project.studies.values() for claim in study.claims]

    def of(kind: str) -> dict[str, Any]:
        presets = {name for name, preset in project.plugins.items() if preset.kind == kind}
        about = [claim for claim in claims if presets & _treatments(claim)]
        verdicts = {claim.id: judge_claim(claim, runs, expected) for claim in about}
        fields = {"state", "scale", "statistic", "observed", "low", "high"}
        return {
            "claimed_gain": {claim.id: claim.reported for claim in about},
            "measured_gain": {
                name: verdict.model_dump(mode="json", include=fields)
                for name, verdict in verdicts.items()
            },
        }

    return of


def _treatments(claim: Any) -> set[str]:
    """Presets of the plug-ins whose effect a claim is about."""
    cells = claim.treatment if hasattr(claim, "treatment") else claim.compared()
    return {name for cell in cells for name in cell.split("--", 2)[2].split("+")}
