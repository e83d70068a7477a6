"""What a run records while it trains: values by step, for each seed."""

import math
from collections.abc import Mapping

import numpy as np

from suite.stacked.streams import State


class Series:
    """Named series of (step, value), one set per seed."""

    def __init__(self, count: int) -> None:
        self._seeds: list[dict[str, dict[str, list[float | int | None]]]] = [
            {} for _ in range(count)
        ]

    def append(self, step: int, values: Mapping[str, np.ndarray]) -> None:
        """Append each `[S]` to its series; values that are not finite are recorded as null."""
        for name, row in values.items():
            for i in range(len(self._seeds)):
                self.append_one(i, step, name, float(row[i]))

    def append_one(self, i: int, step: int, name: str, value: float) -> None:
        """Append one value to one seed's series."""
        series = self._seeds[i].setdefault(name, {"step": [], "value": []})
        series["step"].append(step)
        series["value"].append(value if math.isfinite(value) else None)

    def of(self, i: int) -> dict[str, dict[str, list[float | int | None]]]:
        """All series of one seed, `{name: {"step": [...], "value": [...]}}`."""
        return self._seeds[i]

    def last(self, i: int, name: str) -> float | None:
        """The newest value of a seed's series, None when there is none."""
        series = self._seeds[i].get(name)
        return series["value"][-1] if series else None

    def state(self) -> State:
        return {"series": list(self._seeds)}

    def load_state(self, state: State) -> None:
        # Copied: a loop that loads the state of another in the same process must not share lists.
        self._seeds = [
            {name: {key: list(values) for key, values in one.items()} for name, one in seed.items()}
            for seed in state["series"]
        ]
