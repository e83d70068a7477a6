"""What differs between two runs, and where their traces part."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from suite.stats.runs import Run
from suite.store.evidence import DIGITS

ABSENT = "-"

# Sections of provenance by entry. `seconds` differ between any two runs, numerics are compared by
# what is known of them.
_SECTIONS = {
    **dict.fromkeys(("constraints_sha256", "libraries", "extensions", "python"), "lock"),
    "git": "code",
}
_LEFT_OUT = ("seconds", "numerics")


@dataclass(frozen=True)
class Difference:
    """One entry, by dotted path, that is not the same in both runs; `-` where a run lacks it."""

    path: str
    left: str
    right: str


@dataclass(frozen=True)
class Parting:
    """Where a series has its first different values, NaN for unknown."""

    series: str
    step: float
    left: float
    right: float


@dataclass(frozen=True)
class Traces:
    """How the series of two runs compare at their common steps.

    `partings` has every series that parts, the earliest first. `rounded` tells that values were
    compared with the significant digits that evidence keeps.
    """

    shared: tuple[str, ...]
    partings: tuple[Parting, ...]
    only_left: tuple[str, ...]
    only_right: tuple[str, ...]
    rounded: bool


@dataclass(frozen=True)
class Comparison:
    """What differs between two runs."""

    spec: tuple[Difference, ...]
    versions: tuple[Difference, ...]
    lock: tuple[Difference, ...]
    code: tuple[Difference, ...]
    numerics: tuple[Difference, ...]
    machine: tuple[Difference, ...]
    traces: Traces | None  # None unless both runs are complete


def compare(left: Run, right: Run, *, rounded: bool) -> Comparison:
    """Compare two runs; `rounded` when the series of either come from evidence."""
    provenance: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        name: ({}, {}) for name in ("lock", "code", "machine")
    }
    for i, run in enumerate((left, right)):
        for entry, value in run.provenance.items():
            if entry not in _LEFT_OUT:
                provenance[_SECTIONS.get(entry, "machine")][i][entry] = value
    versions = [run.spec.get("versions", {}) for run in (left, right)]
    both = bool(left.provenance and right.provenance)
    numerics = [run.numerics for run in (left, right)]
    return Comparison(
        spec=tuple(_differences(_without_versions(left), _without_versions(right))),
        versions=tuple(Difference(*entry) for entry in _unequal(*versions)),
        numerics=tuple(Difference(*entry) for entry in _unequal(*numerics)) if both else (),
        **{name: tuple(_differences(*sides)) if both else () for name, sides in provenance.items()},
        traces=_traces(left, right, rounded) if both else None,
    )


def _without_versions(run: Run) -> dict[str, Any]:
    return {name: value for name, value in run.spec.items() if name != "versions"}


def _differences(left: Any, right: Any, path: str = "") -> Iterator[Difference]:
    """Differences of two JSON documents; lists of named things are compared by name."""
    left, right = _by_name(left), _by_name(right)
    if isinstance(left, _Named) and isinstance(right, _Named) and list(left) != list(right):
        yield Difference(path, _listed(left), _listed(right))
        left, right = ({k: side[k] for k in left if k in right} for side in (left, right))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        for name in dict.fromkeys([*left, *right]):
            inner = f"{path}.{name}" if path else name
            if name in left and name in right:
                yield from _differences(left[name], right[name], inner)
            else:
                sides = (_told(side[name]) if name in side else ABSENT for side in (left, right))
                yield Difference(inner, *sides)
    elif left != right:
        yield Difference(path, _told(left), _told(right))


class _Named(dict[str, Any]):
    """A list of things that have a name or a kind, by it."""


def _by_name(value: Any) -> Any:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        return value
    names = [one.get("name", one.get("kind")) for one in value]
    return value if None in names else _Named(zip(names, value, strict=True))


def _listed(named: _Named) -> str:
    return " + ".join(named) or "none"


def _unequal(left: Mapping[str, Any], right: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for name in sorted({*left, *right}):
        sides = [_told(side[name]) if name in side else ABSENT for side in (left, right)]
        if sides[0] != sides[1]:
            yield name, sides[0], sides[1]


def _told(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _traces(left: Run, right: Run, rounded: bool) -> Traces:
    shared = tuple(name for name in left.series if name in right.series)
    partings = [
        found for name in shared if (found := _parting(name, left, right, rounded)) is not None
    ]
    return Traces(
        shared=shared,
        partings=tuple(sorted(partings, key=lambda parting: (parting.step, parting.series))),
        only_left=tuple(name for name in left.series if name not in right.series),
        only_right=tuple(name for name in right.series if name not in left.series),
        rounded=rounded,
    )


def _parting(name: str, left: Run, right: Run, rounded: bool) -> Parting | None:
    """Where two series differ first at a common step, or in which steps they have."""
    one, other = left.series[name], right.series[name]
    steps, of_one, of_other = np.intersect1d(one.steps, other.steps, return_indices=True)
    values = [one.values[of_one], other.values[of_other]]
    if rounded:
        values = [np.array([float(f"{x:.{DIGITS}g}") for x in side]) for side in values]
    apart = np.flatnonzero(~_equal(*values))
    if apart.size == 0:
        return None
    first = apart[0]
    return Parting(name, float(steps[first]), float(values[0][first]), float(values[1][first]))


def _equal(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """[E] bool: equal, or unknown in both."""
    equal: np.ndarray = (left == right) | (np.isnan(left) & np.isnan(right))
    return equal
