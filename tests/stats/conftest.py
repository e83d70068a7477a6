"""Claims and runs made up for the tests of statistics."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from suite.specs.claims import ClaimSpec
from suite.specs.models import digest
from suite.stats.runs import Run, Series

RunMaker = Callable[..., Run]
CellMaker = Callable[..., list[Run]]


@pytest.fixture
def make_run() -> RunMaker:
    """A done run of a cell; figures and series by keyword, the rest of a `Run` too."""

    def make(cell: str, seed: int, **parts: Any) -> Run:
        scale = parts.setdefault("scale", "smoke")
        parts.setdefault("key", digest([cell, seed, scale, parts.get("state", "done")]))
        parts.setdefault("state", "done")
        task = {"name": "toy", "environment": "Toy-v0", "random_return": None}
        parts.setdefault("spec", {"task": task, "budget": 100})
        parts["series"] = {
            name: Series(np.arange(len(values)) * 10.0, np.array(values, dtype=np.float64))
            for name, values in parts.get("series", {}).items()
        }
        return Run(cell=cell, seed=seed, **parts)

    return make


@pytest.fixture
def make_cell(make_run: RunMaker) -> CellMaker:
    """Done runs of a cell, one per value of the figure `accuracy`, seeds from 0."""

    def make(cell: str, values: list[float], **parts: Any) -> list[Run]:
        return [
            make_run(cell, seed, figures={"accuracy": value}, **parts)
            for seed, value in enumerate(values)
        ]

    return make


@pytest.fixture
def make_claim() -> Callable[..., ClaimSpec]:
    """A claim of the given parts, read as from a spec file."""

    def make(**parts: Any) -> ClaimSpec:
        common = {
            "id": "toy-C1",
            "source": "section 1",
            "says": "norm helps",
            "reported": "0.3",
            "kind_of_claim": "paper",
            "settled_because": "1M steps on four tasks",
            "settled_at": "smoke",
        }
        if parts["kind"] not in ("cost", "correlation"):
            common["figure"] = "accuracy"
        return TypeAdapter(ClaimSpec).validate_json(json.dumps(common | parts))

    return make
