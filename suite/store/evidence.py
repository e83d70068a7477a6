"""Evidence: results of runs as small text files that are kept with the project.

One file a run, `<root>/<cell>/<scale>-<key>.json`, holding its record and provenance: numbers with
six significant digits, series of at most 200 points, except those in `WHOLE`.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from suite.store.atomic import StoreError, replace_bytes, storing
from suite.store.store import Store

DIGITS = 6
POINTS = 200

# Scores and areas under curves are computed from every evaluation.
WHOLE = ("return",)


@dataclass(frozen=True)
class Record:
    """Result of one run with its provenance, from a run folder or from evidence.

    `source` is the file it was read from, relative to the store or the evidence folder.
    """

    record: dict[str, Any]
    provenance: dict[str, Any]
    source: str

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


def path_of(record: Mapping[str, Any], root: Path) -> Path:
    """Where the evidence of a run with this record lies."""
    return root / str(record["cell"]) / f"{record['scale']}-{record['key']}.json"


def export(store: Store, key: str, root: Path) -> Path:
    """Write the evidence of a complete run; its path. Equal runs give equal records.

    Raises StoreError when the run is not complete, or the file cannot be written.
    """
    record = store.record(key)
    record["series"] = {
        name: series if name in WHOLE else _thin(series)
        for name, series in record["series"].items()
    }
    content = {"provenance": _round(store.provenance(key)), "record": _round(record)}
    # The spec has to give the run's key again, digit by digit.
    content["record"]["spec"] = record["spec"]
    path = path_of(record, root)
    with storing("write", path):
        path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    replace_bytes(path, (text + "\n").encode())
    return path


def from_store(store: Store, keys: Iterable[str]) -> list[Record]:
    """Records of those of the runs that are complete, in the order of `keys`."""
    return [
        Record(store.record(key), store.provenance(key), f"{key}/record.json")
        for key in keys
        if store.state(key).complete
    ]


def load(root: Path) -> list[Record]:
    """All evidence below `root`, sorted by file; nothing when the folder is not there.

    Raises StoreError for a file that is no evidence or does not lie where its content belongs.
    """
    records = []
    for path in sorted(root.glob("*/*.json")):
        found = read(path)
        belongs = path_of(found.record, root)
        if belongs != path:
            raise StoreError(f"{path} holds the evidence of {belongs}. Rename or delete it.")
        records.append(replace(found, source=str(path.relative_to(root))))
    return records


def read(path: Path) -> Record:
    """The evidence of one run. Raises StoreError for a file that is none."""
    with storing("read", path):
        try:
            content = json.loads(path.read_text())
            found = Record(content["record"], content["provenance"], str(path))
            path_of(found.record, path.parent)
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"{path} is no evidence of a run ({type(error).__name__}: {error}). Restore it"
                " from version control or delete it."
            ) from error
    return found


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
