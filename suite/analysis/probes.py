"""Probes: what watches a run and changes nothing.

A probe is called at declared moments, may read everything of the agent, owns its random streams
(if it needs any) and its state, and hands back what goes into the record: values of series at
evaluations, figures at the end, and arrays that become extra files of the run.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
from pydantic import BaseModel

from suite.analysis.policy_path import PolicyPath
from suite.analysis.weight_norms import WeightNorms
from suite.plugins.protocol import Agent
from suite.stacked.streams import State


class Probe(Protocol):
    """A probe is built on the initialised agent, before plug-ins are attached to it."""

    VERSION: ClassVar[int]
    Settings: ClassVar[type[BaseModel]]

    def __init__(self, settings: Any, agent: Agent, seeds: Sequence[int]) -> None: ...

    def after_update(self, agent: Agent) -> None:
        """Called after every learn call, before plug-ins act on it; choose the moments inside."""
        ...

    def at_evaluation(self, agent: Agent, step: int) -> dict[str, np.ndarray]:
        """Values `[S]` by series name."""
        ...

    def at_end(self, agent: Agent) -> dict[str, np.ndarray]:
        """Figures `[S]` by name."""
        ...

    def files(self) -> dict[str, np.ndarray]:
        """Arrays `[S, ...]` by name; a seed's row is stored as an extra file of its run."""
        ...

    def state(self) -> State: ...

    def load_state(self, state: State) -> None: ...


PROBES: dict[str, type[Probe]] = {"policy_path": PolicyPath, "weight_norms": WeightNorms}
