"""YAML with line numbers, and the errors that name them.

Only the plain part of YAML is read: mappings with string keys, lists, and scalars. Anchors, tags,
merge keys and numbers that YAML readers disagree about are refused, so that a file means one thing.
"""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

_DEEPEST = 20
_MOST_SHOWN = 20
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?(0|[1-9][0-9]*)\.[0-9]+([eE][-+][0-9]+)?")
_NUMBER_LIKE = re.compile(
    r"[-+]?(\.?[0-9][0-9_,.]*([eE][-+]?[0-9]+)?|0[xob][0-9a-fA-F_]+|\.(inf|nan))", re.I
)


@dataclass(frozen=True)
class Problem:
    """One thing wrong at one place: `path:line: wrong; allowed; todo`."""

    path: str
    line: int
    wrong: str
    allowed: str
    todo: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.wrong}; {self.allowed}; {self.todo}"


class SpecError(Exception):
    """Everything that is wrong with the specs, one line per problem."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, problems)))


@dataclass(frozen=True)
class Node:
    """A YAML value and its line; mappings hold nodes by key, lists hold nodes.

    The value of a key counts as standing on the line of the key.
    """

    value: Any
    path: str
    line: int

    def plain(self) -> Any:
        """The value without places."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value

    def at(self, location: tuple[int | str, ...]) -> "Node":
        """The deepest node along `location`; parts that lead nowhere are passed over."""
        node = self
        for part in location:
            if isinstance(node.value, list):
                children: dict[int | str, Node] = dict(enumerate(node.value))
            else:
                children = node.value if isinstance(node.value, dict) else {}
            node = children.get(part, node)
        return node

    def problem(self, wrong: str, allowed: str, todo: str) -> Problem:
        """A problem at this node."""
        return Problem(self.path, self.line, wrong, allowed, todo)


def known(names: Iterable[str], name: object) -> tuple[str, str]:
    """What is allowed and what to do, for a name that is not among `names`."""
    choices = sorted(names)
    close = get_close_matches(str(name), choices, n=_MOST_SHOWN)
    todo = f"did you mean {close[0]!r}?" if close else "correct the name"
    shown = choices
    if len(choices) > _MOST_SHOWN:
        shown = [*(close or choices[:_MOST_SHOWN]), f"... ({len(choices)} in all)"]
    return f"known: {', '.join(shown) or 'none'}", todo


def find(node: Node, value: object) -> Iterator[Node]:
    """All scalars equal to `value` in or below a node."""
    if isinstance(node.value, dict | list):
        children = node.value.values() if isinstance(node.value, dict) else node.value
        for child in children:
            yield from find(child, value)
    elif node.value == value:
        yield node


def read_yaml(file: Path, path: str) -> Node:
    """The single document of a file, which errors call `path`.

    Raises SpecError for a file that can't be read, is not YAML, or holds more than plain YAML.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise SpecError(
            [
                Problem(
                    path, 1, f"can't read the file: {error.strerror}", "a readable file", "check it"
                )
            ]
        ) from error
    except UnicodeDecodeError as error:
        raise SpecError(
            [Problem(path, 1, f"not UTF-8: byte {error.start}", "UTF-8 text", "convert the file")]
        ) from error
    return parse_yaml(text, path)


def parse_yaml(text: str, path: str) -> Node:
    """The single document in a text, which errors call `path`.

    Raises SpecError for a text that is not YAML, or holds more than plain YAML.
    """
    try:
        return _document(list(YAML(typ="safe", pure=True).parse(text)), path)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        wrong = f"not YAML: {error.problem or error.context}"
        raise SpecError([Problem(path, line, wrong, "plain YAML", "correct the syntax")]) from error
    except (YAMLError, ValueError, OverflowError) as error:
        # ruamel.yaml lets int() and chr() fail on absurd escapes and indents.
        wrong = f"not YAML: {str(error).splitlines()[0]}"
        raise SpecError([Problem(path, 1, wrong, "plain YAML", "correct the syntax")]) from error


def _document(events: list[Event], path: str) -> Node:
    """Build the nodes of the one document in `events`; all problems are raised together."""
    problems: list[Problem] = []
    starts = [event for event in events if isinstance(event, DocumentStartEvent)]
    if len(starts) != 1:
        line = starts[1].start_mark.line + 1 if starts else 1
        wrong = f"{len(starts)} YAML documents in the file"
        raise SpecError([Problem(path, line, wrong, "exactly one", "put all in one")])
    root: Node | None = None
    # Open collections with the key that waits for its value.
    open_nodes: list[Node] = []
    keys: list[tuple[str, int] | None] = []
    for event in events:
        if isinstance(event, MappingEndEvent | SequenceEndEvent):
            open_nodes.pop()
            keys.pop()
            continue
        if not isinstance(event, NodeEvent):
            continue
        line = event.start_mark.line + 1
        parent = open_nodes[-1] if open_nodes else None
        if parent is not None and isinstance(parent.value, dict) and keys[-1] is None:
            keys[-1] = (_key(event, parent, problems, line), line)
            continue
        node = _node(event, path, line, problems)
        if parent is None:
            root = node
        elif isinstance(parent.value, dict):
            assert keys[-1] is not None
            key, key_line = keys[-1]
            parent.value[key] = Node(node.value, path, key_line)
            keys[-1] = None
        else:
            parent.value.append(node)
        if isinstance(event, MappingStartEvent | SequenceStartEvent):
            if len(open_nodes) == _DEEPEST:
                wrong = f"nested deeper than {_DEEPEST} levels"
                raise SpecError([node.problem(wrong, "flat specs", "simplify the file")])
            open_nodes.append(node)
            keys.append(None)
    if problems:
        raise SpecError(problems)
    assert root is not None
    return root


def _key(event: NodeEvent, parent: Node, problems: list[Problem], line: int) -> str:
    """The key that an event stands for; a bad key is reported and given a placeholder."""
    if not isinstance(event, ScalarEvent) or event.anchor or event.tag or event.value == "<<":
        what = event.value if isinstance(event, ScalarEvent) else type(event).__name__
        raise SpecError(
            [Problem(parent.path, line, f"not a plain key: {what!r}", "a name", "write a name")]
        )
    key = str(event.value)
    if key in parent.value:
        problems.append(
            Problem(
                parent.path,
                line,
                f"duplicate key: {key!r}, first on line {parent.value[key].line}",
                "each key once",
                "remove or rename one of them",
            )
        )
    return key


def _node(event: NodeEvent, path: str, line: int, problems: list[Problem]) -> Node:
    tag = getattr(event, "tag", None)
    if isinstance(event, AliasEvent) or event.anchor or tag:
        what = f"*{event.anchor}" if isinstance(event, AliasEvent) else tag or f"&{event.anchor}"
        raise SpecError(
            [
                Problem(
                    path,
                    line,
                    f"not plain YAML: {what}",
                    "no anchors, aliases, tags",
                    "write it out",
                )
            ]
        )
    if isinstance(event, MappingStartEvent):
        return Node({}, path, line)
    if isinstance(event, SequenceStartEvent):
        return Node([], path, line)
    assert isinstance(event, ScalarEvent)
    text = str(event.value)
    if any("\ud800" <= character <= "\udfff" for character in text):
        wrong = f"not a Unicode character in {text!r}"
        problems.append(Problem(path, line, wrong, "Unicode text", "remove it"))
        return Node("", path, line)
    if event.style in ("'", '"', "|", ">"):
        return Node(text, path, line)
    return Node(_scalar(text, path, line, problems), path, line)


def _scalar(text: str, path: str, line: int, problems: list[Problem]) -> Any:
    """A plain scalar as None, bool, int, float or str; doubtful numbers are reported."""
    if text in ("", "~", "null"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    if _NUMBER_LIKE.fullmatch(text):
        problems.append(
            Problem(
                path,
                line,
                f"a number that YAML readers disagree about: {text}",
                "plain numbers such as 1000000, 0.5 or 1.0e+6",
                "write it so, or quote it if it is text",
            )
        )
        return 0
    return text
