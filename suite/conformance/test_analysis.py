"""The laws on one analysis, with runs of every agent that has networks; run by
`suite conform --analysis KIND`."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from suite.analysis.registry import ANALYSES
from suite.conformance.analysis_laws import (
    Small,
    assert_companions_do_not_matter,
    assert_it_leaves_runs_alone,
    assert_it_repeats,
    assert_only_named_recordings_are_read,
    assert_process_and_agents_are_left_alone,
    assert_processes_agree,
    assert_results_can_be_named,
    refusal,
    trained,
)
from suite.conformance.small_runs import AGENTS
from suite.specs.models import AnalysisSpec

Runs = Callable[[str], tuple[Small, str | None]]


@pytest.fixture(scope="session")
def runs(analysis: AnalysisSpec, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Small runs of a kind of agent, trained once, and why the analysis refuses them."""

    @cache
    def of(kind: str) -> tuple[Small, str | None]:
        small = trained(analysis, kind, tmp_path_factory.mktemp(kind))
        return small, refusal(small)

    return of


@pytest.fixture(params=AGENTS)
def small(request: pytest.FixtureRequest, analysis: AnalysisSpec, runs: Runs) -> Small:
    """Runs of each kind of agent that the analysis takes."""
    found, reason = runs(request.param)
    if reason is not None:
        pytest.skip(f"{analysis.kind} refuses {request.param}: {reason}")
    return found


def test_settings_are_strict_and_survive_json(analysis: AnalysisSpec) -> None:
    model = ANALYSES[analysis.kind].Settings
    settings = model.model_validate_json(json.dumps(analysis.settings))
    assert model.model_validate_json(json.dumps(settings.model_dump(mode="json"))) == settings
    for name, value in {"strict": True, "frozen": True, "extra": "forbid"}.items():
        told = f"Settings need {name}={value!r}, as LookSettings has"
        assert model.model_config.get(name) == value, told


def test_it_takes_runs_of_an_agent(runs: Runs) -> None:
    reasons = {}
    for kind in AGENTS:
        _, reasons[kind] = runs(kind)
        if reasons[kind] is None:
            return
    pytest.fail(f"it refuses every agent: {reasons}")


def test_results_can_be_named(small: Small) -> None:
    assert_results_can_be_named(small)


def test_it_repeats(small: Small) -> None:
    assert_it_repeats(small)


def test_processes_agree(small: Small) -> None:
    assert_processes_agree(small)


def test_companions_do_not_matter(small: Small, tmp_path: Path) -> None:
    assert_companions_do_not_matter(small, tmp_path / "alone")


def test_it_leaves_runs_alone(small: Small, tmp_path: Path) -> None:
    assert_it_leaves_runs_alone(small, tmp_path / "copy")


def test_only_named_recordings_are_read(small: Small) -> None:
    assert_only_named_recordings_are_read(small)


def test_process_and_agents_are_left_alone(small: Small) -> None:
    assert_process_and_agents_are_left_alone(small)
