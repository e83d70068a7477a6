"""From the YAML under `tasks/` to a project whose every cell is resolved and checked.

All that can be known to be wrong before training is found here and raised together as one
`SpecError`, with file and line.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, get_args

from pydantic import BaseModel

from suite.specs import registry
from suite.specs.checking import shown, validated
from suite.specs.claims import Claim, ClaimSpec
from suite.specs.models import (
    SCALES,
    AgentSpec,
    Cell,
    GroupSpec,
    PluginSpec,
    ProbeSpec,
    RunSpec,
    Scale,
    ScaleSpec,
    StudySpec,
    TaskSpec,
    cell_id,
)
from suite.specs.source import Node, Problem, SpecError, known, read_yaml

Model = TypeVar("Model", bound=BaseModel)

_LONGEST_CELL_ID = 200  # a cell id is a file name
_CLAIM_KINDS: dict[str, type[Claim]] = {
    get_args(claim.model_fields["kind"].annotation)[0]: claim
    for claim in get_args(get_args(ClaimSpec)[0])
}


@dataclass(frozen=True)
class Study:
    """One paper and its claims."""

    name: str
    paper: str
    claims: tuple[Claim, ...]


@dataclass(frozen=True)
class Project:
    """Everything that is asked for. `cells` holds the resolved cells of every scale."""

    root: Path
    tasks: Mapping[str, TaskSpec]
    agents: Mapping[str, AgentSpec]
    plugins: Mapping[str, PluginSpec]
    studies: Mapping[str, Study]
    cells: Mapping[Scale, tuple[Cell, ...]]


def load_project(root: Path) -> Project:
    """Read `root/tasks/*.yaml` (presets) and `root/tasks/studies/*.yaml`.

    Raises SpecError with all problems found.
    """
    preset_files = sorted((root / "tasks").glob("*.yaml"))
    study_files = sorted((root / "tasks" / "studies").glob("*.yaml"))
    if not preset_files:
        todo = "run this in the project's folder"
        raise SpecError([Problem("tasks", 1, f"no spec files: {root}", "tasks/*.yaml", todo)])
    loading = _Loading(root)
    presets = loading.read(preset_files)
    studies = loading.read(study_files)
    # A file that can't be read would make every name in it unknown.
    loading.stop_if_wrong()
    loading.load_presets(presets)
    loaded = [loading.load_study(node) for node in studies]
    loading.load_claims()
    loading.stop_if_wrong()
    cells = {scale: tuple(loading.cells[scale].values()) for scale in SCALES}
    named = {study.study: study for study in loaded if study is not None}
    return Project(
        root=root,
        tasks=loading.tasks,
        agents=loading.agents,
        plugins=loading.plugins,
        studies={
            name: Study(name, study.paper, tuple(loading.claims[name]))
            for name, study in named.items()
        },
        cells=cells,
    )


@dataclass
class _Loading:
    """The state of one `load_project`: what was understood so far and what was wrong."""

    root: Path
    problems: list[Problem] = field(default_factory=list)
    defined: dict[str, dict[str, Node]] = field(
        default_factory=lambda: {"tasks": {}, "agents": {}, "plugins": {}}
    )
    tasks: dict[str, TaskSpec] = field(default_factory=dict)
    agents: dict[str, AgentSpec] = field(default_factory=dict)
    plugins: dict[str, PluginSpec] = field(default_factory=dict)
    study_places: dict[str, Node] = field(default_factory=dict)
    claim_places: dict[str, list[Node]] = field(default_factory=dict)
    claims: dict[str, list[Claim]] = field(default_factory=dict)
    cells: dict[Scale, dict[str, Cell]] = field(
        default_factory=lambda: {scale: {} for scale in SCALES}
    )
    places: dict[tuple[Scale, str], Node] = field(default_factory=dict)

    def read(self, files: list[Path]) -> list[Node]:
        """The documents of the files; syntax problems are kept for `stop_if_wrong`."""
        nodes = []
        for file in files:
            try:
                nodes.append(read_yaml(file, file.relative_to(self.root).as_posix()))
            except SpecError as error:
                self.problems.extend(error.problems)
        return nodes

    def stop_if_wrong(self) -> None:
        if self.problems:
            unique = dict.fromkeys(self.problems)
            raise SpecError(sorted(unique, key=lambda problem: (problem.path, problem.line)))

    def wrong(self, node: Node, wrong: str, allowed: str, todo: str) -> None:
        self.problems.append(node.problem(wrong, allowed, todo))

    # Presets

    def load_presets(self, files: list[Node]) -> None:
        """Tasks, agents and plug-ins of all preset files."""
        for file in files:
            if not self._is_mapping(file, "a preset file"):
                continue
            for section, node in file.value.items():
                if section not in self.defined:
                    self.wrong(node, f"unknown section {section!r}", *known(self.defined, section))
                elif self._is_mapping(node, f"section {section!r}"):
                    for name, preset in node.value.items():
                        self._define(section, name, preset)
        for name, node in self.defined["tasks"].items():
            self._load_task(name, node)
        for name, node in self.defined["agents"].items():
            self._load_agent(name, node)
        for name, node in self.defined["plugins"].items():
            self._load_plugin(name, node)

    def _define(self, section: str, name: str, node: Node) -> None:
        first = self.defined[section].setdefault(name, node)
        if first is not node:
            self.wrong(
                node,
                f"duplicate name {name!r} in {section}, first at {first.path}:{first.line}",
                "each name once",
                "rename one of them",
            )

    def _load_task(self, name: str, node: Node) -> None:
        task = self._check(TaskSpec, node, f"task {name!r}", name=name)
        if task is None:
            return
        environments = registry.ENVIRONMENTS[task.family]
        if task.environment not in environments:
            self.wrong(
                node.at(("environment",)),
                f"unknown {task.family} environment {task.environment!r}",
                *known(environments, task.environment),
            )
            return
        if task.action_repeat != 1:
            self.wrong(
                node.at(("action_repeat",)),
                f"action_repeat {task.action_repeat} in task {name!r}",
                f"1 is the only one that {task.family} has",
                "remove it",
            )
            return
        model = environments[task.environment].arguments
        place = node.value.get("arguments", Node({}, node.path, node.line))
        arguments = self._check(model, place, f"arguments of task {name!r}")
        if arguments is not None:
            resolved = arguments.model_dump(mode="json", exclude_none=True)
            self.tasks[name] = task.model_copy(update={"arguments": resolved})

    def _load_agent(self, name: str, node: Node) -> None:
        agent = self._check(AgentSpec, node, f"agent {name!r}", name=name)
        if agent is None or not self._is_known(registry.AGENTS, node, "agent kind", agent.kind):
            return
        model = registry.AGENTS[agent.kind].Settings
        settings = self._check(model, _settings(node), f"settings of agent {name!r}")
        if settings is not None:
            self.agents[name] = agent.model_copy(
                update={"settings": settings.model_dump(mode="json")}
            )

    def _load_plugin(self, name: str, node: Node) -> None:
        plugin = self._check(PluginSpec, node, f"plug-in {name!r}", name=name)
        if plugin is None or not self._is_known(
            registry.PLUGINS, node, "plug-in kind", plugin.kind
        ):
            return
        model = registry.PLUGINS[plugin.kind].Settings
        settings = self._check(model, _settings(node), f"settings of plug-in {name!r}")
        if settings is not None:
            self.plugins[name] = plugin.model_copy(
                update={"settings": settings.model_dump(mode="json")}
            )

    # Studies

    def load_study(self, node: Node) -> StudySpec | None:
        """A study file: all its cells at all scales; its claims wait for `load_claims`."""
        study = self._check(StudySpec, node, "the study")
        if study is None:
            return None
        first = self.study_places.setdefault(study.study, node)
        if first is not node:
            self.wrong(
                node.at(("study",)),
                f"duplicate study {study.study!r}, first in {first.path}",
                "each name once",
                "rename one of them",
            )
            return None
        self.claim_places[study.study] = node.value["claims"].value if study.claims else []
        for group in node.value["cells"].value:
            self._load_group(study.study, group)
        return study

    def _load_group(self, study: str, node: Node) -> None:
        group = self._check(GroupSpec, node, "a group of cells")
        if group is None or not self._names_are_known(group, node):
            return
        for scale, place in node.value["scales"].value.items():
            spec = self._check(ScaleSpec, place, f"scale {scale!r}")
            if spec is None or not self._scale_is_sound(group, spec, place):
                continue
            for task in group.tasks:
                for agent in group.agents:
                    for plugins in group.plugins:
                        self._load_cell(study, scale, node, (task, agent, plugins), spec, place)

    def _names_are_known(self, group: GroupSpec, node: Node) -> bool:
        """All names exist and none is repeated; whether all presets are valid too."""
        before = len(self.problems)
        for section, names in (("tasks", group.tasks), ("agents", group.agents)):
            self._names(self.defined[section], node.at((section,)), section[:-1], names)
        for i, names in enumerate(group.plugins):
            self._names(self.defined["plugins"], node.at(("plugins", i)), "plug-in", names)
        ids = ["+".join(names) for names in group.plugins]
        for i, name in enumerate(ids):
            if name in ids[:i]:
                place = node.at(("plugins", i))
                self.wrong(place, f"list of plug-ins twice: {name}", "each once", "remove one")
        self._names(registry.PROBES, node.at(("probes",)), "probe", group.probes)
        return len(self.problems) == before and all(
            (
                all(name in self.tasks for name in group.tasks),
                all(name in self.agents for name in group.agents),
                all(name in self.plugins for names in group.plugins for name in names),
            )
        )

    def _names(
        self, names: Mapping[str, object], node: Node, what: str, used: tuple[str, ...]
    ) -> None:
        for i, name in enumerate(used):
            if name not in names:
                self.wrong(node.at((i,)), f"unknown {what} {name!r}", *known(names, name))
            elif name in used[:i]:
                self.wrong(node.at((i,)), f"{what} twice: {name!r}", "each once", "remove one")

    def _scale_is_sound(self, group: GroupSpec, spec: ScaleSpec, node: Node) -> bool:
        before = len(self.problems)
        if spec.evaluate_every > spec.budget:
            self.wrong(
                node.at(("evaluate_every",)),
                f"evaluate_every {spec.evaluate_every} is beyond the budget",
                f"at most the budget, {spec.budget}",
                "evaluate more often",
            )
        used = {name for names in group.plugins for name in names}
        for name in spec.plugins:
            if name not in used:
                self.wrong(
                    node.at(("plugins", name)),
                    f"settings for plug-in {name!r}, which no cell of the group uses",
                    f"used: {', '.join(sorted(used)) or 'none'}",
                    "remove them or correct the name",
                )
        for name in spec.probes:
            if name not in group.probes:
                self.wrong(
                    node.at(("probes", name)),
                    f"settings for probe {name!r}, which the group does not use",
                    f"used: {', '.join(group.probes) or 'none'}",
                    "remove them or correct the name",
                )
        return len(self.problems) == before

    def _load_cell(
        self,
        study: str,
        scale: Scale,
        group: Node,
        names: tuple[str, str, tuple[str, ...]],
        spec: ScaleSpec,
        node: Node,
    ) -> None:
        """Resolve one cell at one scale and add it, if it is sound."""
        task, (agent_name, plugin_names) = self.tasks[names[0]], names[1:]
        if not self._agent_can_act(group, task, self.agents[agent_name]):
            return
        agent = self._resolved_agent(agent_name, node)
        plugins = [self._resolved_plugin(name, node) for name in plugin_names]
        probes = self._resolved_probes(group, node)
        if agent is None or None in plugins or probes is None:
            return
        sound = [plugin for plugin in plugins if plugin is not None]
        if not self._plugins_fit(group, agent, sound):
            return
        if not self._budget_is_enough(task, agent, spec, node):
            return
        identity = cell_id(task.name, agent.name, plugin_names)
        if len(identity) > _LONGEST_CELL_ID:
            self.wrong(
                group,
                f"cell id of {len(identity)} characters: {identity[:40]}...",
                f"at most {_LONGEST_CELL_ID}",
                "shorten the names",
            )
            return
        runs = tuple(
            RunSpec(
                task=task,
                agent=agent,
                plugins=tuple(sound),
                probes=probes,
                seed=seed,
                budget=spec.budget,
                evaluate_every=spec.evaluate_every,
                evaluation_episodes=spec.evaluation_episodes,
                versions=_versions(task, agent, sound, probes),
            )
            for seed in range(spec.seeds)
        )
        self._add(Cell(id=identity, scale=scale, runs=runs, studies=(study,)), node)

    def _add(self, cell: Cell, node: Node) -> None:
        """Add a cell; one that another group has too must have the same runs, seeds apart."""
        present = self.cells[cell.scale].get(cell.id)
        if present is None:
            self.cells[cell.scale][cell.id] = cell
            self.places[cell.scale, cell.id] = node
            return
        first = self.places[cell.scale, cell.id]
        if present.runs[0] != cell.runs[0]:
            self.wrong(
                node,
                f"cell {cell.id!r} differs at scale {cell.scale!r} from {first.path}:{first.line}"
                f" in {_difference(present.runs[0], cell.runs[0])}",
                "one description of a cell",
                "make both the same, or name a preset of its own",
            )
            return
        runs = max(present.runs, cell.runs, key=len)
        studies = tuple(dict.fromkeys(present.studies + cell.studies))
        self.cells[cell.scale][cell.id] = cell.model_copy(update={"runs": runs, "studies": studies})

    def _resolved_agent(self, name: str, node: Node) -> AgentSpec | None:
        agent = self.agents[name]
        overrides = node.value.get("agent")
        if overrides is None:
            return agent
        merged = _merged(self.defined["agents"][name], overrides)
        model = registry.AGENTS[agent.kind].Settings
        settings = self._check(model, merged, f"settings of agent {name!r}")
        if settings is None:
            return None
        return agent.model_copy(update={"settings": settings.model_dump(mode="json")})

    def _resolved_plugin(self, name: str, node: Node) -> PluginSpec | None:
        plugin = self.plugins[name]
        overrides = node.value.get("plugins")
        if overrides is None or name not in overrides.value:
            return plugin
        merged = _merged(self.defined["plugins"][name], overrides.value[name])
        model = registry.PLUGINS[plugin.kind].Settings
        settings = self._check(model, merged, f"settings of plug-in {name!r}")
        if settings is None:
            return None
        return plugin.model_copy(update={"settings": settings.model_dump(mode="json")})

    def _resolved_probes(self, group: Node, node: Node) -> tuple[ProbeSpec, ...] | None:
        names = group.value["probes"].plain() if "probes" in group.value else []
        probes = []
        for name in names:
            place = node.at(("probes", name)) if "probes" in node.value else node
            has_settings = "probes" in node.value and name in node.value["probes"].value
            settings = self._check(
                registry.PROBES[name].Settings,
                place if has_settings else Node({}, group.path, group.line),
                f"settings of probe {name!r}",
            )
            if settings is None:
                return None
            probes.append(ProbeSpec(kind=name, settings=settings.model_dump(mode="json")))
        return tuple(probes)

    def _agent_can_act(self, group: Node, task: TaskSpec, agent: AgentSpec) -> bool:
        environment = registry.ENVIRONMENTS[task.family][task.environment]
        if _fits(registry.AGENTS[agent.kind], environment):
            return True
        fitting = [
            name
            for name, preset in self.agents.items()
            if _fits(registry.AGENTS[preset.kind], environment)
        ]
        kind = registry.AGENTS[agent.kind]
        self.wrong(
            next(_find(group.at(("agents",)), agent.name)),
            f"agent {agent.name!r} ({kind.loop}, {kind.actions} actions) can't act in task "
            f"{task.name!r} ({environment.loop}, {environment.actions} actions)",
            f"agents for it: {', '.join(sorted(fitting)) or 'none'}",
            "use one of them, or move the task to another group",
        )
        return False

    def _plugins_fit(self, group: Node, agent: AgentSpec, plugins: list[PluginSpec]) -> bool:
        before = len(self.problems)
        for i, plugin in enumerate(plugins):
            place = next(_find(group.at(("plugins",)), plugin.name))
            reason = registry.refusal(plugin.kind, plugin.settings, agent.kind)
            if reason is not None:
                self.wrong(
                    place,
                    f"plug-in {plugin.name!r} can't go with agent {agent.name!r}: {reason}",
                    "plug-ins that fit the agent",
                    "remove it from this group",
                )
            for other in plugins[:i]:
                if {plugin.kind, other.kind} in registry.EXCLUSIVE or plugin.kind == other.kind:
                    self.wrong(
                        place,
                        f"plug-in {plugin.name!r} can't go with plug-in {other.name!r}: both "
                        "do the same to the network or its weights",
                        "one of them",
                        "remove one from this list",
                    )
        return len(self.problems) == before

    def _budget_is_enough(
        self, task: TaskSpec, agent: AgentSpec, spec: ScaleSpec, node: Node
    ) -> bool:
        before = len(self.problems)
        budget = node.at(("budget",))
        loop = registry.AGENTS[agent.kind].loop
        warmup = agent.settings.get("warmup_steps", 0)
        if warmup >= spec.budget:
            self.wrong(
                budget,
                f"budget {spec.budget} with a warm-up of {warmup} steps trains nothing "
                f"(agent {agent.name!r})",
                "a budget beyond the warm-up",
                "raise the budget, or set warmup_steps under `agent:` of this scale",
            )
        if loop == "off_policy" and spec.evaluation_episodes < 1:
            self.wrong(
                node.at(("evaluation_episodes",)),
                f"evaluation_episodes {spec.evaluation_episodes} for task {task.name!r}",
                "at least 1",
                "raise it",
            )
        batch_size = task.arguments.get("batch_size")
        if batch_size is not None and batch_size != agent.settings["batch_size"]:
            self.wrong(
                node,
                f"agent {agent.name!r} has batch_size {agent.settings['batch_size']} for task "
                f"{task.name!r}",
                f"the task's batch_size, {batch_size}",
                "change one of them",
            )
        steps_per_task = task.arguments.get("steps_per_task", 1)
        for name in ("budget", "evaluate_every"):
            if getattr(spec, name) % steps_per_task:
                self.wrong(
                    node.at((name,)),
                    f"{name} {getattr(spec, name)} ends within a relabeling of {task.name!r}",
                    f"a multiple of steps_per_task, {steps_per_task}",
                    "round it",
                )
        return len(self.problems) == before

    # Claims

    def load_claims(self) -> None:
        """Check the claims of all studies against the cells of all studies."""
        cells = {cell for scale in SCALES for cell in self.cells[scale]}
        first: dict[str, Node] = {}
        complete = not self.problems
        for study, nodes in self.claim_places.items():
            self.claims[study] = []
            for node in nodes:
                kind = node.at(("kind",)).value if "kind" in node.value else None
                if not isinstance(kind, str) or kind not in _CLAIM_KINDS:
                    self.wrong(
                        node.at(("kind",)),
                        f"unknown claim kind {kind!r}",
                        *known(_CLAIM_KINDS, kind),
                    )
                    continue
                claim = self._check(_CLAIM_KINDS[kind], node, "the claim")
                if claim is None:
                    continue
                same = first.setdefault(claim.id, node)
                if same is not node:
                    self.wrong(
                        node.at(("id",)),
                        f"duplicate claim {claim.id!r}, first at {same.path}:{same.line}",
                        "each id once",
                        "rename one of them",
                    )
                # Cells that were refused above would show up here as unknown.
                for cell in claim.cells() if complete else ():
                    if cell not in cells:
                        self.wrong(
                            next(_find(node, cell), node),
                            f"claim {claim.id!r} names a cell that does not exist: {cell!r}",
                            *known(cells, cell),
                        )
                self.claims[study].append(claim)

    # Checks

    def _is_mapping(self, node: Node, what: str) -> bool:
        if isinstance(node.value, dict):
            return True
        self.wrong(node, f"{what} is {shown(node.plain())}", "a mapping", "write `key: value`")
        return False

    def _is_known(self, names: Mapping[str, object], node: Node, what: str, name: str) -> bool:
        if name in names:
            return True
        self.wrong(node.at(("kind",)), f"unknown {what} {name!r}", *known(names, name))
        return False

    def _check(self, model: type[Model], node: Node, what: str, **given: str) -> Model | None:
        """The node as a model, or None and the problems. `given` comes from outside the node."""
        if not self._is_mapping(node, what):
            return None
        for key in given:
            if key in node.value:
                self.wrong(
                    node.at((key,)),
                    f"unknown key {key!r} in {what}",
                    "it is given above",
                    "remove it",
                )
                return None
        try:
            return validated(model, node, what, given)
        except SpecError as error:
            self.problems.extend(error.problems)
            return None


def _settings(node: Node) -> Node:
    settings = node.value.get("settings", Node({}, node.path, node.line))
    assert isinstance(settings, Node)
    return settings


def _merged(preset: Node, overrides: Node) -> Node:
    """The preset's settings with overrides in their place, standing where the overrides stand."""
    settings = {**_settings(preset).value, **overrides.value}
    return Node(settings, overrides.path, overrides.line)


def _find(node: Node, value: object) -> Iterator[Node]:
    """All scalars equal to `value` in or below a node."""
    if isinstance(node.value, dict | list):
        children = node.value.values() if isinstance(node.value, dict) else node.value
        for child in children:
            yield from _find(child, value)
    elif node.value == value:
        yield node


def _fits(agent: registry.AgentClass, environment: registry.Environment) -> bool:
    if agent.loop != environment.loop:
        return False
    return agent.loop != "off_policy" or agent.actions == environment.actions


def _versions(
    task: TaskSpec, agent: AgentSpec, plugins: list[PluginSpec], probes: tuple[ProbeSpec, ...]
) -> dict[str, int]:
    """Behaviour versions of everything that a run is made of."""
    return {
        f"agent/{agent.kind}": registry.AGENTS[agent.kind].VERSION,
        f"env/{task.family}": registry.VERSIONS[task.family],
        **{f"plugin/{plugin.kind}": registry.PLUGINS[plugin.kind].VERSION for plugin in plugins},
        **{f"probe/{probe.kind}": registry.PROBES[probe.kind].VERSION for probe in probes},
    }


def _difference(first: RunSpec, second: RunSpec) -> str:
    """The fields in which two runs differ."""
    left, right = first.model_dump(), second.model_dump()
    return ", ".join(name for name in left if left[name] != right[name])
