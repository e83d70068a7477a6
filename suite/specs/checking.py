"""From a YAML node to a typed model, or to problems that name the line of each wrong value."""

import json
import re
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from suite.specs.source import Node, Problem, SpecError, known

Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], node: Node, what: str, given: Mapping[str, str]) -> Model:
    """The mapping `node`, with `given` from outside the node, as a model; errors call it `what`.

    Raises SpecError with all its problems.
    """
    try:
        # JSON is the mode in which a strict model takes a list for a tuple.
        return model.model_validate_json(json.dumps({**node.plain(), **given}))
    except ValidationError as error:
        errors = error.errors()
        # Bad items also make their list too short: the items are reported.
        locations = [item["loc"] for item in errors]
        own = [
            item
            for item in errors
            if item["type"] != "too_short"
            or not any(
                len(at) > len(item["loc"])
                for at in locations
                if at[: len(item["loc"])] == item["loc"]
            )
        ]
        raise SpecError([_problem(item, node, what, model, given) for item in own]) from error


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
    return place.problem(f"{name} of {what} is {shown(error['input'])}", allowed, "correct it")


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


def shown(value: object) -> str:
    """A value as an error shows it."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
