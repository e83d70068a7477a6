"""What policies of a path return when they are rebuilt from few directions of the path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from pydantic import BaseModel, Field

from suite.analysis.path_layers import combined, read_gram, spread, thirds
from suite.analysis.protocol import Diagnostic, LookSettings, Points, RecordedRun, Result
from suite.training.evaluation import Evaluation

if TYPE_CHECKING:
    from suite.training.learner import LearningAgent

LEAST = 2  # policies whose returns can lie apart


class ReconstructionSettings(LookSettings):
    """Settings of the reconstruction."""

    every: int = Field(default=1, ge=1, description="evaluations between checkpoints")
    path_every: int = Field(default=25, ge=1, description="policy updates between snapshots")
    snapshots: int = Field(
        default=2000, ge=8, description="at most so many of them, evenly spread, are decomposed"
    )
    ranks: tuple[int, ...] = Field(
        default=(1, 2, 4, 8, 16, 32, 64, 128), description="directions kept (paper Tables 4-9)"
    )
    episodes: int = Field(default=5, ge=1, description="greedy episodes of each policy")


class Reconstruction:
    """Policies trimmed to few singular directions of their third of the path, and what they return
    more than before, in the same episodes (PPTB paper Tables 4-9).

    At each checkpoint the newest snapshot acts, with what is not on the path (RAD's encoder, what
    normalises observations) as the checkpoint has it. The control is smoothing: the mean of the
    snapshots around the policy, of so many that it moves policies as far as trimming does.

    Changes are told in spans, the distance between the highest and the lowest return of the run's
    policies. Figures by rank r, for the policies of a period and for `all`:

    - `trimmed/<r>/<period>` and `averaged/<r>/<period>`: mean change of the return;
      `trimmed_size/...` and `averaged_size/...`, mean size of the change;
    - `trimmed_less_averaged/<r>/<period>`: mean of what trimming changes less what averaging does;
    - `better/<r>/<period>`: share of policies that return more when trimmed, ties half;
    - `moved/<r>/<period>`, `snapshots_averaged/<r>/<period>` (not for `all`): how far trimming
      moves policies, over the distance of the period's ends, and how many snapshots do the same.

    `size_falls/<period>`: mean size of the change at the lowest rank less that at the highest;
    `return/<period>`, `policies/<period>`, `span`. Series over r, in the task's units: `mean`,
    `mean_size`, `largest` and `smallest`, each `/<period>`, of the change by trimming, and
    `averaged_mean` of that by averaging.

    Ranks that some period has too few snapshots for are left out, as are periods without policies.
    Of a path that is not finite nothing is known. Raises ValueError when the checkpoints hold fewer
    than two policies.
    """

    VERSION: ClassVar[int] = 1
    Settings: ClassVar[type[BaseModel]] = ReconstructionSettings
    DIAGNOSTICS: ClassVar[tuple[Diagnostic, ...]] = (
        Diagnostic("mean/all", over="directions"),
        Diagnostic("averaged_mean/all", over="directions"),
        Diagnostic("mean_size/all", over="directions"),
    )

    def __init__(self, settings: ReconstructionSettings) -> None:
        self.settings = settings

    def recordings(self) -> tuple[tuple[str, dict[str, Any]], ...]:
        path = {"every": self.settings.path_every}
        return (("checkpoints", {"every": self.settings.every}), ("path", path))

    def analyse(self, run: RecordedRun) -> Result:
        s = self.settings
        path = run.path(every=s.path_every)
        rows = spread(path.snapshots, s.snapshots)
        agents = self._agents(run, rows)
        if len(agents) < LEAST:
            raise ValueError(
                f"run {run.key} has {len(agents)} policies at its checkpoints and {LEAST} are "
                "needed: record more checkpoints, or train longer"
            )
        gram = read_gram(path, rows)
        if not np.isfinite(gram).all():
            return Result()
        evaluation = Evaluation(run.spec.task, [run.spec.seed], s.episodes)
        parts = thirds(len(rows))
        ranks = [r for r in s.ranks if all(r < part.stop - part.start for part in parts.values())]
        figures: dict[str, float] = {}
        returns: dict[str, dict[Which, np.ndarray]] = {}
        for period, part in parts.items():
            places = [place for place in agents if part.start <= place < part.stop]
            if not places:
                continue
            rebuilt = rebuild(gram[part, part], np.array(places) - part.start, ranks)
            weights = rebuilt.weights
            policies = combined(path, rows[part], np.concatenate(list(weights.values())))
            policies = policies.reshape(len(weights), len(places), -1)
            returns[period] = {
                which: np.array(
                    [
                        _return(evaluation, agents[place], policy, place)
                        for place, policy in zip(places, made, strict=True)
                    ]
                )
                for which, made in zip(weights, policies, strict=True)
            }
            for rank in ranks:
                figures[f"moved/{rank}/{period}"] = rebuilt.moved[rank]
                figures[f"snapshots_averaged/{rank}/{period}"] = rebuilt.snapshots_averaged[rank]
        result = changes_told(returns, ranks)
        return Result(result.series, {**result.figures, **figures})

    def _agents(self, run: RecordedRun, rows: np.ndarray) -> dict[int, LearningAgent]:
        """The agents at the checkpoints by the place of their newest snapshot among `rows`."""
        agents = {}
        for _, agent in run.agents(every=self.settings.every):
            newest = agent.groups[agent.policy].steps // self.settings.path_every
            agents[int(np.searchsorted(rows, newest, "right")) - 1] = agent
        return agents


def _return(evaluation: Evaluation, agent: LearningAgent, policy: np.ndarray, number: int) -> float:
    """The mean return of an agent with other parameters [m] of its policy; it keeps its own."""
    flat = agent.groups[agent.policy].parameters.flat
    own = flat.clone()
    flat.copy_(torch.from_numpy(policy)[None])
    try:
        return float(evaluation.returns(agent.greedy, number).mean())
    finally:
        flat.copy_(own)


Which = tuple[str, int]
"""What is made of a policy, "trimmed" or "averaged", and the rank; `OWN` is the policy itself."""
OWN: Which = ("own", 0)


@dataclass(frozen=True)
class Rebuilt:
    """What is made of p policies of a path with n snapshots.

    weights: those of the snapshots, [p, n]. By rank, `moved`: how far trimming moves policies over
    the distance of the path's ends; `snapshots_averaged`: so many that averaging does the same.
    """

    weights: dict[Which, np.ndarray]
    moved: dict[int, float]
    snapshots_averaged: dict[int, float]


def rebuild(gram: np.ndarray, places: np.ndarray, ranks: Sequence[int]) -> Rebuilt:
    """The policies at some places of a path, trimmed to ranks below the number n of snapshots and
    averaged, by the path's Gram matrix [n, n]."""
    count = len(gram)
    own = np.eye(count)[places]
    rebuilt = Rebuilt({OWN: own}, {}, {})
    _, vectors = np.linalg.eigh(gram)
    centred = gram - gram[:1] - gram[:, :1] + gram[0, 0]  # of sums whose weights cancel
    means = [mean_around(count, places, wing) for wing in range(count)]
    moves_of_means = np.array([_lengths(centred, mean - own).mean() for mean in means])
    for rank in ranks:
        leading = vectors[:, count - rank :]
        trimmed = leading[places] @ leading.T
        moves = _lengths(gram, trimmed - own).mean()
        mean = means[int(np.argmin(np.abs(moves_of_means - moves)))]
        rebuilt.weights["trimmed", rank] = trimmed
        rebuilt.weights["averaged", rank] = mean
        rebuilt.moved[rank] = float(moves / np.sqrt(centred[-1, -1]))
        rebuilt.snapshots_averaged[rank] = float((mean > 0).sum(axis=1).mean())
    return rebuilt


def mean_around(count: int, places: np.ndarray, wing: int) -> np.ndarray:
    """Weights [p, n] of the mean of the snapshots at most `wing` places away."""
    near = np.abs(np.arange(count) - places[:, None]) <= wing
    return np.asarray(near / near.sum(axis=1, keepdims=True))


def _lengths(gram: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The norms [c] of sums of the snapshots with weights [c, n]."""
    energies = ((weights @ gram) * weights).sum(axis=1)
    return np.asarray(np.sqrt(np.clip(energies, 0.0, None)))


def changes_told(returns: Mapping[str, Mapping[Which, np.ndarray]], ranks: Sequence[int]) -> Result:
    """Figures and series of the returns [p] of policies, by period and by what was made of them."""
    kinds = next(iter(returns.values()))
    together = {which: np.concatenate([one[which] for one in returns.values()]) for which in kinds}
    span = float(np.ptp(together[OWN]))
    figures: dict[str, float] = {"span": span}
    series: dict[str, Points] = {}
    for period, found in {**returns, "all": together}.items():
        figures[f"policies/{period}"] = float(len(found[OWN]))
        figures[f"return/{period}"] = float(found[OWN].mean())
        trimmed = {rank: found["trimmed", rank] - found[OWN] for rank in ranks}
        averaged = {rank: found["averaged", rank] - found[OWN] for rank in ranks}
        sizes = [float(np.abs(change).mean()) for change in trimmed.values()]
        for rank, change in trimmed.items():
            means = {
                "trimmed": change,
                "trimmed_size": np.abs(change),
                "averaged": averaged[rank],
                "averaged_size": np.abs(averaged[rank]),
                "trimmed_less_averaged": change - averaged[rank],
            }
            for what, values in means.items():
                figures[f"{what}/{rank}/{period}"] = _over(float(values.mean()), span)
            figures[f"better/{rank}/{period}"] = float((1 + np.sign(change)).mean() / 2)
        if ranks:
            figures[f"size_falls/{period}"] = _over(sizes[0] - sizes[-1], span)
        table = {
            "mean": [change.mean() for change in trimmed.values()],
            "mean_size": sizes,
            "largest": [change.max() for change in trimmed.values()],
            "smallest": [change.min() for change in trimmed.values()],
            "averaged_mean": [change.mean() for change in averaged.values()],
        }
        series |= {f"{what}/{period}": (np.array(ranks), np.array(v)) for what, v in table.items()}
    return Result(series, figures)


def _over(change: float, span: float) -> float:
    """A change in spans, unknown where all policies return the same."""
    return change / span if span > 0 else np.nan
