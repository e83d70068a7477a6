"""What every environment adapter offers."""

from collections.abc import Iterable
from typing import Any, Literal, Protocol

import numpy as np

from suite.stacked.spaces import ActionSpec

ObservationDtype = Literal["float32", "bool", "uint8"]


class Environment(Protocol):
    """One environment. Every episode is seeded, so episodes do not depend on what came before.

    Observations are fresh arrays of `observation_shape` and `observation_dtype`. Continuous
    actions are float32 `[size]` within `[low, high]`, discrete ones integers below `size`.
    """

    VERSION: int
    observation_shape: tuple[int, ...]
    observation_dtype: ObservationDtype
    action: ActionSpec

    def reset(self, seed: int) -> np.ndarray:
        """Start the episode that `seed` (0 to 2**31 - 1) stands for; its first observation."""
        ...

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool]:
        """One step: observation, reward, terminal, truncated.

        `terminal` means that the task's own rules ended the episode, so no reward follows;
        `truncated` that a limit cut it, so the value of the last observation still counts.
        They are never true together: at the limit a terminal step is terminal.
        """
        ...


class UnknownEnvironmentError(ValueError):
    """A family has no environment of this name; `names` are those that it has."""

    def __init__(self, family: str, name: str, names: Iterable[str]) -> None:
        self.names = tuple(names)
        known = ", ".join(sorted(self.names))
        super().__init__(f"unknown {family} environment {name!r}; known: {known}")
