"""What an agent may do."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ActionSpec:
    """The actions of a task.

    continuous: vectors of `size` numbers, each in [low, high] (as a policy's tanh scales them);
    discrete: one of `size` actions, 0 to size - 1; labels: one of `size` classes.
    `low` and `high` mean something for continuous actions only.
    """

    kind: Literal["continuous", "discrete", "labels"]
    size: int
    low: float = 0.0
    high: float = 0.0
