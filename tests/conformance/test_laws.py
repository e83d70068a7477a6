"""The conformance tests find the plug-ins that break a law, and pass one that breaks none."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from pydantic import BaseModel
from typer.testing import CliRunner

import suite.cli
from suite.conformance import conform, laws, small_runs
from suite.plugins import registry
from suite.plugins.protocol import Agent, Plugin, PluginSettings
from suite.stacked.streams import State

KIND = "classifier"


class Settings(PluginSettings):
    factor: float


class Scaled(Plugin):
    """Multiplies all weights after each learn call: breaks no law."""

    VERSION = 1
    kind = "scaled"
    Settings = Settings
    acting: ClassVar[Mapping[str, Any]] = {"factor": 0.99}
    neutral: ClassVar[Mapping[str, Any] | None] = {"factor": 1.0}

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.settings = settings

    @classmethod
    def refuses(
        cls, settings: BaseModel, agent_kind: str, agent_settings: Mapping[str, Any]
    ) -> str | None:
        return None if agent_kind == KIND else "only classifiers here, to save time"

    def after_update(self, agent: Agent) -> None:
        for group in agent.groups.values():
            group.parameters.flat.mul_(self.settings.factor)


class Gregarious(Scaled):
    """Looks at the other seeds."""

    def after_update(self, agent: Agent) -> None:
        super().after_update(agent)
        for group in agent.groups.values():
            group.parameters.flat.add_(group.parameters.flat.mean(), alpha=1e-6)


class Forgetful(Scaled):
    """Counts its calls and leaves the count out of its state."""

    calls = 0

    def after_update(self, agent: Agent) -> None:
        self.calls += 1
        if self.calls % 3 == 0:
            super().after_update(agent)


class Nosy(Scaled):
    """Its diagnostics change the agent."""

    def after_update(self, agent: Agent) -> None:
        self.agent = agent
        super().after_update(agent)

    def diagnostics(self) -> dict[str, np.ndarray]:
        if hasattr(self, "agent"):
            super().after_update(self.agent)
        return {}


class NeverOff(Scaled):
    """Does something with neutral settings too."""

    def after_update(self, agent: Agent) -> None:
        super().after_update(agent)
        for group in agent.groups.values():
            group.parameters.flat.mul_(1 + 1e-6)


class Idle(Scaled):
    """Does nothing with the settings that should make it act."""

    def after_update(self, agent: Agent) -> None:
        pass


class Unrowed(Scaled):
    """Its state has no seed axis."""

    def state(self) -> State:
        return {"calls": np.zeros(1)}


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make a class the plug-in `scaled`."""

    def register(plugin: type[Plugin]) -> None:
        for module in (registry, small_runs):
            monkeypatch.setattr(module, "PLUGINS", {"scaled": plugin})

    return register


def check(law: str, folder: Path) -> None:
    plugins = [small_runs.acting("scaled")]
    if law == "grouping":
        laws.assert_groups_agree(small_runs.small_runs(KIND, list(range(6)), plugins), folder)
    elif law == "resuming":
        laws.assert_checkpoint_continues(KIND, plugins, folder)
    elif law == "looking":
        laws.assert_evaluation_changes_no_weight(KIND, plugins, folder)
    elif law == "recording":
        laws.assert_recordings_change_nothing(KIND, plugins, folder)
    elif law == "off":
        laws.assert_neutral_is_absent(KIND, [], small_runs.neutral("scaled"), folder)
    else:
        laws.assert_it_acts(KIND, plugins, folder)


@pytest.mark.parametrize("law", ["grouping", "resuming", "looking", "recording", "off", "acting"])
def test_a_sound_plug_in_keeps_every_law(use: Any, tmp_path: Path, law: str) -> None:
    use(Scaled)
    check(law, tmp_path)


@pytest.mark.parametrize(
    ("plugin", "law"),
    [
        (Gregarious, "grouping"),
        (Forgetful, "resuming"),
        (Unrowed, "resuming"),
        (Nosy, "looking"),
        (NeverOff, "off"),
        (Idle, "acting"),
    ],
)
def test_a_broken_law_is_found(use: Any, tmp_path: Path, plugin: type[Plugin], law: str) -> None:
    use(plugin)
    with pytest.raises((AssertionError, IndexError)):
        check(law, tmp_path)


@pytest.mark.long
def test_the_command_passes_a_sound_plug_in_and_tells_what_it_skipped(
    use: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    use(Scaled)
    assert conform(Scaled) == 0
    told = capfd.readouterr().out
    # One law on the settings and six on each kind of agent; all but classifiers are refused.
    assert f"7 passed, {6 * (len(small_runs.AGENTS) - 1)} skipped" in told
    assert "scaled refuses td3: only classifiers here" in told


def test_the_command_names_the_broken_law(use: Any, capfd: pytest.CaptureFixture[str]) -> None:
    use(Gregarious)
    result = CliRunner().invoke(suite.cli.app, ["conform", "scaled"])
    assert result.exit_code == 1
    told = result.output + capfd.readouterr().out
    failed = [line for line in told.splitlines() if line.startswith("FAILED")]
    assert any("test_grouping_does_not_matter[classifier]" in line for line in failed), told


def test_the_command_names_the_plug_ins_there_are(use: Any) -> None:
    use(Scaled)
    result = CliRunner().invoke(suite.cli.app, ["conform", "other"])
    assert result.exit_code == 2 and "known: scaled" in result.output
