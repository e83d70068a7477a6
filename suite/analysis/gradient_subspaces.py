"""How much of a gradient lies where the loss is most curved, and how long that space lasts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import BaseModel, Field, field_validator
from scipy import stats

from suite.analysis.checkpoint_data import CheckpointData, checkpoints_with_data
from suite.analysis.curvature import explicit_hessian, hessian_of
from suite.analysis.derivatives import Loss, gradient_of
from suite.analysis.eigenpairs import Eigenpairs, Order, block_lanczos, explicit_eigenpairs
from suite.analysis.phases import PHASES, phases
from suite.analysis.protocol import Diagnostic, LookSettings, RecordedRun, Result
from suite.analysis.subspaces import chance, fractions, log_probability, overlaps, stability
from suite.stacked.parameters import ParameterGroup
from suite.stacked.replay import Batch

if TYPE_CHECKING:
    from baselines.sac import SAC
    from suite.training.learner import LearningAgent

ORDERS: tuple[Order, ...] = ("algebraic", "magnitude")
PURPOSE = "analysis/gradient_subspaces"
STEEP = 0.01  # of the largest eigenvalue
LATER = ("training", "convergence")


class GradientSubspacesSettings(LookSettings):
    """Settings of the analysis of gradient subspaces."""

    every: int = Field(default=1, ge=1, description="evaluations between checkpoints")
    dimensions: tuple[int, ...] = Field(
        default=(1, 5, 25), min_length=1, description="k, ascending; the last is the main one"
    )
    samples: int = Field(default=4000, ge=64, description="samples of the precise loss")
    estimate: int = Field(
        default=2048, ge=2, description="samples of mini-batches together, off-policy"
    )
    overlap_from: float = Field(
        default=0.1, ge=0, lt=1, description="share of the budget from which on spaces are compared"
    )
    smoothing: int = Field(
        default=20_000, ge=0, description="steps to either side over which phases smooth the return"
    )
    spectrum: bool = Field(default=False, description="whole Hessians, for all eigenvalues")
    tolerance: float = Field(default=1e-4, gt=0, description="residual over eigenvalue")
    precision: Literal["float32", "float64"] = "float32"
    legacy: bool = Field(
        default=False,
        description="besides, what two faults of the authors' code give: mini-batches of PPO with "
        "discount 0.99 and lambda 1, the actor of SAC without the gradient of Q",
    )

    @field_validator("dimensions")
    @classmethod
    def _ascending(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if list(value) != sorted(set(value)) or value[0] < 1:
            raise ValueError(f"dimensions {value} are not ascending numbers from 1 on")
        return value


class GradientSubspaces:
    """Fractions of gradients in the subspaces of high curvature, and how these change (Schneider et
    al., ICLR 2024), for every loss of a policy-gradient or value-based agent.

    A subspace is spanned by the k eigenvectors of a Hessian that come first in an order: signed
    (`algebraic`, the paper's) or by magnitude. Series `<what>/<group>/<order>` of the main k, and
    `<what>/<group>/<order>/<k>` of the smaller ones, over the recorded checkpoints, for what

    - `fraction`: of the precise gradient in the precise Hessian's subspace,
    - `estimated_gradient`: of gradients of mini-batches in it, the mean of their fractions,
    - `estimated`: of gradients of mini-batches in the subspace of their own Hessian,
    - `held_out`: of gradients of other mini-batches in that subspace,
    - `ceiling`: overlap of two precise subspaces from independent data,
    - `overlap`: with the subspace of the first checkpoint from `overlap_from` on,
    - `stability`: that overlap in units of the ceilings, 0 at chance.

    Of the main k, `times_chance/<what>/<group>/<order>`, `eigenvalue/<group>/<order>/1` and `/<k>`
    and their `gap`, `residual/<group>/<order>` (largest of its pairs, over the eigenvalue),
    `chance/<group>` (k / n), `log10_p/<group>/<order>` of a random
    subspace, and with `spectrum` `steep_share/<group>`, the share of |eigenvalues| beyond a
    hundredth of the largest eigenvalue. With `legacy`, `legacy_estimated` and `without_q` are what
    `estimated` and `fraction` would be, `without_q_difference` is how far the latter lies off.
    `final_spectrum/<group>` is over the eigenvalue's number from 1, not over steps: those of the
    last checkpoint that are known, descending.

    Figures `<what>/<group>/<order>/<phase>` are means of the main k's series over the checkpoints
    of a phase (initial, training, convergence; `later` is the last two together), unknown where it
    has none; `later` and what differs in a run, `critic_less_actor/...`, `later_less_initial/...`,
    `magnitude_less_algebraic/...`, `own_less_legacy/...`;
    `decay/<group>/<order>` is Spearman's correlation of the overlap with time, `plateau/<group>/
    <order>` the last overlap in units of chance; `phases_told` is 0 where the return never rose.
    Arrays: `eigenvalues/<group>/<order>` [E, k], with `spectrum` `spectrum/<group>` [E, n].

    Precise data are fresh: on-policy rollouts, or transitions as the replay would hold them. Raises
    ValueError for agents that do not act or that see pixels, and for too many dimensions.
    """

    VERSION: ClassVar[int] = 1
    Settings: ClassVar[type[BaseModel]] = GradientSubspacesSettings
    DIAGNOSTICS: ClassVar[tuple[Diagnostic, ...]] = (
        *(
            Diagnostic(f"{what}/{group}/algebraic")
            for what in ("fraction", "ceiling", "overlap", "residual")
            for group in ("actor", "critic", "q")
        ),
        Diagnostic("final_spectrum/*", over="number of the eigenvalue"),
    )

    def __init__(self, settings: GradientSubspacesSettings) -> None:
        self.settings = settings

    def recordings(self) -> tuple[tuple[str, dict[str, Any]], ...]:
        return (("checkpoints", {"every": self.settings.every}),)

    def analyse(self, run: RecordedRun) -> Result:
        s = self.settings
        checkpoints = Checkpoints(s, run.spec.seed, s.overlap_from * run.spec.budget)
        for step, agent, data in checkpoints_with_data(
            run, PURPOSE, every=s.every, precise=s.samples, estimate=s.estimate, legacy=s.legacy
        ):
            checkpoints.look(agent, step, data)
        return checkpoints.result(run.record["series"].get("train_return"))


class Checkpoints:
    """What was seen at the checkpoints so far: numbers by name, unknown where there is none."""

    def __init__(self, settings: GradientSubspacesSettings, seed: int, overlap_from: float) -> None:
        self.settings, self.seed, self.overlap_from = settings, seed, overlap_from
        self.searches = 0
        self.steps: list[int] = []
        self.values: dict[str, dict[int, float]] = {}
        self.spectra: dict[str, list[np.ndarray]] = {}
        self.groups: list[str] = []
        # The subspace that later ones are compared with, and its ceilings, by group and order.
        self.first: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def look(self, agent: LearningAgent, step: int, data: CheckpointData) -> None:
        """Take in a checkpoint."""
        self.steps.append(step)
        losses = agent.losses()
        self.groups = list(losses)
        for name, loss in losses.items():
            self._look(agent.groups[name], loss, data)
            if self.settings.legacy and data.legacy_batches:
                group, batches = agent.groups[name], data.legacy_batches
                pairs = self._pairs(group, loss, data.legacy_estimate)["algebraic"]
                gradients = self._gradients(group, loss, batches)
                self._record(
                    "legacy_estimated", name, "algebraic", _mean_fraction(pairs, gradients)
                )
        if self.settings.legacy and agent.kind == "sac":
            self._look_without_q(agent, data)

    def _look(self, group: ParameterGroup, loss: Loss, data: CheckpointData) -> None:
        name, k = group.name, self.settings.dimensions[-1]
        (gradient,) = self._gradients(group, loss, [data.precise])
        if k >= len(gradient):
            raise ValueError(
                f"{k} dimensions of group {name!r} that has {len(gradient)} parameters: ask for "
                "fewer `dimensions`"
            )
        gradients = self._gradients(group, loss, data.batches)
        others = self._gradients(group, loss, data.others)
        precise = self._precise_pairs(group, loss, data.precise)
        independent = self._pairs(group, loss, data.independent)
        estimate = self._pairs(group, loss, data.estimate)
        self._put(f"chance/{name}", chance(k, len(gradient)))
        for order in ORDERS:
            pairs = precise[order]
            whole = fractions(_basis(pairs), gradient)
            self._record("fraction", name, order, whole)
            self._record("estimated_gradient", name, order, _mean_fraction(pairs, gradients))
            self._record("estimated", name, order, _mean_fraction(estimate[order], gradients))
            self._record("held_out", name, order, _mean_fraction(estimate[order], others))
            ceiling = overlaps(_basis(pairs), _basis(independent[order]))
            self._record("ceiling", name, order, ceiling)
            self._compare(name, order, pairs, ceiling)
            value = log_probability(float(whole[-1]), k, len(gradient))
            self._put(f"log10_p/{name}/{order}", value)
            self._put(f"residual/{name}/{order}", float(pairs.residuals.max()))
            values = pairs.values.cpu().numpy()
            for place in (1, k):
                self._put(f"eigenvalue/{name}/{order}/{place}", float(values[place - 1]))
            last = values[-1] if values[-1] else np.nan
            self._put(f"gap/{name}/{order}", float(abs(values[0] / last)))
            self.spectra.setdefault(f"eigenvalues/{name}/{order}", []).append(values)

    def _compare(self, name: str, order: Order, pairs: Eigenpairs, ceiling: np.ndarray) -> None:
        """The overlap with the first subspace that counts, and its ceilings."""
        key, step, basis = f"{name}/{order}", self.steps[-1], _basis(pairs)
        if key not in self.first:
            if step >= self.overlap_from and step > 0:
                self.first[key] = basis, ceiling
            return
        first, first_ceiling = self.first[key]
        between, n = overlaps(first, basis), len(basis)
        self._record("overlap", name, order, between)
        stable = [
            stability(between[k - 1], (first_ceiling[k - 1], ceiling[k - 1]), k, n)
            for k in self.settings.dimensions
        ]
        for k, value in zip(self.settings.dimensions, stable, strict=True):
            self._put(self._name("stability", name, order, k), value)

    def _look_without_q(self, agent: LearningAgent, data: CheckpointData) -> None:
        """The fraction for SAC's actor when the loss is alpha log pi alone."""
        sac: SAC = agent  # type: ignore[assignment]

        def loss(parameters: Mapping[str, torch.Tensor], batch: Batch) -> torch.Tensor:
            assert batch.noise is not None
            _, log_prob = sac.sample(parameters, batch.observation, batch.noise)
            return (sac.temperature.value() * log_prob).mean(dim=1)

        group = agent.groups["actor"]
        pairs = self._pairs(group, loss, data.precise)["algebraic"]
        (gradient,) = self._gradients(group, loss, [data.precise])
        found = fractions(_basis(pairs), gradient)
        self._record("without_q", "actor", "algebraic", found)
        own = self.values["fraction/actor/algebraic"][len(self.steps) - 1]
        self._put("without_q_difference/actor/algebraic", abs(float(found[-1]) - own))

    def _precise_pairs(
        self, group: ParameterGroup, loss: Loss, batch: Any
    ) -> dict[Order, Eigenpairs]:
        if not self.settings.spectrum:
            return self._pairs(group, loss, batch)
        blocks = explicit_hessian(hessian_of(group, loss, batch, self._dtype))
        values = torch.linalg.eigvalsh(blocks).flatten().cpu().numpy()
        self.spectra.setdefault(f"spectrum/{group.name}", []).append(np.sort(values)[::-1])
        steep = float((np.abs(values) > STEEP * values.max()).mean())
        self._put(f"steep_share/{group.name}", steep)
        return explicit_eigenpairs(blocks, self.settings.dimensions[-1], ORDERS)

    def _pairs(self, group: ParameterGroup, loss: Loss, batch: Any) -> dict[Order, Eigenpairs]:
        hessian = hessian_of(group, loss, batch, self._dtype)
        k, tolerance = self.settings.dimensions[-1], self.settings.tolerance
        # Each begins elsewhere: directions that a Hessian says nothing about agree by chance alone.
        self.searches += 1
        return block_lanczos(hessian, k, ORDERS, tolerance, self.seed + (self.searches << 32))

    def _gradients(
        self, group: ParameterGroup, loss: Loss, batches: Iterable[Any]
    ) -> list[np.ndarray]:
        """The gradient [G * n] on each batch."""
        return [gradient_of(group, loss, x, self._dtype).flatten().cpu().numpy() for x in batches]

    @property
    def _dtype(self) -> torch.dtype:
        return {"float32": torch.float32, "float64": torch.float64}[self.settings.precision]

    def _record(self, what: str, group: str, order: Order, values: np.ndarray) -> None:
        """Keep the values [k] of subspaces of 1, 2, ..., k dimensions that were asked for, and how
        often the last one is chance."""
        for k in self.settings.dimensions:
            self._put(self._name(what, group, order, k), float(values[k - 1]))
        at_chance = self.values[f"chance/{group}"][len(self.steps) - 1]
        self._put(f"times_chance/{what}/{group}/{order}", float(values[-1]) / at_chance)

    def _name(self, what: str, group: str, order: Order, k: int) -> str:
        """The main k, whose number differs between networks, goes without saying."""
        name = f"{what}/{group}/{order}"
        return name if k == self.settings.dimensions[-1] else f"{name}/{k}"

    def _put(self, name: str, value: float) -> None:
        self.values.setdefault(name, {})[len(self.steps) - 1] = value

    def result(self, returns: Mapping[str, list[Any]] | None) -> Result:
        """Series over the checkpoints and figures by phase; `returns` is the training return."""
        at = np.array(self.steps)
        series = {
            name: (at[list(values)], np.array(list(values.values())))
            for name, values in self.values.items()
        }
        told = False
        found: Sequence[str] = ["initial"] * len(at)
        if returns is not None:
            known = np.array([np.nan if x is None else x for x in returns["value"]], float)
            found, told = phases(np.array(returns["step"]), known, at, self.settings.smoothing)
        members: dict[str, list[int]] = {
            phase: [i for i, one in enumerate(found) if one == phase] for phase in PHASES
        }
        members["later"] = [i for i, one in enumerate(found) if one in LATER] if told else []
        figures = {"phases_told": float(told)}
        figures |= {f"checkpoints/{phase}": float(len(own)) for phase, own in members.items()}
        figures |= self._by_phase(members)
        figures |= self._contrasts(figures)
        figures |= self._decay(at)
        for group in self.groups:
            name = (
                f"spectrum/{group}" if self.settings.spectrum else f"eigenvalues/{group}/algebraic"
            )
            for last in self.spectra.get(name, [])[-1:]:
                series[f"final_spectrum/{group}"] = np.arange(1, len(last) + 1), last
        arrays = {name: np.stack(rows) for name, rows in self.spectra.items()}
        return Result(series, figures, arrays)

    def _by_phase(self, members: Mapping[str, list[int]]) -> dict[str, float]:
        """The mean over a phase of every series whose name ends with no number, the largest
        `log10_p`."""
        figures = {}
        for name, values in self.values.items():
            if name.split("/")[-1].isdigit():
                continue
            for phase, own in members.items():
                here = [values[i] for i in own if i in values]
                # Every checkpoint has to be unlikely.
                typical = max if name.startswith("log10_p/") else np.mean
                value = float(typical(here)) if here else float("nan")
                figures[f"{name}/{phase}"] = value
        return figures

    def _contrasts(self, figures: Mapping[str, float]) -> dict[str, float]:
        """Differences within a run, between figures that a claim compares."""
        pairs: dict[str, tuple[str, str]] = {}
        for order in ORDERS:
            for phase in (*PHASES, "later"):
                for what in ("fraction", "stability"):
                    pairs[f"critic_less_actor/{what}/{order}/{phase}"] = (
                        f"{what}/critic/{order}/{phase}",
                        f"{what}/actor/{order}/{phase}",
                    )
            for group in self.groups:
                pairs[f"later_less_initial/fraction/{group}/{order}"] = (
                    f"fraction/{group}/{order}/later",
                    f"fraction/{group}/{order}/initial",
                )
        for group in self.groups:
            for phase in (*PHASES, "later"):
                pairs[f"magnitude_less_algebraic/fraction/{group}/{phase}"] = (
                    f"fraction/{group}/magnitude/{phase}",
                    f"fraction/{group}/algebraic/{phase}",
                )
        for phase in (*PHASES, "later"):
            pairs[f"own_less_legacy/estimated/critic/algebraic/{phase}"] = (
                f"estimated/critic/algebraic/{phase}",
                f"legacy_estimated/critic/algebraic/{phase}",
            )
        return {
            name: figures[one] - figures[other]
            for name, (one, other) in pairs.items()
            if one in figures and other in figures
        }

    def _decay(self, at: np.ndarray) -> dict[str, float]:
        """Spearman's correlation of the main k's overlaps with time, unknown for fewer than 3, and
        how often the last one is chance."""
        figures = {}
        for group in self.groups:
            for order in ORDERS:
                values = self.values.get(f"overlap/{group}/{order}", {})
                known = len(values) > 2 and len(set(values.values())) > 1
                figures[f"decay/{group}/{order}"] = (
                    float(stats.spearmanr(at[list(values)], list(values.values())).statistic)
                    if known
                    else float("nan")
                )
                last = self.values.get(f"times_chance/overlap/{group}/{order}", {0: float("nan")})
                figures[f"plateau/{group}/{order}"] = [*last.values()][-1]
        return figures


def _basis(pairs: Eigenpairs) -> np.ndarray:
    """The eigenvectors [G * n, k]."""
    return pairs.flat.cpu().numpy()


def _mean_fraction(pairs: Eigenpairs, gradients: Sequence[np.ndarray]) -> np.ndarray:
    """The mean over mini-batches of their gradients' fractions, [k]."""
    found: np.ndarray = np.mean([fractions(_basis(pairs), x) for x in gradients], axis=0)
    return found
