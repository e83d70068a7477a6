"""Presets: the named tasks, agents and plug-ins of `tasks/*.yaml` and of the files they use."""

from typing import Any

from suite.envs.protocol import UnknownEnvironmentError
from suite.specs import registry
from suite.specs.arguments import arguments_model, resolved
from suite.specs.checking import Checker
from suite.specs.models import REPEATING, AgentSpec, PluginSpec, TaskSpec
from suite.specs.source import Node, known


class Presets:
    """All presets; `defined` has the places of all names, also of presets that are wrong."""

    def __init__(self, checker: Checker, files: list[Node]) -> None:
        self.checker = checker
        self.defined: dict[str, dict[str, Node]] = {"tasks": {}, "agents": {}, "plugins": {}}
        self.tasks: dict[str, TaskSpec] = {}
        self.agents: dict[str, AgentSpec] = {}
        self.plugins: dict[str, PluginSpec] = {}
        for file in files:
            if not self.checker.is_mapping(file, "a preset file"):
                continue
            for section, node in file.value.items():
                if section == "use":  # loading has read what it names
                    continue
                if section not in self.defined:
                    sections = known([*self.defined, "use"], section)
                    self.checker.wrong(node, f"unknown section {section!r}", *sections)
                elif self.checker.is_mapping(node, f"section {section!r}"):
                    for name, preset in node.value.items():
                        self._define(section, name, preset)
        for name, node in self.defined["tasks"].items():
            self._load_task(name, node)
        for section, load in (("agents", self._load_agent), ("plugins", self._load_plugin)):
            whole = {name: self._whole(section, name, ()) for name in self.defined[section]}
            for name, preset in whole.items():
                if preset is not None:
                    self.defined[section][name] = preset
                    load(name, preset)

    def _define(self, section: str, name: str, node: Node) -> None:
        first = self.defined[section].setdefault(name, node)
        if first is not node:
            self.checker.wrong(
                node,
                f"duplicate name {name!r} in {section}, first at {first.path}:{first.line}",
                "each name once",
                "rename this one",
            )

    def _whole(self, section: str, name: str, behind: tuple[str, ...]) -> Node | None:
        """A preset with what it takes from the one that it is `like`, which those `behind` take
        from it; None if that can't be."""
        node = self.defined[section][name]
        if not isinstance(node.value, dict) or "like" not in node.value:
            return node
        place, other = node.value["like"], node.value["like"].value
        if "kind" in node.value:
            wrong = f"{name!r} has a kind of its own"
            self.checker.wrong(node.at(("kind",)), wrong, "that of the other preset", "drop it")
        elif not isinstance(other, str):
            wrong = f"{name!r} is like {place.plain()!r}"
            self.checker.wrong(place, wrong, "the name of a preset", "name one")
        elif other not in self.defined[section]:
            wrong = f"{name!r} is like an unknown preset of {section}: {other!r}"
            self.checker.wrong(place, wrong, *known(self.defined[section], other))
        elif other in (*behind, name):
            wrong = f"{name!r} is like {other!r}, which is like {name!r}"
            self.checker.wrong(place, wrong, "one with settings of its own", "write them out")
        elif (base := self._whole(section, other, (*behind, name))) is not None:
            own = {key: value for key, value in node.value.items() if key != "like"}
            if not isinstance(base.value, dict):
                return None
            if isinstance(_settings(base).value, dict) and isinstance(_settings(node).value, dict):
                own["settings"] = _merged(base, _settings(node))
            return Node({**base.value, **own}, node.path, node.line)
        return None

    def _load_task(self, name: str, node: Node) -> None:
        task = self.checker.model(TaskSpec, node, f"task {name!r}", name=name)
        if task is None:
            return
        if task.family not in registry.FAMILIES:
            self.checker.wrong(
                node.at(("family",)),
                f"unknown family {task.family!r}",
                *known(registry.FAMILIES, task.family),
            )
            return
        if task.action_repeat != 1 and task.family not in REPEATING:
            self.checker.wrong(
                node.at(("action_repeat",)),
                f"action_repeat {task.action_repeat} in task {name!r}",
                f"1 is the only one that {task.family} has",
                "remove it",
            )
            return
        place = node.value.get("arguments", Node({}, node.path, node.line))
        try:
            model = arguments_model(task)
            arguments = self.checker.model(model, place, f"arguments of task {name!r}")
            if arguments is None:
                return
            task = task.model_copy(update={"arguments": resolved(model, arguments)})
            registry.environment(task)
        except UnknownEnvironmentError as error:
            self.checker.wrong(
                node.at(("environment",)),
                f"unknown {task.family} environment {task.environment!r}",
                *known(error.names, task.environment),
            )
        except ValueError as error:
            self.checker.wrong(
                node.at(("arguments" if task.arguments else "environment",)),
                f"task {name!r} cannot be built: {' '.join(str(error).split())}",
                "environments that can be built with these arguments",
                "correct one of them",
            )
        else:
            self.tasks[name] = task

    def _load_agent(self, name: str, node: Node) -> None:
        agent = self.checker.model(AgentSpec, node, f"agent {name!r}", name=name)
        if agent is None:
            return
        if not self.checker.is_known(registry.AGENTS, node, "agent kind", agent.kind):
            return
        settings = self._agent_settings(agent, _settings(node))
        if settings is not None:
            self.agents[name] = agent.model_copy(update={"settings": settings})

    def _load_plugin(self, name: str, node: Node) -> None:
        plugin = self.checker.model(PluginSpec, node, f"plug-in {name!r}", name=name)
        if plugin is None:
            return
        if not self.checker.is_known(registry.PLUGINS, node, "plug-in kind", plugin.kind):
            return
        settings = self._plugin_settings(plugin, _settings(node))
        if settings is not None:
            self.plugins[name] = plugin.model_copy(update={"settings": settings})

    def agent(self, name: str, overrides: Node | None) -> AgentSpec | None:
        """A preset with settings of a scale in place of its own; None if they are wrong."""
        agent = self.agents[name]
        if overrides is None:
            return agent
        place = _merged(self.defined["agents"][name], overrides)
        settings = self._agent_settings(agent, place)
        return None if settings is None else agent.model_copy(update={"settings": settings})

    def plugin(self, name: str, overrides: Node | None) -> PluginSpec | None:
        """A preset with settings of a scale in place of its own; None if they are wrong."""
        plugin = self.plugins[name]
        if overrides is None:
            return plugin
        place = _merged(self.defined["plugins"][name], overrides)
        settings = self._plugin_settings(plugin, place)
        return None if settings is None else plugin.model_copy(update={"settings": settings})

    def _agent_settings(self, agent: AgentSpec, node: Node) -> dict[str, Any] | None:
        model = registry.AGENTS[agent.kind].Settings
        settings = self.checker.model(model, node, f"settings of agent {agent.name!r}")
        return None if settings is None else settings.model_dump(mode="json")

    def _plugin_settings(self, plugin: PluginSpec, node: Node) -> dict[str, Any] | None:
        model = registry.PLUGINS[plugin.kind].Settings
        settings = self.checker.model(model, node, f"settings of plug-in {plugin.name!r}")
        return None if settings is None else settings.model_dump(mode="json")


def _settings(node: Node) -> Node:
    settings = node.value.get("settings", Node({}, node.path, node.line))
    assert isinstance(settings, Node)
    return settings


def _merged(preset: Node, overrides: Node) -> Node:
    """The preset's settings with overrides in their place, standing where the overrides stand."""
    settings = {**_settings(preset).value, **overrides.value}
    return Node(settings, overrides.path, overrides.line)
