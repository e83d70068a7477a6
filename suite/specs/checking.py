"""From a YAML node to a typed model, or to problems that name the line of each wrong value."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from suite.specs.source import Node, Problem, SpecError, known

Model = TypeVar("Model", bound=BaseModel)


class Checker:
    """Turns nodes into models and keeps what is wrong with them."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def wrong(self, node: Node, wrong: str, allowed: str, todo: str) -> None:
        """Keep a problem at a node."""
        self.problems.append(node.problem(wrong, allowed, todo))

    def stop_if_wrong(self) -> None:
        """Raise SpecError with all problems so far, if there are any, by file and line."""
        if self.problems:
            unique = dict.fromkeys(self.problems)
            raise SpecError(sorted(unique, key=lambda problem: (problem.path, problem.line)))

    def is_mapping(self, node: Node, what: str) -> bool:
        """Whether a node is a mapping; errors call it `what`."""
        if isinstance(node.value, dict):
            return True
        self.wrong(node, f"{what} is {_shown(node.plain())}", "a mapping", "write `key: value`")
        return False

    def is_known(self, names: Iterable[str], node: Node, what: str, name: str) -> bool:
        """Whether `name`, the `kind` of a node, is one of `names`."""
        if name in names:
            return True
        self.wrong(node.at(("kind",)), f"unknown {what} {name!r}", *known(names, name))
        return False

    def model(self, model: type[Model], node: Node, what: str, **given: str) -> Model | None:
        """The node as a model, or None and the problems. `given` comes from outside the node."""
        if not self.is_mapping(node, what):
            return None
        for key in given:
            if key in node.value:
                wrong = f"unknown key {key!r} in {what}"
                self.wrong(node.at((key,)), wrong, "it is given above", "remove it")
                return None
        try:
            # JSON is the mode in which a strict model takes a list for a tuple.
            return model.model_validate_json(json.dumps({**node.plain(), **given}))
        except ValidationError as error:
            own = _own_errors(error)
            self.problems.extend(_problem(item, node, what, model, given) for item in own)
            return None


def _own_errors(error: ValidationError) -> list[ErrorDetails]:
    """The errors without those that follow from others: bad items make their list too short."""
    errors = error.errors()
    inside = {item["loc"][:end] for item in errors for end in range(len(item["loc"]))}
    return [item for item in errors if item["type"] != "too_short" or item["loc"] not in inside]


def _problem(
    error: Mapping[str, Any],
    node: Node,
    what: str,
    model: type[BaseModel],
    given: Mapping[str, str],
) -> Problem:
    """One of pydantic's errors, at the line of the value."""
    location: tuple[int | str, ...] = error["loc"]
    place = node.at(location)
    fields = [name for name in model.model_fields if name not in given]
    if error["type"] == "missing":
        wrong = f"missing key {location[-1]!r} in {what}"
        keys = f"keys: {', '.join(fields)}" if len(location) == 1 else "all keys without default"
        return place.problem(wrong, keys, "add it")
    if error["type"] == "extra_forbidden":
        wrong = f"unknown key {location[-1]!r} in {what}"
        if len(location) == 1:
            return place.problem(wrong, *known(fields, location[-1]))
        return place.problem(wrong, "the keys of its kind", "correct or remove it")
    if error["type"] in ("value_error", "assertion_error"):
        message = str(error["msg"]).split(", ", 1)[1]
        place = _mentioned(place, message)
        return place.problem(f"{what}: {message}", "values that agree", "change one of them")
    name = ".".join(str(part) for part in location)
    allowed = str(error["msg"]).replace("Input should be", "should be")
    allowed = allowed.replace("valid array", "list").replace("an object", "a mapping")
    return place.problem(f"{name} of {what} is {_shown(error['input'])}", allowed, "correct it")


def _mentioned(node: Node, message: str) -> Node:
    """The child that a message is about: the first key in it, this file's children before others.

    Settings merged from a preset and a scale hold nodes of two files.
    """
    if not isinstance(node.value, dict):
        return node
    words = re.findall(r"\w+", message)
    named: list[Node] = [node.value[word] for word in words if word in node.value]
    own = [child for child in named if child.path == node.path and child.line >= node.line]
    return (own or named or [node])[0]


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
