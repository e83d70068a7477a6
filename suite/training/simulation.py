"""The loop of models that learn nothing: the random walk of dead units."""

import json
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import numpy as np

from suite.analysis.dead_unit_walk import DeadUnitWalk
from suite.specs.models import RunSpec
from suite.stacked.streams import State, add_prefix, take_prefix
from suite.training.seconds import Seconds
from suite.training.series import Series


class SimulationLoop:
    """Runs the walk of every seed; a step is one update of the model."""

    def __init__(
        self, run: RunSpec, seeds: Sequence[int], device: str, folders: Sequence[Path] = ()
    ) -> None:
        self.step = 0
        self.total = run.budget
        self.diverged = np.zeros(len(seeds), dtype=np.bool_)
        self.series = Series(len(seeds))
        self.seconds = Seconds(len(seeds))
        settings = DeadUnitWalk.Settings.model_validate_json(json.dumps(run.agent.settings))
        self.walk = DeadUnitWalk(settings, seeds)

    def advance(self) -> None:
        """One update of every walk."""
        started = perf_counter()
        self.walk.advance()
        self.step += 1
        self.seconds.add("total", perf_counter() - started)

    def evaluate(self) -> None:
        """Record the share of dead units."""
        dead = self.walk.figures()["dead_fraction"]
        self.diverged |= ~np.isfinite(self.walk.values).all(axis=1)
        self.series.append(self.step, {"dead_fraction": dead})

    def figures(self, i: int) -> dict[str, float | None]:
        """The figures of the walk."""
        return {name: float(row[i]) for name, row in self.walk.figures().items()}

    def files(self, i: int) -> dict[str, dict[str, np.ndarray]]:
        return {}

    def begin(self) -> None:
        """A walk has no agent that could be recorded."""

    def flush(self) -> None:
        """Nothing was recorded."""

    def state(self) -> State:
        return {
            **add_prefix("walk", self.walk.state()),
            **self.series.state(),
            **self.seconds.state(),
            "step": np.full(len(self.diverged), self.step),
        }

    def load_state(self, state: State) -> None:
        self.walk.load_state(take_prefix("walk", state))
        self.series.load_state(state)
        self.seconds.load_state(state)
        self.step = int(state["step"][0])
