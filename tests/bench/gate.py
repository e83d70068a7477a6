"""Whether something became slower than its committed reference.

The reference holds ratios by name for each kind of machine on which it was written. A ratio above
`LIMIT` times its reference is a suspect; it is a regression when `CONFIRMATIONS` further
measurements, each with everything built anew, lie above the limit too.
"""

import json
import os
import platform
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

LIMIT = 1.12
CONFIRMATIONS = 3

Measure = Callable[[], Mapping[str, float]]
Hardware = dict[str, str | int]


@dataclass(frozen=True)
class Outcome:
    """What the gate says of one timing, and why."""

    state: Literal["passed", "regression", "inconclusive"]
    reason: str


def judge(found: Mapping[str, float], reference: Mapping[str, float], again: Measure) -> Outcome:
    """Hold ratios against those of the reference; suspects are measured again by `again`."""
    missing = [name for name in found if name not in reference]
    if missing:
        return Outcome("inconclusive", f"no reference for {', '.join(missing)}")
    seen = {name: [found[name]] for name in found if found[name] > LIMIT * reference[name]}
    if not seen:
        told = (_compared(name, [found[name]], reference[name]) for name in found)
        return Outcome("passed", "; ".join(told))
    for _ in range(CONFIRMATIONS):
        measured = again()
        confirmed = {
            name: [*ratios, measured[name]]
            for name, ratios in seen.items()
            if measured[name] > LIMIT * reference[name]
        }
        if not confirmed:
            told = (
                _compared(name, [*ratios, measured[name]], reference[name])
                for name, ratios in seen.items()
            )
            return Outcome("passed", f"suspect, not confirmed: {'; '.join(told)}")
        seen = confirmed
    slow = (_compared(name, ratios, reference[name]) for name, ratios in seen.items())
    return Outcome("regression", f"slower: {'; '.join(slow)}")


def _compared(name: str, ratios: list[float], reference: float) -> str:
    change = 100 * (statistics.median(ratios) / reference - 1)
    seen = " ".join(f"{ratio:.4g}" for ratio in ratios)
    return f"{name} {seen}, reference {reference:.4g} ({change:+.0f} %)"


def hardware() -> Hardware:
    """What ratios may depend on: CPU, cores, PyTorch. Ratios of unlike machines do not compare."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    lines = dict(line.split("\t", 1) for line in info.splitlines() if "\t" in line)
    fields = ("model name", "cpu family", "model")
    return {
        "cpu": ", ".join(lines.get(name, platform.machine()).strip("\t: ") for name in fields),
        "cores": os.cpu_count() or 1,
        "torch": torch.__version__.partition("+")[0],
    }


def read_reference(path: Path) -> dict[str, float] | None:
    """The ratios written on a machine like this one; None when there are none."""
    here = hardware()
    found = [machine for machine in _machines(path) if machine["hardware"] == here]
    return found[0]["ratios"] if found else None


def write_reference(path: Path, ratios: Mapping[str, float]) -> None:
    """Put ratios in the place of those of the same names on machines like this one."""
    here, machines = hardware(), _machines(path)
    before = [machine for machine in machines if machine["hardware"] == here]
    kept = before[0]["ratios"] if before else {}
    rounded = {name: float(f"{ratio:.4g}") for name, ratio in ratios.items()}
    others = [machine for machine in machines if machine["hardware"] != here]
    content = {"machines": [*others, {"hardware": here, "ratios": {**kept, **rounded}}]}
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


def _machines(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text())["machines"] if path.exists() else []
