"""Wall-clock seconds by part of the work, each seed's share of them.

Times go into provenance only, never into a record. A shard's seconds are shared equally by its
seeds, so that seconds of runs can be added up however the runs were grouped.
"""

from suite.stacked.streams import State


class Seconds:
    """Seconds by part, accumulated over resumes."""

    def __init__(self, count: int) -> None:
        self._before: list[dict[str, float]] = [{} for _ in range(count)]
        self._parts: dict[str, float] = {}

    def add(self, part: str, seconds: float) -> None:
        """Add seconds that all seeds of the shard spent together."""
        self._parts[part] = self._parts.get(part, 0.0) + seconds

    def of(self, i: int) -> dict[str, float]:
        """One seed's share of every part."""
        shares = dict(self._before[i])
        for part, seconds in self._parts.items():
            shares[part] = shares.get(part, 0.0) + seconds / len(self._before)
        return shares

    def state(self) -> State:
        return {"seconds": [self.of(i) for i in range(len(self._before))]}

    def load_state(self, state: State) -> None:
        self._before = [dict(shares) for shares in state["seconds"]]
        self._parts = {}
