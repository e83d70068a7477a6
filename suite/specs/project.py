"""A project as it was loaded: presets, studies, and the resolved cells of every scale."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from suite.specs.claims import ClaimSpec, series_read
from suite.specs.figures import PaperFigure
from suite.specs.models import AgentSpec, Cell, PluginSpec, Scale, TaskSpec


@dataclass(frozen=True)
class Study:
    """One paper, its claims, what was found in sentences (`suite.specs.findings`), and its figures;
    `not_redrawn` says which are left out and why."""

    name: str
    paper: str
    claims: tuple[ClaimSpec, ...]
    findings: tuple[str, ...] = ()
    figures: tuple[PaperFigure, ...] = ()
    not_redrawn: str = ""


@dataclass(frozen=True)
class PresetFile:
    """A preset file of the suite that `use` names, and the names in it by section."""

    name: str
    presets: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Project:
    """Everything that is asked for. `cells` holds the resolved cells of every scale."""

    root: Path
    tasks: Mapping[str, TaskSpec]
    agents: Mapping[str, AgentSpec]
    plugins: Mapping[str, PluginSpec]
    studies: Mapping[str, Study]
    cells: Mapping[Scale, tuple[Cell, ...]]
    used: tuple[PresetFile, ...] = ()

    def series_read(self) -> frozenset[str]:
        """Names of the series that claims of any study read, as `is_named` takes them."""
        studies = self.studies.values()
        return frozenset(name for study in studies for name in series_read(study.claims))
