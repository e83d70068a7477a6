"""A cell has one source of the learning rate: the agent, or one of its plug-ins."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from suite.conformance.small_runs import PPO
from suite.plugins.registry import PLUGINS
from suite.specs.loading import load_project
from suite.specs.source import SpecError

NAP = dict(PLUGINS["nap"].acting)
PLUGIN_PRESETS = {
    "decay": {"kind": "decay", "settings": dict(PLUGINS["decay"].acting)},
    "nap_linear": {"kind": "nap", "settings": {**NAP, "schedule": "linear"}},
    "nap_const": {"kind": "nap", "settings": {**NAP, "schedule": "constant"}},
    "pptb": {"kind": "pptb", "settings": dict(PLUGINS["pptb"].acting)},
}
STUDY = """\
study: rates
paper: none
cells:
  - tasks: [hopper]
    agents: [ppo]
    plugins:
      - []
      - [{plugins}]
    scales:
      smoke: {{seeds: 2, budget: 64, evaluate_every: 64, evaluation_episodes: 1{more}}}
claims: []
"""
S = "tasks/studies/rates.yaml"


def load(folder: Path, plugins: list[str], schedule: str, more: str = "") -> list[str]:
    presets: dict[str, Any] = {
        "tasks": {"hopper": {"family": "mujoco", "environment": "Hopper-v5"}},
        "agents": {"ppo": {"kind": "ppo", "settings": {**PPO, "schedule": schedule}}},
        "plugins": PLUGIN_PRESETS,
    }
    (folder / "tasks" / "studies").mkdir(parents=True)
    (folder / "tasks" / "presets.yaml").write_text(yaml.safe_dump(presets), encoding="utf-8")
    study = STUDY.format(plugins=", ".join(plugins), more=more)
    (folder / S).write_text(study, encoding="utf-8")
    return [cell.id for cell in load_project(folder).cells["smoke"]]


@pytest.mark.parametrize("plugin", ["decay", "nap_linear"])
def test_a_schedule_is_refused_with_an_agent_that_has_its_own(tmp_path: Path, plugin: str) -> None:
    with pytest.raises(SpecError) as refused:
        load(tmp_path, [plugin], "linear")
    assert str(refused.value) == (
        f"{S}:8: plug-in '{plugin}' can't go with agent 'ppo': both set the learning rate (with "
        "schedule: constant for the agent, the plug-in alone does); plug-ins that fit the agent; "
        "remove it from this group"
    )


def test_two_schedules_are_refused_in_one_cell(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as refused:
        load(tmp_path, ["nap_linear", "decay"], "constant")
    assert str(refused.value) == (
        f"{S}:8: plug-in 'decay' can't go with plug-in 'nap_linear': both set the learning rate; "
        "one of them; remove one from this list"
    )


@pytest.mark.parametrize(
    "plugins, schedule",
    [
        (["decay"], "constant"),
        (["nap_linear"], "constant"),
        (["nap_const"], "linear"),
        (["pptb"], "linear"),
        (["nap_const", "decay"], "constant"),
        (["nap_linear", "pptb"], "constant"),
    ],
)
def test_one_schedule_is_allowed(tmp_path: Path, plugins: list[str], schedule: str) -> None:
    assert len(load(tmp_path, plugins, schedule)) == 2


def test_the_agents_schedule_at_the_scale_decides(tmp_path: Path) -> None:
    more = ", agent: {schedule: constant}"
    assert len(load(tmp_path, ["decay"], "linear", more)) == 2
