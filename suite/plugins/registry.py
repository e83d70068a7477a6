"""The plug-ins by kind, and how a run's plug-ins are built.

Other packages register theirs by entry points of the group `rl_claims.plugins`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, Protocol

from suite.extensions import PLUGINS_GROUP, Extended, unversioned
from suite.plugins.controls import (
    Deaden,
    Inflate,
    NormOnly,
    ProjectionOnly,
    RandomProjection,
    SnapshotAverage,
)
from suite.plugins.nap import NaP
from suite.plugins.pptb import PPTB
from suite.plugins.protocol import Plugin, PluginSettings
from suite.plugins.remedies import (
    L2,
    CReLU,
    LayerReset,
    LeakyReLU,
    PlasticityInjection,
    ReDo,
    Regenerative,
    ShrinkPerturb,
    UpdateNoise,
    WeightDecay,
)
from suite.plugins.schedules import Cosine, Decay, Replayed

OWN = (
    PPTB,
    NaP,
    NormOnly,
    ProjectionOnly,
    Decay,
    Cosine,
    Replayed,
    SnapshotAverage,
    RandomProjection,
    Inflate,
    Deaden,
    L2,
    Regenerative,
    WeightDecay,
    ShrinkPerturb,
    UpdateNoise,
    ReDo,
    LeakyReLU,
    CReLU,
    LayerReset,
    PlasticityInjection,
)


def unusable(name: str, value: Any) -> str:
    """Why an object can't be the plug-in of this name; "" if it can."""
    if not (isinstance(value, type) and issubclass(value, Plugin)):
        return f"{value!r} is no subclass of suite.plugins.protocol.Plugin"
    if getattr(value, "kind", None) != name:
        return f"its kind is {getattr(value, 'kind', None)!r}, not the entry point's name"
    if not issubclass(getattr(value, "Settings", type), PluginSettings):
        return "its Settings is no subclass of suite.plugins.protocol.PluginSettings"
    if not hasattr(value, "acting"):
        return "it has no `acting` settings for the conformance tests"
    return unversioned(value)


PLUGINS: MutableMapping[str, type[Plugin]] = Extended(
    {plugin.kind: plugin for plugin in OWN}, PLUGINS_GROUP, unusable
)


class PluginChoice(Protocol):
    """A plug-in's kind and settings, as a run spec names them."""

    @property
    def kind(self) -> str: ...

    @property
    def settings(self) -> Mapping[str, Any]: ...


def build_plugins(specs: Iterable[PluginChoice]) -> list[Plugin]:
    """The plug-ins in the order of the specs, which is the order in which they act.

    Raises KeyError for an unknown kind and pydantic.ValidationError for bad settings.
    """
    plugins = []
    for spec in specs:
        if spec.kind not in PLUGINS:
            raise KeyError(f"unknown plug-in kind {spec.kind!r}; known: {', '.join(PLUGINS)}")
        plugin = PLUGINS[spec.kind]
        plugins.append(plugin(plugin.Settings.model_validate(dict(spec.settings))))
    return plugins
