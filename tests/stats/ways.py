"""What users can do with the documented commands, on made-up seeds, through the real judging code.

Each way trains seeds, judges, trains more and judges again, and gives whether each verdict that is
seen on it decides the claim. It is wrong if one does, because the truth lies on the claim's bound.
To write the table of docs/statistics.md again: `python tests/stats/ways.py`.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from unittest.mock import patch

import numpy as np
from pydantic import TypeAdapter

from suite.judging import Judging
from suite.specs.claims import ClaimSpec
from suite.specs.models import AgentSpec, Cell, PluginSpec, RunSpec, TaskSpec, cell_id
from suite.specs.project import Project, Study
from suite.stats.runs import Run
from suite.stats.scenarios import SHAPES as ALL_SHAPES
from suite.stats.scenarios import Shape
from suite.stats.studies import judge_all

TRIALS = 200
PLANNED = 6
MOST = 4 * PLANNED
TASK = TaskSpec(name="toy", family="synthetic", environment="toy")
AGENT = AgentSpec(name="agent", kind="classifier", settings={})
PLUGINS: dict[str, tuple[PluginSpec, ...]] = {
    "none": (),
    "plugin": (PluginSpec(name="plugin", kind="plugin"),),
}
CELLS = {name: cell_id("toy", "agent", tuple(p.name for p in PLUGINS[name])) for name in PLUGINS}
SHAPES = [shape for shape in ALL_SHAPES if shape.name in ("normal", "two-point", "skewed")]
COMMON = {
    "id": "toy-C1",
    "kind_of_claim": "ours",
    "source": "simulated",
    "says": "simulated",
    "reported": "nothing",
    "figure": "x",
    "settled_at": "smoke",
    "settled_because": "simulated",
}
SIDES = {"treatment": [CELLS["plugin"]], "control": [CELLS["none"]]}
CLAIMS = {
    "difference, paired": {"kind": "difference", **SIDES, "paired": True, "direction": "greater"},
    "difference": {"kind": "difference", **SIDES, "paired": False, "direction": "greater"},
    "threshold": {
        "kind": "threshold",
        "measured": [CELLS["plugin"]],
        "direction": "above",
        "bound": 0.0,
    },
}
Decided = Iterator[bool]
"""Whether each verdict seen on a way decides the claim."""


def claim(kind: str) -> ClaimSpec:
    found: ClaimSpec = TypeAdapter(ClaimSpec).validate_json(json.dumps(COMMON | CLAIMS[kind]))
    return found


def toy_cell(name: str) -> Cell:
    runs = tuple(
        RunSpec(
            task=TASK,
            agent=AGENT,
            plugins=PLUGINS[name],
            seed=seed,
            budget=1,
            evaluate_every=1,
            evaluation_episodes=0,
        )
        for seed in range(PLANNED)
    )
    return Cell(id=CELLS[name], scale="smoke", runs=runs, studies=("toy",))


def toy_project(spec: ClaimSpec) -> Project:
    return Project(
        root=Path(),
        tasks={"toy": TASK},
        agents={"agent": AGENT},
        plugins={"plugin": PLUGINS["plugin"][0]},
        studies={"toy": Study("toy", "simulated", (spec,))},
        cells={"smoke": tuple(map(toy_cell, PLUGINS)), "short": (), "paper": ()},
    )


class Trial:
    """A claim without an effect, and the seeds of both cells, trained when a way asks for them."""

    def __init__(self, kind: str, shape: Shape, rng: np.random.Generator) -> None:
        self.claim = claim(kind)
        self.project = toy_project(self.claim)
        draw = shape.centred if kind == "threshold" else shape.draw
        self.values = {name: draw(rng, MOST) for name in CELLS.values()}
        self.runs: dict[str, Run] = {}
        self.rng = rng

    def train(self, cell: Cell, seeds: Sequence[int]) -> None:
        for seed in seeds:
            spec = cell.run(seed)
            self.runs[spec.key()] = Run(
                spec.key(),
                cell.id,
                "smoke",
                seed,
                "done",
                spec=spec.model_dump(mode="json"),
                figures={"x": float(self.values[cell.id][seed])},
            )

    def verify(self) -> bool:
        """What `suite verify` says of the runs that are there."""
        (verdict,) = judge_all(self.project, list(self.runs.values()))
        return verdict.state in ("supported", "contradicted")

    def until_conclusive(self, cap: int | None, seeds: int | None = None) -> bool:
        """What `pytest tasks/ --train --until-conclusive` says at the end."""
        verdict = Simulated(self, cap, seeds).verdict(self.claim)
        return verdict.state in ("supported", "contradicted")


class Simulated(Judging):
    """Judging whose training gives the seeds of a trial."""

    def __init__(self, trial: Trial, cap: int | None, seeds: int | None) -> None:
        self._trial = trial
        with patch("suite.judging.load_project", return_value=trial.project):
            super().__init__(
                Path(),
                scale="smoke",
                seeds=seeds,
                train=True,
                until_conclusive=True,
                seed_cap=cap,
            )

    def _train(self, cells: list[Cell]) -> None:
        for cell in cells:
            self._trial.train(cell, [run.seed for run in cell.runs])

    def _collected(self) -> list[Run]:
        runs = self._trial.runs.values()
        return [run for run in runs if self.seeds is None or run.seed < self.seeds]


def pipeline_then_until_conclusive(trial: Trial) -> Decided:
    for cell in trial.project.cells["smoke"]:
        trial.train(cell, range(PLANNED))
    yield trial.verify()
    yield trial.until_conclusive(cap=None)
    yield trial.verify()


def cap_after_cap(trial: Trial) -> Decided:
    for cap in (PLANNED, 7, 2 * PLANNED, 3 * PLANNED, MOST):
        yield trial.until_conclusive(cap)


def seed_by_seed(trial: Trial) -> Decided:
    for seed in range(MOST):
        for cell in trial.project.cells["smoke"]:
            trial.train(cell, [seed])
        yield trial.verify()


def batches_of_any_size(trial: Trial) -> Decided:
    there = 0
    while there < MOST:
        more = min(MOST - there, int(trial.rng.integers(1, 10)))
        for cell in trial.project.cells["smoke"]:
            trial.train(cell, range(there, there + more))
        there += more
        yield trial.verify()


def one_arm_first(trial: Trial) -> Decided:
    control, treatment = trial.project.cells["smoke"]
    trial.train(control, range(PLANNED))
    for seed in range(MOST):
        trial.train(treatment, [seed])
        yield trial.verify()
    for seed in range(PLANNED, MOST):
        trial.train(control, [seed])
        yield trial.verify()


def machines_in_any_order(trial: Trial) -> Decided:
    """Evidence of several machines arrives, seeds in any order."""
    for seed in trial.rng.permutation(MOST).tolist():
        for cell in trial.project.cells["smoke"]:
            trial.train(cell, [seed])
        yield trial.verify()


def other_numbers_of_seeds(trial: Trial) -> Decided:
    for seeds in (2, 3, 4, 5, 7, 9, 12, 20, MOST):
        yield trial.until_conclusive(cap=seeds, seeds=seeds)


WAYS: dict[str, Callable[[Trial], Decided]] = {
    "the pipeline, then `--until-conclusive`": pipeline_then_until_conclusive,
    "`--until-conclusive` with one `--seed-cap` after the other": cap_after_cap,
    "`suite verify` after every seed": seed_by_seed,
    "`suite verify` after batches of 1 to 9 seeds": batches_of_any_size,
    "seeds of one arm first, `suite verify` after each": one_arm_first,
    "seeds of several machines in any order, `suite verify` after each": machines_in_any_order,
    "`--seeds N` for one N after the other": other_numbers_of_seeds,
}


def wrong(way: str, kind: str, shape: Shape, trials: int) -> float:
    """Share of trials in which a way ever sees the claim decided."""
    # A p-value, and how many more seeds would settle it, decide nothing and take most of the time.
    with (
        patch("suite.stats.verdicts.seeds_to_settle", return_value=None),
        patch("suite.stats.verdicts._p_value", return_value=None),
    ):
        return _wrong(way, kind, shape, trials)


def _wrong(way: str, kind: str, shape: Shape, trials: int) -> float:
    rng = np.random.default_rng([list(WAYS).index(way), list(CLAIMS).index(kind)])
    return float(np.mean([any(WAYS[way](Trial(kind, shape, rng))) for _ in range(trials)]))


def table(trials: int) -> str:
    """Markdown: per cent of wrong verdicts by way, claim and shape of seeds."""
    lines = [
        f"| way | claim | {' | '.join(shape.name for shape in SHAPES)} |",
        f"|---|---|{'---|' * len(SHAPES)}",
    ]
    for way in WAYS:
        for kind in CLAIMS:
            cells = [f"{100 * wrong(way, kind, shape, trials):.1f}" for shape in SHAPES]
            name = way if kind == next(iter(CLAIMS)) else ""
            lines.append(f"| {name} | {kind} | {' | '.join(cells)} |")
            print(lines[-1], flush=True)
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=TRIALS)
    table(parser.parse_args().trials)
