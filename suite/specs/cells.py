"""From the groups of the studies to resolved and checked cells."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel

from suite.analysis.registry import recordings_of
from suite.specs import registry
from suite.specs.checking import Checker
from suite.specs.models import (
    SCALES,
    AgentSpec,
    AnalysisSpec,
    Cell,
    GroupSpec,
    PluginSpec,
    RecordingSpec,
    RunSpec,
    Scale,
    ScaleSpec,
    TaskSpec,
    canonical,
    cell_id,
)
from suite.specs.presets import Presets
from suite.specs.source import Node, find, known

_LONGEST_CELL_ID = 200  # a cell id is a file name


class Cells:
    """The cells of all studies by scale and id."""

    def __init__(self, checker: Checker, presets: Presets) -> None:
        self.checker = checker
        self.presets = presets
        self.cells: dict[Scale, dict[str, Cell]] = {scale: {} for scale in SCALES}
        self.places: dict[tuple[Scale, str], Node] = {}

    def add_group(self, study: str, node: Node) -> None:
        """Add the cells of one group of a study, at all its scales."""
        group = self.checker.model(GroupSpec, node, "a group of cells")
        if group is None or not self._names_are_known(group, node):
            return
        for scale, place in node.value["scales"].value.items():
            spec = self.checker.model(ScaleSpec, place, f"scale {scale!r}")
            if spec is None or not self._scale_is_sound(group, spec, place):
                continue
            for task in group.tasks:
                for agent in group.agents:
                    for plugins in group.plugins:
                        self._load_cell(study, scale, node, (task, agent, plugins), spec, place)

    def _names_are_known(self, group: GroupSpec, node: Node) -> bool:
        """All names exist and none is repeated; whether all presets are valid too."""
        before = len(self.checker.problems)
        for section, names in (("tasks", group.tasks), ("agents", group.agents)):
            self._names(self.presets.defined[section], node.at((section,)), section[:-1], names)
        for i, names in enumerate(group.plugins):
            self._names(self.presets.defined["plugins"], node.at(("plugins", i)), "plug-in", names)
        ids = ["+".join(names) for names in group.plugins]
        for i, name in enumerate(ids):
            if name in ids[:i]:
                place = node.at(("plugins", i))
                self.checker.wrong(
                    place, f"list of plug-ins twice: {name}", "each once", "remove one"
                )
        self._names(registry.RECORDINGS, node.at(("recordings",)), "recording", group.recordings)
        self._names(registry.ANALYSES, node.at(("analyses",)), "analysis", group.analyses)
        return len(self.checker.problems) == before and all(
            (
                all(name in self.presets.tasks for name in group.tasks),
                all(name in self.presets.agents for name in group.agents),
                all(name in self.presets.plugins for names in group.plugins for name in names),
            )
        )

    def _names(
        self, names: Mapping[str, object], node: Node, what: str, used: tuple[str, ...]
    ) -> None:
        for i, name in enumerate(used):
            if name not in names:
                self.checker.wrong(node.at((i,)), f"unknown {what} {name!r}", *known(names, name))
            elif name in used[:i]:
                self.checker.wrong(
                    node.at((i,)), f"{what} twice: {name!r}", "each once", "remove one"
                )

    def _scale_is_sound(self, group: GroupSpec, spec: ScaleSpec, node: Node) -> bool:
        before = len(self.checker.problems)
        if spec.evaluate_every > spec.budget:
            self.checker.wrong(
                node.at(("evaluate_every",)),
                f"evaluate_every {spec.evaluate_every} is beyond the budget",
                f"at most the budget, {spec.budget}",
                "evaluate more often",
            )
        used = {name for names in group.plugins for name in names}
        for name in spec.plugins:
            if name not in used:
                self.checker.wrong(
                    node.at(("plugins", name)),
                    f"settings for plug-in {name!r}, which no cell of the group uses",
                    f"used: {', '.join(sorted(used)) or 'none'}",
                    "remove them or correct the name",
                )
        for section, what, given, names in (
            ("recordings", "recording", spec.recordings, group.recordings),
            ("analyses", "analysis", spec.analyses, group.analyses),
        ):
            for name in given:
                if name not in names:
                    self.checker.wrong(
                        node.at((section, name)),
                        f"settings for {what} {name!r}, which the group does not use",
                        f"used: {', '.join(names) or 'none'}",
                        "remove them or correct the name",
                    )
        return len(self.checker.problems) == before

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
        task, (agent_name, plugin_names) = self.presets.tasks[names[0]], names[1:]
        if not self._agent_can_act(group, task, self.presets.agents[agent_name]):
            return
        agent = self.presets.agent(agent_name, node.value.get("agent"))
        overrides = node.value["plugins"].value if "plugins" in node.value else {}
        plugins = [self.presets.plugin(name, overrides.get(name)) for name in plugin_names]
        looks = self._resolved_looks(group, node)
        if agent is None or None in plugins or looks is None:
            return
        recordings, analyses = looks
        sound = [plugin for plugin in plugins if plugin is not None]
        if not self._environment_fits(group, task, agent):
            return
        if not self._plugins_fit(group, agent, sound):
            return
        if recordings and not self._can_be_recorded(group, agent):
            return
        if not self._budget_is_enough(task, agent, spec, node):
            return
        identity = cell_id(task.name, agent.name, plugin_names)
        if len(identity) > _LONGEST_CELL_ID:
            self.checker.wrong(
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
                recordings=recordings,
                analyses=analyses,
                seed=seed,
                budget=spec.budget,
                evaluate_every=spec.evaluate_every,
                evaluation_episodes=spec.evaluation_episodes,
                versions=_versions(task, agent, sound),
            )
            for seed in range(spec.first_seed, spec.first_seed + spec.seeds)
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
        different = _difference(present.runs[0], cell.runs[0])
        if present.first_seed != cell.first_seed:
            different = f"first_seed: {present.first_seed} and {cell.first_seed}"
        if different:
            self.checker.wrong(
                node,
                f"cell {cell.id!r} differs at scale {cell.scale!r} from {first.path}:{first.line}"
                f" in {different}",
                "one description of a cell",
                "make both the same, or name a preset of its own",
            )
            return
        looks = {
            "recordings": _each_once([*present.runs[0].recordings, *cell.runs[0].recordings]),
            "analyses": _each_once([*present.runs[0].analyses, *cell.runs[0].analyses]),
        }
        longest = max(present.runs, cell.runs, key=len)
        runs = tuple(run.model_copy(update=looks) for run in longest)
        studies = tuple(dict.fromkeys(present.studies + cell.studies))
        self.cells[cell.scale][cell.id] = cell.model_copy(update={"runs": runs, "studies": studies})

    def _resolved_looks(
        self, group: Node, node: Node
    ) -> tuple[tuple[RecordingSpec, ...], tuple[AnalysisSpec, ...]] | None:
        """The recordings and analyses of a group at a scale; those that analyses read included."""
        recordings, analyses = [], []
        for name in group.value["recordings"].plain() if "recordings" in group.value else []:
            kind = registry.RECORDINGS[name]
            settings = self._look_settings(kind.Settings, "recordings", name, group, node)
            if settings is None:
                return None
            found = RecordingSpec(kind=name, settings=settings, version=kind.VERSION)
            recordings.append(found)
        for name in group.value["analyses"].plain() if "analyses" in group.value else []:
            analysis = registry.ANALYSES[name]
            settings = self._look_settings(analysis.Settings, "analyses", name, group, node)
            if settings is None:
                return None
            analyses.append(AnalysisSpec(kind=name, settings=settings, version=analysis.VERSION))
            recordings += recordings_of(analyses[-1])
        return _each_once(recordings), tuple(analyses)

    def _look_settings(
        self, model: type[BaseModel], section: str, name: str, group: Node, node: Node
    ) -> dict[str, Any] | None:
        given = section in node.value and name in node.value[section].value
        place = node.at((section, name)) if given else Node({}, group.path, group.line)
        settings = self.checker.model(model, place, f"settings of {name!r}")
        return None if settings is None else settings.model_dump(mode="json")

    def _can_be_recorded(self, group: Node, agent: AgentSpec) -> bool:
        if registry.AGENTS[agent.kind].loop != "simulation":
            return True
        section = "analyses" if "analyses" in group.value else "recordings"
        self.checker.wrong(
            group.at((section,)),
            f"{section} of agent {agent.name!r}, a simulation",
            "agents with networks",
            "remove them from this group",
        )
        return False

    def _agent_can_act(self, group: Node, task: TaskSpec, agent: AgentSpec) -> bool:
        environment = registry.environment(task)
        if _fits(registry.AGENTS[agent.kind], environment):
            return True
        fitting = [
            name
            for name, preset in self.presets.agents.items()
            if _fits(registry.AGENTS[preset.kind], environment)
        ]
        kind = registry.AGENTS[agent.kind]
        self.checker.wrong(
            next(find(group.at(("agents",)), agent.name)),
            f"agent {agent.name!r} ({_terms((kind.loop,), kind.actions, kind.observations)}) can't "
            f"act in task {task.name!r} "
            f"({_terms(environment.loops, (environment.actions,), (environment.observations,))})",
            f"agents for it: {', '.join(sorted(fitting)) or 'none'}",
            "use one of them, or move the task to another group",
        )
        return False

    def _environment_fits(self, group: Node, task: TaskSpec, agent: AgentSpec) -> bool:
        """Whether the agent's settings, those of the scale among them, fit the task's sizes."""
        reason = registry.unfit(agent, registry.environment(task))
        if reason is not None:
            self.checker.wrong(
                next(find(group.at(("agents",)), agent.name)),
                f"agent {agent.name!r} can't act in task {task.name!r}: {reason}",
                "settings and tasks that agree",
                "change one of them, or move the task to another group",
            )
        return reason is None

    def _plugins_fit(self, group: Node, agent: AgentSpec, plugins: list[PluginSpec]) -> bool:
        before = len(self.checker.problems)
        for i, plugin in enumerate(plugins):
            place = next(find(group.at(("plugins",)), plugin.name))
            reason = registry.refusal(plugin, agent)
            if reason is not None:
                self.checker.wrong(
                    place,
                    f"plug-in {plugin.name!r} can't go with agent {agent.name!r}: {reason}",
                    "plug-ins that fit the agent",
                    "remove it from this group",
                )
            for other in plugins[:i]:
                reason = registry.conflict(plugin, other)
                if reason is not None:
                    self.checker.wrong(
                        place,
                        f"plug-in {plugin.name!r} can't go with plug-in {other.name!r}: {reason}",
                        "one of them",
                        "remove one from this list",
                    )
        return len(self.checker.problems) == before

    def _budget_is_enough(
        self, task: TaskSpec, agent: AgentSpec, spec: ScaleSpec, node: Node
    ) -> bool:
        before = len(self.checker.problems)
        budget = node.at(("budget",))
        loop = registry.AGENTS[agent.kind].loop
        warmup = agent.settings.get("warmup_steps", 0)
        if warmup >= spec.budget:
            self.checker.wrong(
                budget,
                f"budget {spec.budget} with a warm-up of {warmup} steps trains nothing "
                f"(agent {agent.name!r})",
                "a budget beyond the warm-up",
                "raise the budget, or set warmup_steps under `agent:` of this scale",
            )
        visit = task.arguments.get("steps_per_visit")
        if visit is not None and warmup >= visit:
            self.checker.wrong(
                node,
                f"visits of {visit} steps (task {task.name!r}) with a warm-up of {warmup} steps "
                f"each train nothing (agent {agent.name!r})",
                "steps_per_visit beyond the warm-up",
                "raise steps_per_visit, or set warmup_steps under `agent:` of this scale",
            )
        played = int(agent.settings.get("collect_steps", 0))
        if played >= spec.budget:
            self.checker.wrong(
                budget,
                f"budget {spec.budget} with {played} collect_steps trains no clone (agent "
                f"{agent.name!r})",
                "a budget beyond collect_steps",
                "raise the budget, or set collect_steps under `agent:` of this scale",
            )
        n_envs = int(agent.settings.get("n_envs", 1))
        if loop == "on_policy" and spec.budget < int(agent.settings["n_steps"]) * n_envs:
            self.checker.wrong(
                budget,
                f"budget {spec.budget} is less than a rollout of n_steps x n_envs = "
                f"{int(agent.settings['n_steps']) * n_envs} and trains nothing "
                f"(agent {agent.name!r})",
                "a budget of at least one rollout",
                "raise the budget, or set n_steps under `agent:` of this scale",
            )
        for name in ("budget", "evaluate_every"):
            if getattr(spec, name) % n_envs:
                self.checker.wrong(
                    node.at((name,)),
                    f"{name} {getattr(spec, name)} falls between two steps of the "
                    f"{n_envs} environments of agent {agent.name!r}",
                    f"a multiple of n_envs, {n_envs}",
                    "round it",
                )
        if loop in registry.ACTING and spec.evaluation_episodes < 1:
            self.checker.wrong(
                node.at(("evaluation_episodes",)),
                f"evaluation_episodes {spec.evaluation_episodes} for task {task.name!r}",
                "at least 1",
                "raise it",
            )
        batch_size = task.arguments.get("batch_size")
        if batch_size is not None and batch_size != agent.settings["batch_size"]:
            self.checker.wrong(
                node,
                f"agent {agent.name!r} has batch_size {agent.settings['batch_size']} for task "
                f"{task.name!r}",
                f"the task's batch_size, {batch_size}",
                "change one of them",
            )
        steps_per_task = task.arguments.get("steps_per_task", 1)
        for name in ("budget", "evaluate_every"):
            if getattr(spec, name) % steps_per_task:
                self.checker.wrong(
                    node.at((name,)),
                    f"{name} {getattr(spec, name)} ends within a relabeling of {task.name!r}",
                    f"a multiple of steps_per_task, {steps_per_task}",
                    "round it",
                )
        return len(self.checker.problems) == before


def _terms(loops: Sequence[str], actions: Sequence[str], observations: Sequence[str]) -> str:
    """What an agent needs or a task offers, in words."""
    return (
        f"{' or '.join(loops)}; {' or '.join(actions)} actions; "
        f"{' or '.join(observations)} observations"
    )


def _fits(agent: registry.AgentClass, environment: registry.Environment) -> bool:
    return (
        agent.loop in environment.loops
        and environment.actions in agent.actions
        and environment.observations in agent.observations
    )


def _versions(task: TaskSpec, agent: AgentSpec, plugins: list[PluginSpec]) -> dict[str, int]:
    """Behaviour versions of everything that a run is made of."""
    return {
        f"agent/{agent.kind}": registry.AGENTS[agent.kind].VERSION,
        f"env/{task.family}": registry.FAMILIES[task.family].VERSION,
        **_renderer_version(task),
        **{f"plugin/{plugin.kind}": registry.PLUGINS[plugin.kind].VERSION for plugin in plugins},
    }


def _difference(first: RunSpec, second: RunSpec) -> str:
    """The fields in which two descriptions of a run differ, who looks at it left out; and analyses
    of one kind that have different settings."""
    left, right = first.trained(), second.trained()
    names = [name for name in left if left[name] != right[name]]
    kinds = {analysis.kind: analysis for analysis in first.analyses}
    names += [
        f"the settings of analysis {analysis.kind!r}"
        for analysis in second.analyses
        if kinds.get(analysis.kind, analysis) != analysis
    ]
    return ", ".join(names)


Look = TypeVar("Look", RecordingSpec, AnalysisSpec)


def _each_once(looks: Sequence[Look]) -> tuple[Look, ...]:
    """Without repetitions, sorted: the order in which studies ask for them does not matter."""
    found = {canonical(look.model_dump(mode="json")): look for look in looks}
    return tuple(found[name] for name in sorted(found))


def _renderer_version(task: TaskSpec) -> dict[str, int]:
    name = task.arguments.get("renderer")
    return {} if name is None else {f"renderer/{name}": registry.RENDERERS[name]}
