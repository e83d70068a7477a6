"""Evidence: results of runs as small text files that are kept with the project.

One file a run, `<root>/<cell>/<scale>-<seed>-<key>.json`, so that evidence of several machines adds
up in version control. It holds the run's record and provenance and the results of its analyses, one
series a line: numbers with six significant digits, all points of series that claims read, so that
verdicts are those of the runs, and at most 200 of the others. Its digest tells a file that was cut
short or changed.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from suite.specs.claims import is_named
from suite.specs.models import SCALES, AnalysisSpec, Scale
from suite.store.atomic import StoreError, replace_bytes, storing
from suite.store.store import Store

DIGITS = 6
POINTS = 200
NAME = re.compile(rf"(?P<scale>{'|'.join(SCALES)})-(?P<seed>[0-9]+)-(?P<key>[0-9a-f]{{16}})\.json")

# Nesting of a file that stands on lines of its own: a series, a part of the spec.
LINES = 3

# Scores and areas under curves are computed from every evaluation.
RETURN = "return"


@dataclass(frozen=True)
class Record:
    """Result of one run with its provenance, from a run folder or from evidence.

    `source` is the file it was read from, relative to the store or the evidence folder. `analyses`
    are the results of analyses, each with its `analysis`, `settings` and `version`.
    """

    record: dict[str, Any]
    provenance: dict[str, Any]
    source: str
    analyses: tuple[dict[str, Any], ...] = ()

    @property
    def key(self) -> str:
        return str(self.record["key"])

    @property
    def cell(self) -> str:
        return str(self.record["cell"])

    @property
    def scale(self) -> str:
        return str(self.record["scale"])

    @property
    def seed(self) -> int:
        return int(self.record["seed"])

    @property
    def state(self) -> str:
        """`done` or `diverged`."""
        return str(self.record["state"])


class EvidenceError(StoreError):
    """An evidence file that cannot be used; `wrong` says why."""

    def __init__(self, path: Path, wrong: str) -> None:
        self.wrong = wrong
        super().__init__(f"evidence {path} {wrong}. Restore it from version control or delete it.")


@dataclass(frozen=True)
class Damaged:
    """An evidence file that cannot be used: what its name says, and what is wrong with it."""

    cell: str
    scale: Scale
    seed: int
    key: str
    reason: str


def path_of(record: Mapping[str, Any], root: Path) -> Path:
    """Where the evidence of a run with this record lies."""
    return root / str(record["cell"]) / f"{record['scale']}-{record['seed']}-{record['key']}.json"


def export(
    store: Store,
    key: str,
    root: Path,
    analyses: Sequence[AnalysisSpec] = (),
    whole: Collection[str] = (),
) -> Path:
    """Write the evidence of a complete run with the results of these analyses; its path.

    `whole` names the series that keep all their points beside `return` (`Project.series_read`).
    Equal runs give equal records. Raises StoreError when the run is not complete, one of the
    analyses has no result, or the file cannot be written.
    """
    record = _thinned(store.record(key), "", whole)
    results = {}
    for spec in analyses:
        result = store.analysis(key, spec.key(key))
        if result is None:
            raise StoreError(f"run {key} has no result of analysis {spec.kind}: `suite analyse`.")
        results[spec.kind] = _round(_thinned(result, f"{spec.kind}/", whole))
    content = {"provenance": _round(store.provenance(key)), "record": _round(record)}
    if results:
        content["analyses"] = results
    # The spec has to give the run's key again, digit by digit.
    content["record"]["spec"] = record["spec"]
    path = path_of(record, root)
    with storing("write", path):
        path.parent.mkdir(parents=True, exist_ok=True)
    document = {**content, "sha256": _digest(content)}
    replace_bytes(path, (_on_lines(document, LINES) + "\n").encode())
    return path


def _thinned(document: dict[str, Any], prefix: str, whole: Collection[str]) -> dict[str, Any]:
    series = {}
    for name, points in document["series"].items():
        kept = any(is_named(prefix + name, pattern) for pattern in (RETURN, *whole))
        series[name] = points if kept else _thin(points)
    return {**document, "series": series}


def from_store(store: Store, keys: Iterable[str]) -> list[Record]:
    """Records of those of the runs that are complete, in the order of `keys`."""
    return [
        Record(store.record(key), store.provenance(key), f"{key}/record.json")
        for key in keys
        if store.state(key).complete
    ]


def load(root: Path) -> tuple[list[Record], list[Damaged]]:
    """All evidence below `root`, sorted by file, and the files that cannot be used.

    Nothing when the folder is not there. Raises StoreError for a JSON file whose name is not that
    of evidence.
    """
    records, damaged = [], []
    for path in sorted(root.glob("*/*.json")):
        name = NAME.fullmatch(path.name)
        if name is None:
            raise StoreError(
                f"{path} has not the name of evidence, <scale>-<seed>-<key>.json. Write evidence"
                " with `suite evidence`; move other files out of this folder."
            )
        try:
            found = read(path)
            belongs = path_of(found.record, root)
            if belongs != path:
                raise EvidenceError(path, f"holds what belongs to {belongs.relative_to(root)}")
        except EvidenceError as error:
            where = path.relative_to(root)
            reason = f"evidence {where} {error.wrong}; restore or delete it"
            scale = SCALES[SCALES.index(name["scale"])]
            damaged.append(Damaged(path.parent.name, scale, int(name["seed"]), name["key"], reason))
        else:
            records.append(replace(found, source=str(path.relative_to(root))))
    return records, damaged


def read(path: Path) -> Record:
    """The evidence of one run, wherever the file lies. Raises EvidenceError."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EvidenceError(path, f"cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise EvidenceError(path, f"is no JSON ({error})") from error
    if not isinstance(document, dict) or document.keys() - {"analyses"} != {
        "provenance",
        "record",
        "sha256",
    }:
        raise EvidenceError(path, "is no evidence of a run")
    content = {name: part for name, part in document.items() if name != "sha256"}
    if document["sha256"] != _digest(content):
        raise EvidenceError(path, "was changed after it was written")
    analyses = tuple(content.get("analyses", {}).values())
    return Record(content["record"], content["provenance"], str(path), analyses)


def outdated(record: Record, present: Mapping[str, int]) -> list[str]:
    """Why a record does not show the present behaviour; empty when it does.

    `present`: the behaviour version of every agent, plug-in and environment there is.
    """
    reasons = []
    for name, version in sorted(record.record["spec"]["versions"].items()):
        if name not in present:
            reasons.append(f"{name} is gone")
        elif present[name] != version:
            reasons.append(f"{name} is version {present[name]} now, the run had {version}")
    return reasons


def _digest(content: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON: line breaks and spaces of the file do not matter."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _on_lines(value: Any, depth: int) -> str:
    """JSON with sorted keys; mappings down to `depth` have a line for each entry."""
    if depth == 0 or not isinstance(value, dict) or not value:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    entries = (f"{json.dumps(key)}: {_on_lines(value[key], depth - 1)}" for key in sorted(value))
    indent = "\n" + " " * (LINES - depth + 1)
    return "{" + indent + f",{indent}".join(entries) + indent[:-1] + "}"


def _thin(series: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """At most POINTS points, evenly chosen, the first and the last among them."""
    count = len(series["step"])
    if count <= POINTS:
        return dict(series)
    chosen = [round(i * (count - 1) / (POINTS - 1)) for i in range(POINTS)]
    return {name: [values[i] for i in chosen] for name, values in series.items()}


def _round(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {name: _round(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_round(inner) for inner in value]
    return value
