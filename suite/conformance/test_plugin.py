"""The laws on one plug-in, with every agent that it goes with; run by `suite conform NAME`."""

import json
from pathlib import Path

import pytest

from suite.conformance.laws import (
    assert_checkpoint_continues,
    assert_evaluation_changes_no_weight,
    assert_groups_agree,
    assert_it_acts,
    assert_neutral_is_absent,
    assert_recordings_change_nothing,
)
from suite.conformance.small_runs import AGENTS, acting, neutral, small_runs
from suite.plugins.protocol import Plugin
from suite.specs.models import PluginSpec

PluginClass = type[Plugin]


@pytest.fixture(params=AGENTS)
def agent(request: pytest.FixtureRequest, plugin: PluginClass) -> str:
    """The kind of each agent that the plug-in goes with."""
    kind = str(request.param)
    settings = plugin.Settings.model_validate(dict(plugin.acting))
    reason = plugin.refuses(settings, kind, AGENTS[kind][1])
    if reason is not None:
        pytest.skip(f"{plugin.kind} refuses {kind}: {reason}")
    return kind


@pytest.fixture
def plugins(plugin: PluginClass) -> list[PluginSpec]:
    return [acting(plugin.kind)]


def test_settings_are_strict_and_survive_json(plugin: PluginClass) -> None:
    settings = plugin.Settings.model_validate(dict(plugin.acting))
    again = plugin.Settings.model_validate_json(json.dumps(settings.model_dump(mode="json")))
    assert again == settings
    config = plugin.Settings.model_config
    for name, value in {"strict": True, "frozen": True, "extra": "forbid"}.items():
        assert config.get(name) == value, f"Settings need {name}={value!r}, as PluginSettings has"


def test_it_acts(agent: str, plugins: list[PluginSpec], tmp_path: Path) -> None:
    assert_it_acts(agent, plugins, tmp_path)


def test_grouping_does_not_matter(agent: str, plugins: list[PluginSpec], tmp_path: Path) -> None:
    runs = small_runs(agent, list(range(6)), plugins, recordings=("norms",), budget=60)
    assert_groups_agree(runs, tmp_path)


def test_a_checkpoint_continues_in_any_group(
    agent: str, plugins: list[PluginSpec], tmp_path: Path
) -> None:
    assert_checkpoint_continues(agent, plugins, tmp_path)


def test_evaluating_does_not_matter(agent: str, plugins: list[PluginSpec], tmp_path: Path) -> None:
    assert_evaluation_changes_no_weight(agent, plugins, tmp_path)


def test_recording_does_not_matter(agent: str, plugins: list[PluginSpec], tmp_path: Path) -> None:
    assert_recordings_change_nothing(agent, plugins, tmp_path)


def test_neutral_settings_are_absence(agent: str, plugin: PluginClass, tmp_path: Path) -> None:
    if plugin.neutral is None:
        pytest.skip(f"{plugin.kind} says that it has no neutral settings")
    assert_neutral_is_absent(agent, [], neutral(plugin.kind), tmp_path)
