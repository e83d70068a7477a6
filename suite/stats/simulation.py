"""How often each verdict comes out when the truth is known: `python -m suite.stats.simulation`.

Every kind of claim is judged on made-up seeds without an effect, with a stated effect, and with
the opposite one. Without an effect a claim lies exactly on its bound, where a false 'supported' is
most likely. The rules are those of verdicts (`suite.stats.rules`); scales, failed seeds and
preconditions play no part here.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
from pydantic import TypeAdapter

from suite.specs.claims import ClaimSpec
from suite.stats.columns import Column, Columns, UnsettledError, coefficient
from suite.stats.intervals import CONFIDENCE, NoIntervalError, Precision
from suite.stats.nulls import beaten, resolve
from suite.stats.rules import compare, decide, deciding
from suite.stats.runs import Run
from suite.stats.sequential import Looks

Effect = Literal["none", "stated", "opposite"]
Outcome = Literal["supported", "contradicted", "inconclusive"]
EFFECTS: tuple[Effect, ...] = get_args(Effect)
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
SEEDS = (3, 6, 10)
RESAMPLES = 500
TASKS = ("a", "b", "c", "d")

Draw = Callable[[np.random.Generator, float, int], Columns]


@dataclass(frozen=True)
class Scenario:
    """A claim, how its columns are drawn for an effect and a number of seeds, and what the three
    effects are, as numbers and in words."""

    name: str
    claim: ClaimSpec
    draw: Draw
    effects: Mapping[Effect, float]
    says: str


def outcome(scenario: Scenario, columns: Columns, precision: Precision) -> Outcome:
    """What the claim's rule says of these columns."""
    try:
        # Intervals contain Student's t: where that leaves the claim open, so do they.
        student = replace(precision, resamples=0)
        if decide(compare(scenario.claim, columns, student)) == "inconclusive":
            return "inconclusive"
        bounds = compare(scenario.claim, columns, precision)
    except (NoIntervalError, UnsettledError):
        return "inconclusive"
    found = decide(bounds)
    # A null is drawn only where it can matter.
    if found == "supported" and scenario.claim.null is not None:
        null = resolve(scenario.claim, _as_runs(columns))
        return decide(bounds, beaten=beaten(null, deciding(bounds)))
    return found


def rates(
    scenario: Scenario, effect: Effect, seeds: int, *, trials: int, resamples: int = RESAMPLES
) -> dict[Outcome, float]:
    """Share of trials with each outcome, all seeds looked at once."""
    rng = np.random.default_rng([EFFECTS.index(effect), seeds])
    precision = Precision(CONFIDENCE, resamples)
    found = Counter(
        outcome(scenario, scenario.draw(rng, scenario.effects[effect], seeds), precision)
        for _ in range(trials)
    )
    return {name: found[name] / trials for name in OUTCOMES}


def rates_with_looks(
    scenario: Scenario,
    effect: Effect,
    looks: Looks,
    *,
    trials: int,
    resamples: int = RESAMPLES,
) -> tuple[dict[Outcome, float], float]:
    """Share of trials with each outcome when one stops at the first look that decides, and the mean
    number of seeds used."""
    rng = np.random.default_rng([EFFECTS.index(effect), *looks.seeds])
    found: Counter[Outcome] = Counter()
    used = 0
    for _ in range(trials):
        columns = scenario.draw(rng, scenario.effects[effect], looks.seeds[-1])
        for look, seeds in enumerate(looks.seeds):
            precision = Precision(looks.confidence(look), resamples)
            seen = outcome(scenario, _first(columns, seeds), precision)
            if seen != "inconclusive":
                break
        found[seen] += 1
        used += seeds
    return {name: found[name] / trials for name in OUTCOMES}, used / trials


def table(scenarios: Sequence[Scenario], trials: int) -> str:
    """Markdown: supported / contradicted / inconclusive in per cent, by claim, effect and seeds."""
    looks = Looks(SEEDS)
    heads = [f"{seeds} seeds" for seeds in SEEDS]
    heads += [f"looks at {', '.join(map(str, SEEDS))}", "seeds used"]
    lines = [
        f"| claim | effect | {' | '.join(heads)} |",
        f"|---|---|{'---|' * len(heads)}",
    ]
    for scenario in scenarios:
        for effect in EFFECTS:
            cells = [_told(rates(scenario, effect, seeds, trials=trials)) for seeds in SEEDS]
            found, used = rates_with_looks(scenario, effect, looks, trials=trials)
            cells += [_told(found), f"{used:.1f}"]
            name = scenario.name if effect == "none" else ""
            lines.append(f"| {name} | {effect} | {' | '.join(cells)} |")
    return "\n".join(lines)


def legend(scenarios: Sequence[Scenario]) -> str:
    """Markdown: what the effects of each scenario are."""
    return "\n".join(f"- **{scenario.name}**: {scenario.says}" for scenario in scenarios)


def _told(found: Mapping[Outcome, float]) -> str:
    return " / ".join(f"{100 * found[name]:.1f}" for name in OUTCOMES)


def _first(columns: Columns, seeds: int) -> dict[str, Column]:
    return {
        cell: Column(column.seeds[:seeds], column.values[:seeds])
        for cell, column in columns.items()
    }


def _as_runs(columns: Columns) -> dict[str, list[Run]]:
    return {
        cell: [
            Run(f"{cell}{seed}", cell, "smoke", seed, "done", spec={"task": {}}, figures={"x": x})
            for seed, x in zip(column.seeds, column.values.tolist(), strict=True)
        ]
        for cell, column in columns.items()
    }


# Scenarios.


def _cell(task: str, plugin: str) -> str:
    return f"{task}--agent--{plugin}"


def _claim(**parts: Any) -> ClaimSpec:
    common = {
        "id": "toy-C1",
        "source": "simulated",
        "says": "simulated",
        "reported": "nothing",
        "falsified_if": "simulated",
        "settled_at": "smoke",
    }
    if parts["kind"] not in ("cost", "correlation"):
        common["figure"] = "x"
    claim: ClaimSpec = TypeAdapter(ClaimSpec).validate_python(common | parts)
    return claim


def _sides(tasks: Sequence[str], **parts: Any) -> dict[str, Any]:
    sides: dict[str, Any] = {
        "treatment": tuple(_cell(task, "plugin") for task in tasks),
        "control": tuple(_cell(task, "none") for task in tasks),
    }
    return sides | parts


def _columns(values: Mapping[str, np.ndarray]) -> dict[str, Column]:
    return {cell: Column(tuple(range(len(x))), x) for cell, x in values.items()}


def _normal(tasks: Sequence[str], level: float = 0.0, shared: float = 0.0) -> Draw:
    """Treated and untreated seeds of unit deviation, `shared` being that of what a seed adds to
    both sides."""

    def draw(rng: np.random.Generator, effect: float, seeds: int) -> Columns:
        values = {}
        for task in tasks:
            both = shared * rng.normal(size=seeds)
            values[_cell(task, "none")] = level + both + rng.normal(size=seeds)
            values[_cell(task, "plugin")] = level + effect + both + rng.normal(size=seeds)
        return _columns(values)

    return draw


def _skewed(rng: np.random.Generator, effect: float, seeds: int) -> Columns:
    def side(add: float) -> np.ndarray:
        return np.asarray(add + rng.lognormal(size=seeds))

    return _columns({_cell("a", "none"): side(0.0), _cell("a", "plugin"): side(effect)})


def _best_of_12(rng: np.random.Generator, effect: float, seeds: int) -> Columns:
    settings = rng.normal(size=(12, seeds))
    best = settings[settings.mean(axis=1).argmax()]
    control = rng.normal(size=seeds)
    return _columns({_cell("a", "none"): control, _cell("a", "plugin"): effect + best})


def _steps(rng: np.random.Generator, effect: float, seeds: int) -> Columns:
    # Without an effect the first step is there and the second is not: the hardest case.
    levels = (0.0, -4.0, -4.0) if effect == 0 else (0.0, -effect, -2 * effect)
    values = {_cell("a", f"x{i}"): level + rng.normal(size=seeds) for i, level in enumerate(levels)}
    return _columns(values)


def _one(rng: np.random.Generator, effect: float, seeds: int) -> Columns:
    return _columns({_cell("a", "none"): effect + rng.normal(size=seeds)})


def _lognormal(deviation: float, rng: np.random.Generator, effect: float, seeds: int) -> Columns:
    mean = np.exp(deviation**2 / 2)
    return _columns({_cell("a", "none"): effect + rng.lognormal(0.0, deviation, seeds) - mean})


def _walks(rng: np.random.Generator, effect: float, seeds: int) -> Columns:
    first, own = rng.normal(size=(2, seeds, 50)).cumsum(axis=-1)
    found = coefficient("spearman", first, effect * first + own)
    return _columns({_cell("a", "none"): found})


def _figures(rng: np.random.Generator, effect: float, seeds: int) -> Columns:
    cells = (_cell("a", "none"), _cell("b", "none"))
    first = rng.normal(size=(2, seeds))
    second = effect * first + np.sqrt(1 - effect**2) * rng.normal(size=(2, seeds))
    return _columns({c: np.stack(xy, axis=-1) for c, *xy in zip(cells, first, second, strict=True)})


def _clocks(rng: np.random.Generator, effect: float, seeds: int) -> Columns:
    return _columns({_cell("a", "none"): effect * np.exp(0.2 * rng.normal(size=seeds))})


def _shift(size: float) -> dict[Effect, float]:
    return {"none": 0.0, "stated": size, "opposite": -size}


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "difference",
        _claim(kind="difference", **_sides("a", paired=False, direction="greater")),
        _normal("a"),
        _shift(2.0),
        "unpaired, one task; 2 standard deviations between seeds, up or down",
    ),
    Scenario(
        "difference, paired",
        _claim(kind="difference", **_sides("a", paired=True, direction="greater")),
        _normal("a", shared=3.0),
        _shift(2.0),
        "seeds share three times what they do not; 2 standard deviations of the rest",
    ),
    Scenario(
        "difference, IQM",
        _claim(
            kind="difference", aggregate="iqm", **_sides(TASKS, paired=False, direction="greater")
        ),
        _normal(TASKS),
        _shift(1.2),
        "IQM over four tasks; 1.2 standard deviations",
    ),
    Scenario(
        "difference, skewed",
        _claim(kind="difference", **_sides("a", paired=False, direction="greater")),
        _skewed,
        _shift(6.0),
        "lognormal seeds; 6 times the deviation of their logarithm",
    ),
    Scenario(
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
    ),
    Scenario(
        "ratio",
        _claim(kind="ratio", **_sides("a", paired=False, direction="greater", bound=1.0)),
        _normal("a", level=6.0),
        _shift(2.0),
        "control at 6 standard deviations above zero; a third more or less",
    ),
    Scenario(
        "ordering",
        _claim(
            kind="ordering",
            levels=tuple(_cell("a", f"x{i}") for i in range(3)),
            paired=False,
            direction="decreasing",
        ),
        _steps,
        _shift(2.5),
        "three levels; steps of 2.5 standard deviations down, or up; none: the first step is "
        "there, the second is not",
    ),
    Scenario(
        "threshold",
        _claim(kind="threshold", measured=(_cell("a", "none"),), direction="above", bound=0.0),
        _one,
        _shift(1.5),
        "one cell; 1.5 standard deviations above or below the bound",
    ),
    Scenario(
        "equivalence",
        _claim(kind="equivalence", **_sides("a", paired=False, margin=2.0)),
        _normal("a"),
        {"none": 2.0, "stated": 0.0, "opposite": 4.0},
        "margin of 2 standard deviations; none: the difference is the margin; stated: there is no "
        "difference; opposite: twice the margin",
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
        _walks,
        _shift(1.0),
        "two random walks of 50 steps; unrelated, or the second is the sum of the first (or its "
        "negative) and a walk of its own",
    ),
    Scenario(
        "correlation of figures",
        _claim(
            kind="correlation",
            pair={"figures": ("x", "y")},
            method="pearson",
            measured=(_cell("a", "none"), _cell("b", "none")),
            direction="above",
        ),
        _figures,
        _shift(0.8),
        "over the runs of two cells, twice the seeds; a correlation of 0.8 or -0.8",
    ),
    Scenario(
        "cost",
        _claim(
            kind="cost", clock={"seconds": "x"}, measured=(_cell("a", "none"),), bound=1.0
        ),
        _clocks,
        {"none": 1.0, "stated": 0.7, "opposite": 1.4},
        "a clock for each seed, 20 % noise; at the bound, 30 % below, 40 % above",
    ),
)  # fmt: skip

LIMITS: tuple[Scenario, ...] = tuple(
    Scenario(
        f"threshold, {word} skewed",
        _claim(kind="threshold", measured=(_cell("a", "none"),), direction="below", bound=0.0),
        partial(_lognormal, deviation),
        _shift(-2.0),
        f"one cell of lognormal seeds, deviation {deviation:g} of their logarithm; the claim is "
        "that the mean lies below a bound; it lies on it, or 2 below or above",
    )
    for word, deviation in (("mildly", 0.5), ("strongly", 1.0))
)
"""Where the rate of false support is above 5 %."""


def main() -> None:
    """Print the tables of docs/statistics.md."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    trials = parser.parse_args().trials
    error = 100 * (0.025 * 0.975 / trials) ** 0.5
    print(f"{trials} trials each; the standard error of a rate of 2.5 % is {error:.2f} %.\n")
    print(table(SCENARIOS, trials))
    print(f"\nEffects:\n\n{legend(SCENARIOS)}")
    print(f"\n### Where it is wrong more often\n\n{table(LIMITS, trials)}\n\n{legend(LIMITS)}")


if __name__ == "__main__":
    main()
