"""Schedules of the learning rate of every parameter group, in place of the agent's own."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from itertools import pairwise
from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import BaseModel, Field, model_validator

from suite.plugins.nap import linear_decay
from suite.plugins.protocol import Agent, Plugin, PluginSettings
from suite.stacked.streams import State


class Schedule(Plugin, ABC):
    """Sets the learning rate of the next update to a factor times the initial one."""

    @classmethod
    def sets_learning_rate(cls, settings: BaseModel) -> bool:
        return True

    @abstractmethod
    def factor(self, updates: int) -> float:
        """The learning rate over the initial one after so many learn calls."""

    def attach(self, agent: Agent, total_updates: int) -> None:
        self.total = total_updates
        self.seeds = agent.groups[agent.policy].parameters.flat.shape[0]
        self.learning_rates = {
            name: group.optimiser.learning_rate for name, group in agent.groups.items()
        }
        self._set(agent)

    def after_update(self, agent: Agent) -> None:
        self._set(agent)

    def _set(self, agent: Agent) -> None:
        factor = self.factor(agent.updates)
        for name, group in agent.groups.items():
            group.optimiser.learning_rate = self.learning_rates[name] * factor

    def state(self) -> State:
        """The initial learning rates."""
        return {name: np.full(self.seeds, rate) for name, rate in self.learning_rates.items()}

    def load_state(self, state: State) -> None:
        self.learning_rates = {name: float(state[name][0]) for name in self.learning_rates}


class DecaySettings(PluginSettings):
    """Settings of a line down."""

    ratio: float = Field(ge=1, description="initial over final learning rate")
    fraction: float = Field(
        gt=0, le=1, description="share of all updates after which the final rate is reached"
    )


class Decay(Schedule):
    """NaP's linear schedule alone (NaP paper Sec. 4.2)."""

    VERSION = 1
    kind = "decay"
    acting: ClassVar = {"ratio": 60.0, "fraction": 0.5}
    neutral: ClassVar = {"ratio": 1.0, "fraction": 0.5}
    Settings = DecaySettings

    def __init__(self, settings: DecaySettings) -> None:
        super().__init__(settings)
        self.settings = settings

    def factor(self, updates: int) -> float:
        return linear_decay(updates, self.settings.fraction * self.total, self.settings.ratio)


class CosineSettings(PluginSettings):
    """Settings of cosines with restarts."""

    periods: int = Field(ge=1, description="cosines, of equal numbers of updates")
    warmup: int = Field(ge=0, description="first updates of a period, in which the rate rises")
    start_ratio: float = Field(ge=1, description="highest learning rate over that of a start")
    ratio: float = Field(ge=1, description="highest learning rate over that of an end")


class Cosine(Schedule):
    """Up in a line, and down by half a cosine, again and again (NaP paper App. B.2: a period for
    every task of a sequence)."""

    VERSION = 1
    kind = "cosine"
    acting: ClassVar = {"periods": 2, "warmup": 4, "start_ratio": 100.0, "ratio": 60.0}
    neutral: ClassVar = {"periods": 2, "warmup": 0, "start_ratio": 1.0, "ratio": 1.0}
    Settings = CosineSettings

    def __init__(self, settings: CosineSettings) -> None:
        super().__init__(settings)
        self.settings = settings

    def factor(self, updates: int) -> float:
        s = self.settings
        period = self.total / s.periods
        done = updates % period if updates < self.total else period
        if done < s.warmup:
            start = 1 / s.start_ratio
            return start + (1 - start) * done / s.warmup
        share = (done - s.warmup) / max(1.0, period - s.warmup)
        return (1 + (s.ratio - 1) * (1 + math.cos(math.pi * min(1.0, share))) / 2) / s.ratio


Point = Annotated[list[float], Field(min_length=2, max_length=2)]


class ReplayedSettings(PluginSettings):
    """Settings of a schedule that is replayed."""

    points: list[Point] = Field(
        min_length=2,
        description="share of all updates and learning rate over the initial one; lines in between",
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        shares = [share for share, _ in self.points]
        if not all(one < other for one, other in pairwise(shares)) or min(shares) < 0:
            raise ValueError(f"points: shares of updates rise from 0 on, these do not: {shares}")
        if min(factor for _, factor in self.points) <= 0:
            raise ValueError("points: learning rates are above 0")
        return self


class Replayed(Schedule):
    """A given curve: the implicit schedule that growing norms gave another run, for one (NaP paper
    Sec. 4)."""

    VERSION = 1
    kind = "replayed"
    acting: ClassVar = {"points": [[0.0, 1.0], [1.0, 0.1]]}
    neutral: ClassVar = {"points": [[0.0, 1.0], [1.0, 1.0]]}
    Settings = ReplayedSettings

    def __init__(self, settings: ReplayedSettings) -> None:
        super().__init__(settings)
        self.settings = settings

    def factor(self, updates: int) -> float:
        shares, factors = zip(*self.settings.points, strict=True)
        return float(np.interp(updates / self.total, shares, factors))
