"""Agents, plug-ins, analyses and environments of other packages, found by entry point."""

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

Value = TypeVar("Value")
AGENTS_GROUP = "rl_claims.agents"
ENVIRONMENTS_GROUP = "rl_claims.environments"
PLUGINS_GROUP = "rl_claims.plugins"
ANALYSES_GROUP = "rl_claims.analyses"
GROUPS = (AGENTS_GROUP, ENVIRONMENTS_GROUP, PLUGINS_GROUP, ANALYSES_GROUP)


class ExtensionError(Exception):
    """What another package registers cannot be used; the message names it and says what to do."""


def versions() -> dict[str, str]:
    """Versions of the installed packages that register something, by name."""
    points = [point for group in GROUPS for point in entry_points(group=group)]
    return {point.dist.name: point.dist.version for point in points if point.dist}


class Extended(MutableMapping[str, Value]):
    """The suite's own values by name, and those that installed packages register in a group.

    `unusable` says what is wrong with a registered object under its name; "" when nothing is.
    Entry points are imported at the first look-up of a name that is not the suite's, so that their
    modules can import the suite's. Look-ups raise ExtensionError for an entry point that fails to
    import or is refused, and for a name that is taken.
    """

    def __init__(
        self, own: Mapping[str, Value], group: str, unusable: Callable[[str, Any], str]
    ) -> None:
        self._known = dict(own)
        self._group = group
        self._unusable = unusable
        self._complete = False

    def __getitem__(self, name: str) -> Value:
        if name not in self._known:
            self._read_entry_points()
        return self._known[name]

    def __setitem__(self, name: str, value: Value) -> None:
        self._known[name] = value

    def __delitem__(self, name: str) -> None:
        del self._known[name]

    def __iter__(self) -> Iterator[str]:
        self._read_entry_points()
        return iter(self._known)

    def __len__(self) -> int:
        self._read_entry_points()
        return len(self._known)

    def _read_entry_points(self) -> None:
        if self._complete:
            return
        found = dict(self._known)
        owners = dict.fromkeys(found, "the suite")
        points = entry_points(group=self._group)
        for point in sorted(points, key=lambda point: (point.name, point.value)):
            if point.name in found:
                raise ExtensionError(
                    f"{_told(point)}: {owners[point.name]} has this name already. Rename the entry"
                    " point, or uninstall the package."
                )
            found[point.name] = self._loaded(point)
            owners[point.name] = _told(point)
        self._known, self._complete = found, True

    def _loaded(self, point: EntryPoint) -> Value:
        try:
            value = point.load()
        except Exception as error:
            raise ExtensionError(
                f"{_told(point)} does not import: {type(error).__name__}: {error}. Repair or"
                " uninstall the package."
            ) from error
        wrong = self._unusable(point.name, value)
        if wrong:
            raise ExtensionError(f"{_told(point)}: {wrong}. Correct it, or uninstall the package.")
        return value  # type: ignore[no-any-return]


def unversioned(value: Any) -> str:
    """Why a class has no behaviour version; "" if it has one of its own."""
    version = vars(value).get("VERSION")
    if isinstance(version, int) and version >= 1:
        return ""
    return f"its VERSION is {version!r}, not a whole number from 1 on, in its own class"


def _told(point: EntryPoint) -> str:
    package = f" of package {point.dist.name}" if point.dist else ""
    return f"entry point {point.name} = {point.value} in {point.group}{package}"
