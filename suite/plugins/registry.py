"""The plug-ins by kind, and how a run's plug-ins are built."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from suite.plugins.controls import Deaden, Inflate, NormOnly, ProjectionOnly, SnapshotAverage
from suite.plugins.nap import NaP
from suite.plugins.pptb import PPTB
from suite.plugins.protocol import Plugin

PLUGINS: dict[str, type[Plugin]] = {
    plugin.kind: plugin
    for plugin in (PPTB, NaP, NormOnly, ProjectionOnly, SnapshotAverage, Inflate, Deaden)
}


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
