"""How often each verdict comes out when the truth is known: `python -m suite.stats.simulation`.

Every kind of claim is judged on made-up seeds (`suite.stats.scenarios`): of every shape without an
effect, and of normal ones with a stated effect and with the opposite one. The rules and the looks
are those of verdicts; scales, failed seeds and preconditions play no part here.
"""

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, get_args

import numpy as np

from suite.stats import sequential
from suite.stats.columns import Column, Columns, UnsettledError
from suite.stats.intervals import NoIntervalError, Precision
from suite.stats.nulls import beaten, resolve
from suite.stats.rules import compare, decide, deciding
from suite.stats.runs import Run
from suite.stats.scenarios import EFFECTS, SHAPES, Effect, Scenario, scenarios, selection

Outcome = Literal["supported", "contradicted", "inconclusive"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
SEEDS = (3, 5, 6, 10)
PLANNED = 6
LOOKS = 3
RESAMPLES = 500


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
    """Share of trials with each outcome at the first look, with so many planned seeds."""
    rng = np.random.default_rng([EFFECTS.index(effect), seeds])
    precision = Precision(sequential.confidence(0), resamples)
    found = Counter(
        outcome(scenario, scenario.draw(rng, scenario.effects[effect], seeds), precision)
        for _ in range(trials)
    )
    return {name: found[name] / trials for name in OUTCOMES}


def rates_with_looks(
    scenario: Scenario,
    effect: Effect,
    *,
    planned: int = PLANNED,
    looks: int = LOOKS,
    trials: int,
    resamples: int = RESAMPLES,
) -> tuple[dict[Outcome, float], float]:
    """Share of trials with each outcome when one stops at the first look that decides, and the mean
    number of seeds used."""
    rng = np.random.default_rng([EFFECTS.index(effect), planned, looks])
    found: Counter[Outcome] = Counter()
    used = 0
    for _ in range(trials):
        most = sequential.seeds(planned, looks - 1)
        columns = scenario.draw(rng, scenario.effects[effect], most)
        for look in range(looks):
            seeds = sequential.seeds(planned, look)
            precision = Precision(sequential.confidence(look), resamples)
            seen = outcome(scenario, _first(columns, seeds), precision)
            if seen != "inconclusive":
                break
        found[seen] += 1
        used += seeds
    return {name: found[name] / trials for name in OUTCOMES}, used / trials


def false_table(trials: int) -> str:
    """Markdown: false 'supported' and false 'contradicted' in per cent without an effect, by claim,
    shape of seeds and number of seeds."""
    lines = _head(["claim", "seeds are", *(f"{seeds} seeds" for seeds in SEEDS)])
    kinds = [scenarios(shape) for shape in SHAPES]
    for of_kind in zip(*kinds, strict=True):
        for shape, scenario in zip(SHAPES, of_kind, strict=True):
            found = [rates(scenario, "none", seeds, trials=trials) for seeds in SEEDS]
            name = scenario.name if shape is SHAPES[0] else ""
            lines.append(_row([name, shape.name, *map(_wrong, found)]))
    return "\n".join(lines)


def power_table(trials: int) -> str:
    """Markdown: supported / contradicted / inconclusive in per cent of normal seeds, by claim,
    effect and number of seeds, and with looks."""
    planned = [sequential.seeds(PLANNED, look) for look in range(LOOKS)]
    heads = [f"{seeds} seeds" for seeds in SEEDS]
    heads += [f"looks at {', '.join(map(str, planned))}", "seeds used"]
    lines = _head(["claim", "effect", *heads])
    for scenario in (*scenarios(), selection()):
        for effect in EFFECTS:
            cells = [_all(rates(scenario, effect, seeds, trials=trials)) for seeds in SEEDS]
            found, used = rates_with_looks(scenario, effect, trials=trials)
            name = scenario.name if effect == "none" else ""
            lines.append(_row([name, effect, *cells, _all(found), f"{used:.1f}"]))
    return "\n".join(lines)


def legend() -> str:
    """Markdown: what the shapes and the effects are."""
    told = [f"- **{shape.name}**: {shape.says}" for shape in SHAPES]
    told += ["", *(f"- **{one.name}**: {one.says}" for one in (*scenarios(), selection()))]
    return "\n".join(told)


def _head(columns: Sequence[str]) -> list[str]:
    return [_row(columns), "|" + "---|" * len(columns)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _wrong(found: Mapping[Outcome, float]) -> str:
    return f"{100 * found['supported']:.1f} / {100 * found['contradicted']:.1f}"


def _all(found: Mapping[Outcome, float]) -> str:
    return " / ".join(f"{100 * found[name]:.1f}" for name in OUTCOMES)


def _first(columns: Columns, seeds: int) -> dict[str, Column]:
    return {
        cell: replace(column, seeds=column.seeds[:seeds], values=column.values[:seeds])
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


def main() -> None:
    """Print the tables of docs/statistics.md."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    trials = parser.parse_args().trials
    for part in (false_table(trials), power_table(trials), legend()):
        print(f"{part}\n")


if __name__ == "__main__":
    main()
