"""Claims on made-up seeds of known truth, for `suite.stats.simulation`.

Without an effect a claim lies exactly on its bound, where a false 'supported' is most likely. What
"without an effect" means depends on what is compared. Means of two cells: their seeds are alike,
whatever their shape. A typical seed (a median): as many seeds lie above the bound as below it,
whatever their shape.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
from pydantic import TypeAdapter

from suite.specs.claims import ClaimSpec
from suite.stats.columns import Column, Columns, coefficient

Effect = Literal["none", "stated", "opposite"]
EFFECTS: tuple[Effect, ...] = get_args(Effect)
TASKS = ("a", "b", "c", "d")

Draw = Callable[[np.random.Generator, float, int], Columns]


@dataclass(frozen=True)
class Shape:
    """How seeds spread: `draw` [n] anyhow, `centred` [n] with as many above zero as below."""

    name: str
    says: str
    draw: Callable[[np.random.Generator, int], np.ndarray]
    centred: Callable[[np.random.Generator, int], np.ndarray]


def _two_modes(share: float, noise: float, rng: np.random.Generator, n: int) -> np.ndarray:
    return (rng.random(n) < share) + noise * rng.normal(size=n)


def _about_half(noise: float, rng: np.random.Generator, n: int) -> np.ndarray:
    return _two_modes(0.5, noise, rng, n) - 0.5


def _normal(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.normal(size=n)


def _heavy(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.standard_t(2, size=n)


SHAPES: tuple[Shape, ...] = (
    Shape("normal", "normal seeds", _normal, _normal),
    Shape(
        "two-point",
        "a seed is solved (1) in nine of ten cases, or fails (0)",
        partial(_two_modes, 0.9, 0.0),
        partial(_about_half, 0.0),
    ),
    Shape(
        "bimodal",
        "a seed gets near 1 in eight of ten cases, or stays near 0, with noise of 0.05",
        partial(_two_modes, 0.8, 0.05),
        partial(_about_half, 0.05),
    ),
    Shape(
        "skewed",
        "lognormal seeds",
        lambda rng, n: rng.lognormal(size=n),
        lambda rng, n: rng.lognormal(size=n) - 1,
    ),
    Shape("heavy-tailed", "Student's t with two degrees of freedom", _heavy, _heavy),
    Shape(
        "zero-spread",
        "all seeds are equal",
        lambda rng, n: np.ones(n),
        lambda rng, n: np.zeros(n),
    ),
)
NORMAL = SHAPES[0]


@dataclass(frozen=True)
class Scenario:
    """A claim, how its columns are drawn for an effect and a number of seeds, and what the three
    effects are, as numbers and in words."""

    name: str
    claim: ClaimSpec
    draw: Draw
    effects: Mapping[Effect, float]
    says: str


def scenarios(shape: Shape = NORMAL) -> tuple[Scenario, ...]:
    """A scenario for each kind of claim, on seeds of this shape."""
    return (
        Scenario(
            "difference",
            _claim(kind="difference", **_sides("a", paired=False, direction="greater")),
            _alike(shape, "a"),
            _shift(2.0),
            "unpaired, one task; 2 standard deviations between seeds, up or down",
        ),
        Scenario(
            "difference, paired",
            _claim(kind="difference", **_sides("a", paired=True, direction="greater")),
            _alike(shape, "a", shared=3.0),
            _shift(2.0),
            "seeds share three times what they do not; 2 standard deviations of the rest",
        ),
        Scenario(
            "difference, IQM",
            _claim(
                kind="difference",
                aggregate="iqm",
                **_sides(TASKS, paired=False, direction="greater"),
            ),
            _alike(shape, TASKS),
            _shift(1.2),
            "IQM over four tasks; 1.2 standard deviations",
        ),
        Scenario(
            "ratio",
            _claim(kind="ratio", **_sides("a", paired=False, direction="greater", bound=1.0)),
            _alike(shape, "a", level=6.0),
            _shift(2.0),
            "control at 6 standard deviations above zero; a third more or less",
        ),
        Scenario(
            "gains",
            _claim(kind="gains", more=_gain("auc"), than=_gain("score")),
            partial(_two_gains, shape),
            _shift(2.0),
            "two figures of a seed, controls at 6 standard deviations above zero, which share half "
            "of their variance; the treatment adds a third more to the first, or takes it off",
        ),
        Scenario(
            "across",
            _claim(
                kind="across",
                summary="range",
                treatment=tuple(_cell("a", f"x{i}") for i in range(4)),
                control=tuple(_cell("a", f"y{i}") for i in range(4)),
                direction="greater",
            ),
            partial(_spreads, shape),
            _shift(5.0),
            "ranges over four cells a side; 5 standard deviations more between the first and the "
            "last of the treatment, or of the control",
        ),
        Scenario(
            "ordering",
            _claim(
                kind="ordering",
                levels=tuple(_cell("a", f"x{i}") for i in range(3)),
                paired=False,
                direction="decreasing",
            ),
            partial(_steps, shape),
            _shift(2.5),
            "three levels; steps of 2.5 standard deviations down, or up; none: the first step is "
            "there, the second is not",
        ),
        Scenario(
            "threshold",
            _claim(kind="threshold", measured=(_cell("a", "none"),), direction="above", bound=0.0),
            partial(_typical, shape),
            _shift(2.0),
            "one cell, two standard deviations above or below the bound",
        ),
        Scenario(
            "equivalence",
            _claim(kind="equivalence", **_sides("a", margin=2.0)),
            partial(_apart, shape),
            {"none": 2.0, "stated": 0.0, "opposite": 4.0},
            "margin of 2 standard deviations of a seed's difference; none: the typical difference "
            "is the margin; stated: there is none; opposite: twice the margin",
        ),
        Scenario(
            "correlation of series",
            _claim(
                kind="correlation",
                pair={"series": ("x", "y")},
                method="spearman",
                measured=(_cell("a", "none"),),
                direction="above",
            ),
            partial(_walks, shape),
            _shift(1.5),
            "two walks of 50 steps of this shape; unrelated, or the second is one and a half times "
            "the first (or its negative) and a walk of its own",
        ),
        Scenario(
            "correlation of figures",
            _claim(
                kind="correlation",
                pair={"figures": ("x", "y")},
                method="spearman",
                measured=(_cell("a", "none"), _cell("b", "none")),
                direction="above",
            ),
            partial(_figures, shape),
            _shift(0.8),
            "over the runs of two cells, twice the seeds; unrelated, or the second is 0.8 times "
            "the first (or its negative) and 0.6 times one of its own",
        ),
        Scenario(
            "cost",
            _claim(
                kind="cost", clock={"seconds": "x"}, measured=(_cell("a", "none"),), bound=1.0
            ),
            partial(_clocks, shape),
            {"none": 1.0, "stated": 0.6, "opposite": 1.7},
            "a clock for each seed, 20 % noise; at the bound, 40 % below, 70 % above",
        ),
    )  # fmt: skip


def selection() -> Scenario:
    """A difference that choosing among settings makes."""
    return Scenario(
        "difference, best of 12",
        _claim(
            kind="difference",
            null={"name": "best_of_n", "n": 12, "must_be_beaten": True},
            **_sides("a", paired=False, direction="greater"),
        ),
        _best_of_12,
        _shift(2.0),
        "the treatment is the best of 12 settings without effect, and the selection null must be "
        "beaten; 2 standard deviations on top, or taken off",
    )


def _cell(task: str, plugin: str) -> str:
    return f"{task}--agent--{plugin}"


def _claim(**parts: Any) -> ClaimSpec:
    common = {
        "id": "toy-C1",
        "kind_of_claim": "ours",
        "source": "simulated",
        "says": "simulated",
        "reported": "nothing",
        "settled_at": "smoke",
        "settled_because": "simulated",
    }
    if parts["kind"] not in ("cost", "correlation", "gains"):
        common["figure"] = "x"
    claim: ClaimSpec = TypeAdapter(ClaimSpec).validate_python(common | parts)
    return claim


def _sides(tasks: Sequence[str], **parts: Any) -> dict[str, Any]:
    sides: dict[str, Any] = {
        "treatment": tuple(_cell(task, "plugin") for task in tasks),
        "control": tuple(_cell(task, "none") for task in tasks),
    }
    return sides | parts


def _gain(figure: str) -> dict[str, Any]:
    return _sides("a", figure=figure)


def _two_gains(shape: Shape, rng: np.random.Generator, effect: float, seeds: int) -> Columns:
    found = {}
    for plugin, gain in (("none", 0.0), ("plugin", effect)):
        both, *own = (shape.draw(rng, seeds) for _ in range(3))
        values = 6.0 + np.stack([(both + part) / np.sqrt(2) for part in own], axis=-1)
        values[:, 0] += gain
        found[_cell("a", plugin)] = Column(tuple(range(seeds)), values, 0.0)
    return found


def _spreads(shape: Shape, rng: np.random.Generator, effect: float, seeds: int) -> Columns:
    apart = {"x": max(effect, 0.0), "y": max(-effect, 0.0)}
    return _columns(
        {
            _cell("a", f"{side}{i}"): i * more / 3 + shape.draw(rng, seeds)
            for side, more in apart.items()
            for i in range(4)
        }
    )


def _columns(values: Mapping[str, np.ndarray]) -> dict[str, Column]:
    return {cell: Column(tuple(range(len(x))), x) for cell, x in values.items()}


def _alike(shape: Shape, tasks: Sequence[str], level: float = 0.0, shared: float = 0.0) -> Draw:
    """Treated and untreated seeds of one shape, `shared` being the deviation of what a seed adds to
    both sides."""

    def draw(rng: np.random.Generator, effect: float, seeds: int) -> Columns:
        values = {}
        for task in tasks:
            both = shared * rng.normal(size=seeds)
            values[_cell(task, "none")] = level + both + shape.draw(rng, seeds)
            values[_cell(task, "plugin")] = level + effect + both + shape.draw(rng, seeds)
        return _columns(values)

    return draw


def _best_of_12(rng: np.random.Generator, effect: float, seeds: int) -> Columns:
    settings = rng.normal(size=(12, seeds))
    best = settings[settings.mean(axis=1).argmax()]
    control = rng.normal(size=seeds)
    return _columns({_cell("a", "none"): control, _cell("a", "plugin"): effect + best})


def _steps(shape: Shape, rng: np.random.Generator, effect: float, seeds: int) -> Columns:
    # Without an effect the first step is there and the second is not: the hardest case.
    levels = (0.0, -4.0, -4.0) if effect == 0 else (0.0, -effect, -2 * effect)
    return _columns(
        {_cell("a", f"x{i}"): level + shape.draw(rng, seeds) for i, level in enumerate(levels)}
    )


def _typical(shape: Shape, rng: np.random.Generator, effect: float, seeds: int) -> Columns:
    return _columns({_cell("a", "none"): effect + shape.centred(rng, seeds)})


def _apart(shape: Shape, rng: np.random.Generator, effect: float, seeds: int) -> Columns:
    control = rng.normal(size=seeds)
    treatment = control + effect + shape.centred(rng, seeds)
    return _columns({_cell("a", "none"): control, _cell("a", "plugin"): treatment})


def _walks(shape: Shape, rng: np.random.Generator, effect: float, seeds: int) -> Columns:
    steps = shape.centred(rng, 2 * seeds * 50).reshape(2, seeds, 50)
    first, own = steps.cumsum(axis=-1)
    # Where walks drift, unrelated ones drift the same way in half of the cases.
    own = own * rng.choice([-1.0, 1.0], size=(seeds, 1))
    found = coefficient("spearman", first, effect * first + own)
    return _columns({_cell("a", "none"): found})


def _figures(shape: Shape, rng: np.random.Generator, effect: float, seeds: int) -> Columns:
    first, own = shape.draw(rng, 4 * seeds).reshape(2, 2, seeds)
    second = effect * first + np.sqrt(1 - effect**2) * own
    cells = (_cell("a", "none"), _cell("b", "none"))
    return _columns({c: np.stack(xy, axis=-1) for c, *xy in zip(cells, first, second, strict=True)})


def _clocks(shape: Shape, rng: np.random.Generator, effect: float, seeds: int) -> Columns:
    return _columns({_cell("a", "none"): effect * np.exp(0.2 * shape.centred(rng, seeds))})


def _shift(size: float) -> dict[Effect, float]:
    return {"none": 0.0, "stated": size, "opposite": -size}
