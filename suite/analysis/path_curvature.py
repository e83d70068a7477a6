"""How much of a policy's path, and of what PPTB keeps of it, lies where the loss is most curved."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel, Field

from suite.analysis.checkpoint_data import checkpoints_with_data
from suite.analysis.curvature import hessian_of
from suite.analysis.derivatives import gradient_of
from suite.analysis.eigenpairs import Order, block_lanczos
from suite.analysis.protocol import Diagnostic, LookSettings, RecordedRun, Result
from suite.analysis.subspaces import chance, fractions
from suite.stacked.parameters import ParameterGroup

ORDERS: tuple[Order, ...] = ("algebraic", "magnitude")
TINY = float(np.finfo(float).tiny)
PURPOSE = "analysis/path_curvature"


class PathCurvatureSettings(LookSettings):
    """Settings of the analysis of a path's curvature."""

    every: int = Field(default=1, ge=1, description="evaluations between checkpoints")
    path_every: int = Field(default=25, ge=1, description="policy updates between snapshots")
    window: int = Field(default=40, ge=2, description="snapshots before a checkpoint")
    kept: int = Field(default=8, ge=1, description="directions that PPTB keeps (r_t)")
    dimensions: int = Field(default=25, ge=1, description="k, eigenvectors of the Hessian")
    samples: int = Field(default=4000, ge=64, description="samples of the precise loss")


class PathCurvature:
    """The policy's path before each checkpoint against its Hessian's subspace there (PPTB paper
    Alg. 1; gradient-subspaces paper Eq. 5 and 7), of the k eigenvectors that are first in an order.

    Series over the checkpoints that a whole window of snapshots precedes: `gradient/<order>`,
    `steps/<order>`, `displacement/<order>`, the share in the subspace of the squared length of the
    precise gradient, of all differences between snapshots, of that between the last and the first;
    `kept/<order>` and `kept_centred/<order>`, that of an average unit vector of the space that PPTB
    would keep of the window, by its SVD as it is and less its mean; `random_steps/<order>`, that of
    random steps which move each parameter as far as the path's do; `chance`, k / n. And
    `steps_less_random/<order>`, and `kept_times_chance/<order>` of the centred SVD.

    Figures of the same names are the means over these checkpoints. Raises ValueError as
    `gradient_subspaces` does, and when no window is full.
    """

    VERSION: ClassVar[int] = 1
    Settings: ClassVar[type[BaseModel]] = PathCurvatureSettings
    DIAGNOSTICS: ClassVar[tuple[Diagnostic, ...]] = (
        Diagnostic("gradient/algebraic"),
        Diagnostic("steps/algebraic"),
        Diagnostic("random_steps/algebraic"),
        Diagnostic("displacement/algebraic"),
        Diagnostic("kept_centred/algebraic"),
    )

    def __init__(self, settings: PathCurvatureSettings) -> None:
        self.settings = settings

    def recordings(self) -> tuple[tuple[str, dict[str, Any]], ...]:
        path = {"every": self.settings.path_every}
        return (("checkpoints", {"every": self.settings.every}), ("path", path))

    def analyse(self, run: RecordedRun) -> Result:
        s = self.settings
        path = run.path(every=s.path_every)
        snapshots = path.columns()
        steps: list[int] = []
        values: dict[str, list[float]] = {}
        for step, agent, data in checkpoints_with_data(
            run, PURPOSE, every=s.every, precise=s.samples, estimate=0
        ):
            group, loss = agent.groups[agent.policy], agent.losses()[agent.policy]
            precise = data.precise
            last = group.steps // s.path_every
            window = snapshots[max(0, last + 1 - s.window) : last + 1, : _size(group)]
            if len(window) < s.window or not np.isfinite(window).all():
                continue
            steps.append(step)
            found = block_lanczos(
                hessian_of(group, loss, precise), s.dimensions, ORDERS, seed=run.spec.seed
            )
            gradient = gradient_of(group, loss, precise).flatten().cpu().numpy()
            at_chance = chance(s.dimensions, _size(group))
            values.setdefault("chance", []).append(at_chance)
            for order, pairs in found.items():
                shares = self._shares(pairs.flat.cpu().numpy(), window.astype(float), gradient)
                shares["steps_less_random"] = shares["steps"] - shares["random_steps"]
                shares["kept_times_chance"] = shares["kept_centred"] / at_chance
                for name, share in shares.items():
                    values.setdefault(f"{name}/{order}", []).append(share)
        if not steps:
            raise ValueError(
                f"no checkpoint follows {s.window} snapshots of the policy, {s.path_every} updates "
                "apart: ask for a smaller `window` or `path_every`"
            )
        at = np.array(steps)
        return Result(
            {name: (at, np.array(series)) for name, series in values.items()},
            {name: float(np.mean(series)) for name, series in values.items()},
        )

    def _shares(
        self, basis: np.ndarray, window: np.ndarray, gradient: np.ndarray
    ) -> dict[str, float]:
        moves = np.diff(window, axis=0)
        sizes = (moves**2).sum(axis=0)
        return {
            "gradient": float(fractions(basis, gradient)[-1]),
            "steps": _share(basis, moves),
            "displacement": _share(basis, moves.sum(axis=0, keepdims=True)),
            "kept": _share(basis, self._kept(window)),
            "kept_centred": _share(basis, self._kept(window - window.mean(axis=0))),
            # Signs at random: of each parameter's squared moves, that share on average.
            "random_steps": float((basis**2).sum(axis=1) @ sizes) / max(sizes.sum(), TINY),
        }

    def _kept(self, window: np.ndarray) -> np.ndarray:
        """The leading right singular vectors [kept, n]."""
        found: np.ndarray = np.linalg.svd(window, full_matrices=False)[2][: self.settings.kept]
        return found


def _share(basis: np.ndarray, rows: np.ndarray) -> float:
    """Share in the span of the basis [n, k] of the squared length of all rows [r, n]."""
    length = float((rows**2).sum())
    return float(((rows @ basis) ** 2).sum()) / length if length else float("nan")


def _size(group: ParameterGroup) -> int:
    """Parameters of the policy, without padding."""
    return group.network.parameter_slices()[-1].stop
