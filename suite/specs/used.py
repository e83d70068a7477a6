"""Preset files of the suite that a project's files use: `use: [rl_claims/agents]`."""

from collections.abc import Iterable
from pathlib import Path

from suite.specs.checking import Checker
from suite.specs.models import Spec
from suite.specs.source import Node, known

FOLDER = Path(__file__).parents[1] / "presets"  # a link to tasks/; in a wheel, its files


class _Use(Spec):
    use: tuple[str, ...]


def used_paths(checker: Checker, files: Iterable[Node]) -> dict[str, Path]:
    """The preset files that `files` name under `use`, by name, each once.

    What is not a list of known names is kept as a problem at its line.
    """
    offered = {f"rl_claims/{file.stem}": file for file in sorted(FOLDER.glob("*.yaml"))}
    used: dict[str, Path] = {}
    for file in files:
        for entry in _entries(checker, file):
            if entry.value in offered:
                used[entry.value] = offered[entry.value]
            else:
                wrong = f"unknown preset file {entry.value!r}"
                checker.wrong(entry, wrong, *known(offered, entry.value))
    return used


def _entries(checker: Checker, file: Node) -> list[Node]:
    if not isinstance(file.value, dict) or "use" not in file.value:
        return []
    use: Node = file.value["use"]
    whole = checker.model(_Use, Node({"use": use}, file.path, file.line), "the file")
    return [] if whole is None else use.value
