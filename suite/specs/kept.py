"""A loaded project, kept until something that it depends on changes.

Loading resolves and checks every cell, for which it imports every agent and plug-in: seconds. What
is kept is read without them.
"""

import hashlib
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from suite import cache, extensions
from suite.running_code import running_code
from suite.specs.models import digest
from suite.specs.project import Project
from suite.specs.used import FOLDER
from suite.store.atomic import StoreError, replace_bytes

_PROJECT = TypeAdapter(Project)


def project(root: Path) -> Project:
    """What `suite.specs.loading.load_project` gives. Raises what it raises."""
    root = root.resolve()
    path = cache.folder() / f"project-{digest(str(root))}.json"
    state = _state(root)
    known = _read(path, state)
    if known is None:
        from suite.specs.loading import load_project

        known = load_project(root)
        _write(path, state, known)
    return known


def _state(root: Path) -> str:
    """Changes when a file below tasks/, a preset file of the suite, the code, a library or a
    registered module changes."""
    files = {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted([*(root / "tasks").rglob("*.yaml"), *FOLDER.glob("*.yaml")])
    }
    return digest([files, dict(running_code()), _registered()])


def _registered() -> list[list[str | int]]:
    """Every registered module with the time and size of its file: one under work has no version."""
    found: list[list[str | int]] = []
    for group in extensions.GROUPS:
        for point in entry_points(group=group):
            spec = find_spec(point.module.partition(".")[0])
            places = spec.submodule_search_locations or [spec.origin or ""] if spec else []
            for path in sorted(path for place in places for path in _sources(Path(place))):
                stat = path.stat()
                found.append([point.value, str(path), stat.st_mtime_ns, stat.st_size])
    return sorted(found, key=str)


def _sources(place: Path) -> list[Path]:
    return list(place.rglob("*.py")) if place.is_dir() else [place] * place.is_file()


def _read(path: Path, state: str) -> Project | None:
    """What is kept for this state; None when there is nothing, or nothing that can be used."""
    try:
        kept, _, content = path.read_bytes().partition(b"\n")
        if kept.decode() != state:
            return None
        return _PROJECT.validate_json(content)
    except (OSError, ValueError, ValidationError):
        return None


def _write(path: Path, state: str, known: Project) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = _PROJECT.dump_json(known, exclude_defaults=True)
        replace_bytes(path, state.encode() + b"\n" + content, durable=False)
    except (OSError, StoreError):
        return  # without a folder to write to, the next command loads it again
