"""The words of a spec as typed models: task, agent, plug-in, recording, analysis, run, cell, plan.

All models are frozen and strict and refuse unknown keys. A `RunSpec` is fully resolved: every
default is filled in, so its canonical JSON says everything that decides what is trained.
"""

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Scale = Literal["smoke", "short", "paper"]
SCALES: tuple[Scale, ...] = ("smoke", "short", "paper")
REPEATING = ("dmc", "dmc_pixels")  # families that can repeat actions

# Names become folder names, cell ids ("task--agent--plugin+plugin") and file names.
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.]*(-[a-z0-9_.]+)*$", max_length=60)]


class Spec(BaseModel):
    """Common settings of all spec models: frozen, strict, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class TaskSpec(Spec):
    """An environment with its protocol."""

    name: Name
    family: str = Field(min_length=1, description="the suite's own, or one of another package")
    environment: str = Field(min_length=1, description="the adapter's id, e.g. 'Hopper-v5'")
    arguments: dict[str, Any] = Field(default={}, description="passed to the environment")
    action_repeat: int = Field(default=1, ge=1, description="control steps per action")
    episode_limit: int | None = Field(default=None, ge=1, description="steps; None: no limit")
    note: str = Field(default="", description="what differs from the papers' environments")
    random_return: float | None = Field(default=None, description="mean return of random play")


class AgentSpec(Spec):
    """A base algorithm (`kind`) with a named preset of settings.

    `precision` of its products (`suite.stacked.products`): `bf16` is another experiment than
    float32, under another name and key.
    """

    name: Name
    kind: str
    settings: dict[str, Any]
    precision: Literal["float32", "bf16"] = Field(
        default="float32", exclude_if=lambda value: value == "float32"
    )


class PluginSpec(Spec):
    """A plug-in (`kind`) with a named preset of settings."""

    name: Name
    kind: str
    settings: dict[str, Any] = {}


class RecordingSpec(Spec):
    """What a run writes while it trains for analyses to read; it changes no bit of the run."""

    kind: str
    settings: dict[str, Any] = {}
    version: int = Field(default=1, ge=1, description="behaviour version of the recording")

    @property
    def name(self) -> str:
        """The folder of its files in the run's; another setting or version gives another."""
        return f"{self.kind}-{digest([self.kind, self.settings, self.version])[:8]}"


class AnalysisSpec(Spec):
    """What is computed from a finished run and its recordings."""

    kind: str
    settings: dict[str, Any] = {}
    version: int = Field(default=1, ge=1, description="behaviour version of the analysis")

    def key(self, run: str) -> str:
        """Of its result for the run with this key."""
        return digest([run, self.kind, self.settings, self.version])


# Fields that describe a task to a reader and decide nothing about training.
DESCRIPTION: dict[str, Any] = {"task": {"note", "random_return"}}
# Fields that say who looks at a run.
LOOKING: dict[str, Any] = {"recordings": True, "analyses": True}


class RunSpec(Spec):
    """One seed of a cell, resolved: what is trained, for how long, and how it is evaluated.

    `budget` and `evaluate_every` count environment steps (off-policy agents), optimiser steps
    (supervised agents) or simulation steps.
    """

    task: TaskSpec
    agent: AgentSpec
    plugins: tuple[PluginSpec, ...] = ()
    recordings: tuple[RecordingSpec, ...] = ()
    analyses: tuple[AnalysisSpec, ...] = ()
    seed: int = Field(ge=0)
    budget: int = Field(ge=1)
    evaluate_every: int = Field(ge=1)
    evaluation_episodes: int = Field(ge=0)
    versions: dict[str, int] = {}

    def key(self) -> str:
        """First 16 hex digits of the SHA-256 of the canonical JSON, descriptive fields left out.

        Who looks at the run is not in it: an analysis never makes a run stale.
        """
        return digest(self.model_dump(mode="json", exclude=DESCRIPTION | LOOKING))

    def trained(self) -> dict[str, Any]:
        """JSON of what is trained, without who looks at it."""
        return self.model_dump(mode="json", exclude=LOOKING)


class ScaleSpec(Spec):
    """How a group of cells is run at one scale, and which settings differ from the presets there.

    `agent` overrides settings of every agent of the group; `plugins`, `recordings` and `analyses`
    override settings by name.
    """

    seeds: int = Field(ge=1, le=1000, description="number of seeds")
    first_seed: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="the others follow it; claims read cells from seed 0 on only, so that settings "
        "can be chosen on seeds of their own",
    )
    budget: int = Field(ge=1)
    evaluate_every: int = Field(ge=1)
    evaluation_episodes: int = Field(ge=0)
    agent: dict[str, Any] = {}
    plugins: dict[str, dict[str, Any]] = {}
    recordings: dict[str, dict[str, Any]] = {}
    analyses: dict[str, dict[str, Any]] = {}


class GroupSpec(Spec):
    """Cells of a study: each task x each agent x each list of plug-ins, at the named scales."""

    tasks: tuple[str, ...] = Field(min_length=1)
    agents: tuple[str, ...] = Field(min_length=1)
    plugins: tuple[tuple[str, ...], ...] = Field(min_length=1)
    recordings: tuple[str, ...] = Field(default=(), description="besides those of the analyses")
    analyses: tuple[str, ...] = ()
    scales: dict[Scale, dict[str, Any]] = Field(min_length=1)


class StudySpec(Spec):
    """One paper: its groups of cells, its claims and its figures, as the file has them."""

    study: Name
    paper: str = Field(min_length=1)
    use: tuple[str, ...] = Field(default=(), description="preset files of the suite")
    environments: dict[str, Annotated[str, Field(min_length=1)]] = Field(
        default={}, description="the paper's environment by task, where it is another"
    )
    cells: tuple[dict[str, Any], ...] = Field(min_length=1)
    claims: tuple[dict[str, Any], ...] = ()
    findings: tuple[str, ...] = Field(
        default=(), description="what the report says first; {ID} is the verdict of that claim"
    )
    figures: tuple[dict[str, Any], ...] = ()
    not_redrawn: str = Field(default="", description="which figures are not redrawn, and why")


class Cell(Spec):
    """Task x agent preset x plug-ins at one scale, with a run per seed."""

    id: str
    scale: Scale
    runs: tuple[RunSpec, ...] = Field(min_length=1)
    studies: tuple[str, ...] = ()

    def key(self) -> str:
        """Changes exactly when a run of the cell changes, joins or leaves."""
        return digest([run.key() for run in self.runs])

    def run(self, seed: int) -> RunSpec:
        """The run of a seed, planned or not."""
        return self.runs[0].model_copy(update={"seed": seed})

    @property
    def first_seed(self) -> int:
        """0 but for cells on which settings are chosen."""
        return self.runs[0].seed

    def with_seeds(self, count: int) -> "Cell":
        """The same cell with so many seeds from its first one on."""
        seeds = range(self.first_seed, self.first_seed + count)
        return self.model_copy(update={"runs": tuple(self.run(seed) for seed in seeds)})

    @property
    def steps(self) -> int:
        """Steps over all seeds."""
        return sum(run.budget for run in self.runs)


class Plan(Spec):
    """The cells of one scale, in the order in which the studies name them."""

    scale: Scale
    cells: tuple[Cell, ...]

    @property
    def steps(self) -> int:
        """Steps over all cells and seeds."""
        return sum(cell.steps for cell in self.cells)


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text. NaN is refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """First 16 hex digits of the SHA-256 of the canonical JSON of `value`."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:16]


def cell_id(task: str, agent: str, plugins: tuple[str, ...]) -> str:
    """`task--agent--plugin+plugin`, with `none` for a cell without plug-ins."""
    return f"{task}--{agent}--{'+'.join(plugins) or 'none'}"
