"""Agents and plug-ins of other packages, found by entry point."""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

Value = TypeVar("Value")


class ExtensionError(Exception):
    """What another package registers cannot be used; the message names it and says what to do."""


class Extended(Mapping[str, Value]):
    """The suite's own values by name, and those that installed packages register in a group.

    `unusable` says what is wrong with a registered object under its name; "" when nothing is.
    Entry points are imported at the first look-up, so that their modules can import the suite's.
    Look-ups raise ExtensionError for an entry point that fails to import or is refused, and for a
    name that is taken.
    """

    def __init__(
        self, own: Mapping[str, Value], group: str, unusable: Callable[[str, Any], str]
    ) -> None:
        self._own = own
        self._group = group
        self._unusable = unusable

    def __getitem__(self, name: str) -> Value:
        return self._own[name] if name in self._own else self._all[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    @cached_property
    def _all(self) -> dict[str, Value]:
        found = dict(self._own)
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
        return found

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
