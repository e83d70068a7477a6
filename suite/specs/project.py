"""A project as it was loaded: presets, studies, and the resolved cells of every scale."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from suite.specs.claims import ClaimSpec, series_read
from suite.specs.figures import PaperFigure
from suite.specs.models import AgentSpec, Cell, PluginSpec, Scale, TaskSpec


@dataclass(frozen=True)
class Study:
    """One paper, its claims, what was found in sentences (`suite.specs.findings`), and its figures;
    `not_redrawn` says which are left out and why. `environments`: the paper's by task, where the
    task stands in for another."""

    name: str
    paper: str
    claims: tuple[ClaimSpec, ...]
    environments: Mapping[str, str] = field(default_factory=dict)
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

    def environments_of(self, claim: str) -> Mapping[str, str]:
        """Those of the paper of the claim with this id, by task, where they are others."""
        return next(
            study.environments
            for study in self.studies.values()
            if any(one.id == claim for one in study.claims)
        )

    def series_read(self) -> frozenset[str]:
        """Names of the series that claims of any study read, as `is_named` takes them."""
        studies = self.studies.values()
        return frozenset(name for study in studies for name in series_read(study.claims))
