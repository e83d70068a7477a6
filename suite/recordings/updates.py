"""Optimiser steps looked at: how far and which way they turn the weights."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from pydantic import BaseModel, Field
from torch import Tensor

from suite.recordings.protocol import LookSettings, RecordedAgent
from suite.recordings.rows import Rows
from suite.stacked.parameters import ParameterGroup
from suite.stacked.streams import State


class UpdatesSettings(LookSettings):
    """Settings of the look at optimiser steps."""

    every: int = Field(default=100, ge=1, description="optimiser steps of a group between two rows")


class UpdatesRecording:
    """`updates-<group>.rows`: a row of the first optimiser step of each group and every `every`-th
    after it, before plug-ins that follow a step change the weights.

    Columns: `step`, the number of the step from 1; `learning_rate`; `gradient_norm` of the group,
    after clipping, before plug-ins add to it; `normed_norm`, of all weights that a norm follows, 0
    if none; and of every weight tensor W with gradient g and change u (`/hidden1`) `gradient_norm`
    |g|, `relative_update` |u| / |W|, `angle` between W and W + u in radians, `radial_share`
    <W, u> / |W||u| and `gradient_radial_share` <W, g> / |W||g| (NaP paper App. A.5: 0 before a
    norm). Shares of nothing are unknown. `evaluations.rows`: the training step of every evaluation,
    and each group's steps.
    """

    VERSION: ClassVar[int] = 1
    Settings: ClassVar[type[BaseModel]] = UpdatesSettings

    def __init__(
        self, settings: UpdatesSettings, agent: RecordedAgent, folders: Sequence[Path]
    ) -> None:
        self.settings = settings
        names = ["step", *agent.groups]
        self._evaluations = [
            Rows(folder / "evaluations.rows", "f8", (len(names),), names) for folder in folders
        ]
        self._rows: dict[str, list[Rows]] = {}
        self._seen: tuple[Tensor, Tensor] | None = None  # parameters and gradient before a step
        for name, group in agent.groups.items():
            columns = list(self._columns(group, group.parameters.flat, group.parameters.flat))
            self._rows[name] = [
                Rows(folder / f"updates-{name}.rows", "f8", (len(columns),), columns)
                for folder in folders
            ]
            group.before_step.append(self._before_step)
            group.after_step.append(self._after_step)

    def _before_step(self, group: ParameterGroup, gradient: Tensor) -> None:
        if group.steps % self.settings.every == 0:
            self._seen = group.parameters.flat.detach().clone(), gradient.clone()

    def _after_step(self, group: ParameterGroup) -> None:
        if self._seen is not None:
            table = np.stack(list(self._columns(group, *self._seen).values()), axis=1)
            for rows, values in zip(self._rows[group.name], table, strict=True):
                rows.append(values)
            self._seen = None

    def _columns(
        self, group: ParameterGroup, before: Tensor, gradient: Tensor
    ) -> dict[str, np.ndarray]:
        """Every column's value [S] for parameters and gradient [S, m] before the step."""
        count = len(before)
        columns = {
            "step": torch.full((count,), group.steps),
            "learning_rate": torch.full(
                (count,), group.optimiser.learning_rate, dtype=torch.float64
            ),
            "gradient_norm": _norm(gradient),
        }
        normed = torch.zeros(count, dtype=torch.float64)
        for part in group.parameters.slices:
            if part.kind != "weight":
                continue
            old, new, slope = (
                rows[:, part.start : part.stop].detach().double()
                for rows in (before, group.parameters.flat, gradient)
            )
            change = new - old
            length = _norm(old)
            if part.followed_by_norm:
                normed = torch.hypot(normed, length.cpu())
            chord = _norm(new / _norm(new).unsqueeze(1) - old / length.unsqueeze(1))
            found = {
                "gradient_norm": _norm(slope),
                "relative_update": _norm(change) / length,
                "angle": 2 * torch.asin((chord / 2).clamp(max=1.0)),
                "radial_share": _cosine(old, change),
                "gradient_radial_share": _cosine(old, slope),
            }
            name = part.name.removesuffix(".weight")
            columns |= {f"{what}/{name}": value for what, value in found.items()}
        columns["normed_norm"] = normed
        return {name: value.double().cpu().numpy() for name, value in columns.items()}

    def begin(self) -> None:
        for rows in self._files():
            rows.begin()

    def after_update(self, agent: RecordedAgent, observations: object) -> None:
        pass

    def at_evaluation(self, agent: RecordedAgent, step: int) -> None:
        present = np.array([step, *(group.steps for group in agent.groups.values())], np.float64)
        for rows in self._evaluations:
            rows.append(present)

    def flush(self) -> None:
        for rows in self._files():
            rows.flush()

    def _files(self) -> list[Rows]:
        return [*self._evaluations, *(rows for files in self._rows.values() for rows in files)]

    def state(self) -> State:
        files = {"evaluations": self._evaluations, **self._rows}
        return {name: np.array([rows.count for rows in own]) for name, own in files.items()}

    def load_state(self, state: State) -> None:
        for name, own in {"evaluations": self._evaluations, **self._rows}.items():
            for rows, count in zip(own, state[name], strict=True):
                rows.resume(int(count))


def _norm(rows: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(rows.detach().double(), dim=1)
    return norm


def _cosine(left: Tensor, right: Tensor) -> Tensor:
    return (left * right).sum(dim=1) / (_norm(left) * _norm(right))
