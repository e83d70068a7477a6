"""Cutting states (leading seed axis) into the rows of single seeds, and stacking rows again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from suite.stacked.streams import State


@dataclass(frozen=True)
class Row:
    """One seed's part of a state: arrays and JSON-able values by flat key."""

    arrays: dict[str, np.ndarray]
    values: dict[str, Any]


def cut(state: State, i: int) -> Row:
    """Seed `i`'s row of a state. Arrays are views where the state has arrays."""
    arrays: dict[str, np.ndarray] = {}
    values: dict[str, Any] = {}
    for key, value in state.items():
        if isinstance(value, list):
            values[key] = value[i]
        elif isinstance(value, Tensor):
            arrays[key] = value[i].detach().cpu().numpy()
        else:
            arrays[key] = np.asarray(value[i])
    return Row(arrays, values)


def stack(rows: Sequence[Row]) -> State:
    """The state of the seeds whose rows these are, in this order."""
    first = rows[0]
    for row in rows[1:]:
        if row.arrays.keys() != first.arrays.keys() or row.values.keys() != first.values.keys():
            here, there = {*row.arrays, *row.values}, {*first.arrays, *first.values}
            raise ValueError(
                "checkpoints of seeds that train together hold different things: "
                f"{sorted(here ^ there)}"
            )
    state: State = {key: np.stack([row.arrays[key] for row in rows]) for key in first.arrays}
    state.update({key: [row.values[key] for row in rows] for key in first.values})
    return state
