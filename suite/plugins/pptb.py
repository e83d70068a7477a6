"""Policy Path Trimming and Boosting (Tang, Zhang, Chen, Hao, NeurIPS 2024, Alg. 1).

No code was released with the paper. Where it is silent, a setting tells what is done: buffer,
optimiser and targets stay as they are, the decomposition is not centred and takes the whole
parameter vector.
"""

from __future__ import annotations

import warnings
from typing import ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import Field, model_validator

from suite.plugins.path_window import Move, PathWindow
from suite.plugins.policy_path import PathSettings, PolicyPathPlugin
from suite.plugins.protocol import Agent
from suite.stacked.parameters import ParameterGroup


class PPTBSettings(PathSettings):
    """Settings of PPTB; symbols are the paper's."""

    capacity: int = Field(ge=2, description="k: snapshots held, the oldest is dropped first")
    trim_rank: int | None = Field(
        ge=1, description="r_t: leading directions kept; null for no trimming"
    )
    boost_rank: int | None = Field(
        ge=0,
        description="r_b: leading directions boosted; 0 for no boosting, null for the window's "
        "displacement as it is, without projection",
    )
    boost_coefficient: float = Field(
        ge=0, description="p_b: share of the window's displacement added"
    )
    buffer_after: Literal["keep", "clear", "replace_last", "append_result"] = Field(
        description="what becomes of the snapshots: kept as they are, dropped, or the changed "
        "policy put in the newest one's place or behind it"
    )
    centre: Literal["none", "mean", "first"] = Field(
        description="snapshot subtracted before the decomposition and added back after it"
    )
    layerwise: bool = Field(description="decompose each layer by itself")
    reset_optimiser: bool = Field(description="zero the policy's optimiser moments at each change")
    sync_target: bool = Field(description="copy the changed policy to its target network")

    @model_validator(mode="after")
    def _ranks(self) -> Self:
        if self.trim_rank is not None and (self.boost_rank or 0) > self.trim_rank:
            raise ValueError(
                f"boost_rank {self.boost_rank} is larger than trim_rank {self.trim_rank}: only "
                "directions that are kept can be boosted"
            )
        if self.capacity < self.first_rows:
            raise ValueError(
                f"capacity {self.capacity} never allows a first change, which needs "
                f"{self.first_rows} snapshots, max(trim_rank, 2) + 1"
            )
        return self

    @property
    def first_rows(self) -> int:
        """Snapshots needed for the first change."""
        return max(self.trim_rank or 0, 2) + 1

    @property
    def boost_times_window(self) -> float:
        """p_b times the calls that one full window spans; from 1 on, boosting diverges.

        A direction with steady drift d per interval then follows x += d + p_b (x - x_window), which
        settles at speed d / (1 - p_b L) for L intervals in a window, if p_b L < 1.
        """
        return self.boost_coefficient * self.capacity * self.store_interval / self.interval


class PPTB(PolicyPathPlugin):
    """The policy becomes its projection on the leading directions of its recent path, boosted.

    Without trimming and boosting it stores nothing and does nothing. A seed whose snapshots are not
    finite is left alone. Warns when boosting can't be stable.
    """

    VERSION = 3
    kind = "pptb"
    acting: ClassVar = {
        "store_interval": 2,
        "interval": 4,
        "unit": "policy_updates",
        "capacity": 8,
        "trim_rank": 3,
        "boost_rank": 2,
        "boost_coefficient": 0.1,
        "buffer_after": "keep",
        "centre": "none",
        "layerwise": False,
        "reset_optimiser": False,
        "sync_target": False,
    }
    neutral: ClassVar = {**acting, "trim_rank": None, "boost_rank": 0}
    Settings = PPTBSettings

    def __init__(self, settings: PPTBSettings) -> None:
        super().__init__(settings, settings.capacity, settings.layerwise)
        self.settings = settings
        self.boosts = settings.boost_rank != 0 and settings.boost_coefficient > 0
        if self.boosts and settings.boost_times_window >= 1:
            warnings.warn(
                f"PPTB: boost_coefficient x (capacity x store_interval / interval) = "
                f"{settings.boost_times_window:g}; from 1 on, boosting feeds on its own changes "
                f"and diverges. Stable: an interval above "
                f"{settings.boost_times_window * settings.interval:g} {settings.unit}, or a "
                f"boost_coefficient below "
                f"{settings.boost_coefficient / settings.boost_times_window:g}.",
                stacklevel=2,
            )

    def attach(self, agent: Agent, total_updates: int) -> None:
        if self.boosts or self.settings.trim_rank is not None:
            super().attach(agent, total_updates)

    def move(self, window: PathWindow, seed: int) -> Move | None:
        s = self.settings
        if window.count < s.first_rows:
            return None
        return window.trim_and_boost(s.trim_rank, s.boost_rank, s.boost_coefficient, s.centre)

    def after_move(self, group: ParameterGroup, seed: int) -> None:
        policy, window = group.parameters.flat[seed], self.windows[seed]
        match self.settings.buffer_after:
            case "clear":
                window.clear()
            case "replace_last":
                window.replace_newest(policy)
            case "append_result":
                window.append(policy)
        if self.settings.reset_optimiser:
            rows = torch.zeros_like(group.parameters.flat, dtype=torch.bool)
            rows[seed] = True
            group.reset_moments(rows)
        if self.settings.sync_target and group.target is not None:
            group.target.flat[seed] = policy

    def diagnostics(self) -> dict[str, np.ndarray]:
        """Also: the share of energy that trimming kept, and the stability product of boosting."""
        found = super().diagnostics()
        if found:
            product = self.settings.boost_times_window if self.boosts else 0.0
            found["kept_energy"] = self.kept_energy.copy()
            found["boost_times_window"] = np.full(len(self.windows), product)
        return found
