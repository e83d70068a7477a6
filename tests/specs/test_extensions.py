"""Agents, plug-ins and analyses of other packages: found by entry point, or refused by name."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from suite.analysis.registry import ANALYSES
from suite.analysis.registry import unusable as unusable_analysis
from suite.extensions import Extended, ExtensionError
from suite.plugins.registry import OWN, PLUGINS, unusable
from suite.specs.registry import AGENTS
from suite.specs.registry import unusable as unusable_agent
from suite.store.provenance import collect

Install = Callable[[str, str, Mapping[str, str]], str]
PLUGIN = """
from suite.plugins.protocol import Plugin, PluginSettings

class Halve(Plugin):
    kind = "halve"
    VERSION = 3
    Settings = PluginSettings
    acting = {}

class Inherited(Halve):
    pass

class Unset(Plugin):
    kind = "unset"
    VERSION = 1

class Passive(Plugin):
    kind = "passive"
    VERSION = 1
    Settings = PluginSettings

text = "Halve"
"""
AGENT = """
from baselines.classifier import Classifier

class Learner(Classifier):
    VERSION = 2

class Drifter(Classifier):
    VERSION = 2
    loop = "drifting"

class Half:
    VERSION = 1
    loop = "supervised"
"""
ANALYSIS = """
from suite.analysis.protocol import LookSettings, Result

class Counted:
    VERSION = 2
    Settings = LookSettings

    def __init__(self, settings):
        pass

    def recordings(self):
        return (("path", {}),)

    def analyse(self, run):
        return Result(figures={"snapshots": run.path().snapshots})

class Inherited(Counted):
    pass

class Unset(Counted):
    VERSION = 1
    Settings = dict

class Sketched(Counted):
    VERSION = 1
    DIAGNOSTICS = ("snapshots",)

class Blind:
    VERSION = 1
    Settings = LookSettings
"""


def plugins() -> Mapping[str, Any]:
    """The registry as a fresh process has it."""
    return Extended({plugin.kind: plugin for plugin in OWN}, "rl_claims.plugins", unusable)


def test_a_registered_plug_in_is_known_beside_the_suites_own(install: Install) -> None:
    install(PLUGIN, "rl_claims.plugins", {"halve": "Halve"})
    assert plugins()["halve"].VERSION == 3
    assert set(plugins()) == {*(plugin.kind for plugin in OWN), "halve"}
    assert "unknown" not in plugins()


def test_a_registered_agent_is_known_beside_the_suites_own(install: Install) -> None:
    install(AGENT, "rl_claims.agents", {"learner": "Learner"})
    agents = Extended(dict(AGENTS), "rl_claims.agents", unusable_agent)
    assert agents["learner"].VERSION == 2 and agents["td3"] is AGENTS["td3"]


def analyses() -> Mapping[str, Any]:
    """As a fresh process has them: of `ANALYSES` only the suite's own, by name, are looked at."""
    own = {name: ANALYSES[name] for name in ("weight_norms", "policy_path", "plasticity")}
    return Extended(own, "rl_claims.analyses", unusable_analysis)


@pytest.mark.parametrize(
    ("name", "value", "wrong"),
    [
        ("pptb", "Halve", "the suite has this name already"),
        ("halve", "Missing", "does not import: AttributeError"),
        ("halve", "text", "'Halve' is no subclass of suite.plugins.protocol.Plugin"),
        ("other", "Halve", "its kind is 'halve', not the entry point's name"),
        ("halve", "Inherited", "its VERSION is None, not a whole number from 1 on"),
        ("unset", "Unset", "its Settings is no subclass"),
        ("passive", "Passive", "it has no `acting` settings"),
    ],
)
def test_a_plug_in_that_cannot_be_used_is_refused_by_name(
    install: Install, name: str, value: str, wrong: str
) -> None:
    package = install(PLUGIN, "rl_claims.plugins", {name: value})
    told = f"entry point {name} = {package}:{value} in rl_claims.plugins of package {package}"
    with pytest.raises(ExtensionError) as error:
        list(plugins())
    assert told in str(error.value) and wrong in str(error.value)


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ("Drifter", "its loop is 'drifting', not one of off_policy"),
        ("Half", "has no Settings, actions, observations"),
    ],
)
def test_an_agent_that_cannot_be_used_is_refused_by_name(
    install: Install, value: str, wrong: str
) -> None:
    install(AGENT, "rl_claims.agents", {"mine": value})
    with pytest.raises(ExtensionError, match=wrong):
        list(Extended(dict(AGENTS), "rl_claims.agents", unusable_agent))


def test_a_registered_analysis_is_known_beside_the_suites_own(install: Install) -> None:
    install(ANALYSIS, "rl_claims.analyses", {"counted": "Counted"})
    found = analyses()
    assert found["counted"].VERSION == 2
    assert set(found) == {"weight_norms", "policy_path", "plasticity", "counted"}


@pytest.mark.parametrize(
    ("name", "value", "wrong"),
    [
        ("weight_norms", "Counted", "the suite has this name already"),
        ("counted", "Missing", "does not import: AttributeError"),
        ("counted", "Inherited", "its VERSION is None, not a whole number from 1 on"),
        ("counted", "Unset", "its Settings is no subclass of suite.recordings.protocol.Look"),
        ("counted", "Blind", "has no recordings, analyse"),
        ("counted", "Sketched", "its DIAGNOSTICS are not all suite.analysis.protocol.Diagnostic"),
    ],
)
def test_an_analysis_that_cannot_be_used_is_refused_by_name(
    install: Install, name: str, value: str, wrong: str
) -> None:
    package = install(ANALYSIS, "rl_claims.analyses", {name: value})
    told = f"entry point {name} = {package}:{value} in rl_claims.analyses of package {package}"
    with pytest.raises(ExtensionError) as error:
        list(analyses())
    assert told in str(error.value) and wrong in str(error.value)


def test_provenance_names_the_packages_with_their_versions(install: Install) -> None:
    package = install(PLUGIN, "rl_claims.plugins", {"halve": "Halve"})
    assert collect()["extensions"] == {package: "1.0"}


def test_two_packages_with_one_name_are_both_named(install: Install) -> None:
    packages = [install(PLUGIN, "rl_claims.plugins", {"halve": "Halve"}) for _ in range(2)]
    with pytest.raises(ExtensionError) as error:
        list(plugins())
    assert all(f"of package {package}" in str(error.value) for package in packages)


def test_a_broken_package_does_not_stop_the_suites_own(install: Install) -> None:
    install("raise RuntimeError('broken')", "rl_claims.plugins", {"halve": "Halve"})
    assert plugins()["pptb"] is PLUGINS["pptb"]
    with pytest.raises(ExtensionError, match="RuntimeError: broken"):
        plugins()["halve"]
