"""Learning curves of our agents beside Stable-Baselines3's: same settings, task, budget, seeds.

    python tests/bench/side_by_side.py [NAME ...] [--side ours|theirs]

trains what is missing of the named comparisons (of all, without a name) and writes
`reports/side_by_side/<name>.json` and the table in `docs/side_by_side.md`. Every finished seed is
kept under `runs/side_by_side/`, so that an interrupted command goes on where it stopped.

Both sides play the same training episodes and are evaluated by the same code on the same
evaluation episodes, at step 0 and 20 times over the budget, without exploration.
"""

import argparse
import functools
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from suite.engine.run import run_cells
from suite.envs.versions import VERSIONS
from suite.specs.loading import load_project
from suite.specs.models import Cell, RunSpec, cell_id
from suite.specs.project import Project
from suite.specs.registry import AGENTS
from suite.stats.intervals import contrast
from suite.store.atomic import replace_bytes
from suite.store.store import Store
from suite.training.evaluation import Evaluation
from suite.training.process import configure

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "reports" / "side_by_side"
DOCUMENT = ROOT / "docs" / "side_by_side.md"
KEPT = ROOT / "runs" / "side_by_side"
EVALUATIONS = 20
DIGITS = 6
MARKS = ("<!-- results: written by side_by_side.py -->", "<!-- end of results -->")


@dataclass(frozen=True)
class Comparison:
    """One agent on one task. `settings` are those that differ from the preset."""

    name: str
    task: str
    agent: str
    budget: int
    evaluation_episodes: int
    settings: dict[str, Any] = field(default_factory=dict)
    our_seeds: int = 5
    their_seeds: int = 5

    def runs(self, seeds: int) -> tuple[RunSpec, ...]:
        """The runs of seeds 0, 1, ..."""
        project = _project()
        agent, task = project.agents[self.agent], project.tasks[self.task]
        settings = {**agent.settings, **self.settings}
        return tuple(
            RunSpec(
                task=task,
                agent=agent.model_copy(update={"settings": settings}),
                seed=seed,
                budget=self.budget,
                evaluate_every=self.budget // EVALUATIONS,
                evaluation_episodes=self.evaluation_episodes,
                versions={
                    f"agent/{agent.kind}": AGENTS[agent.kind].VERSION,
                    f"env/{task.family}": VERSIONS[task.family],
                },
            )
            for seed in range(seeds)
        )


@functools.cache
def _project() -> Project:
    return load_project(ROOT)


# 10 000 is SAC's warm-up too; the preset's 25 000 would leave 5 000 steps to learn in.
TD3_SETTINGS = {"warmup_steps": 10_000}
# SB3's DQN is plain and has Huber's loss.
DQN_SETTINGS = {"double": False, "loss": "huber"}
COMPARISONS = (
    Comparison("ppo-halfcheetah", "halfcheetah", "ppo-sb3-default", 200_000, 5, {}, 10, 10),
    Comparison("sac-pendulum", "pendulum", "sac-pendulum", 10_000, 10),
    Comparison("td3-halfcheetah", "halfcheetah", "td3-official", 30_000, 5, TD3_SETTINGS),
    Comparison("sac-halfcheetah", "halfcheetah", "sac-mujoco", 30_000, 5),
    Comparison("dqn-breakout", "breakout", "chain-ddqn", 200_000, 10, DQN_SETTINGS),
)


def train_ours(comparison: Comparison) -> None:
    """All seeds stacked, in the suite's own loop, into a store below `runs/side_by_side/`."""
    runs = comparison.runs(comparison.our_seeds)
    cell = Cell(id=cell_id(comparison.task, comparison.agent, ()), scale="short", runs=runs)
    summary = run_cells([cell], Store(KEPT / "ours"))
    if summary.failed:
        sys.exit(f"{comparison.name}: {summary.states}")


def our_curves(comparison: Comparison) -> dict[str, Any] | None:
    """Seeds, steps, returns and commit; None while a seed is missing."""
    store = Store(KEPT / "ours")
    keys = [run.key() for run in comparison.runs(comparison.our_seeds)]
    if not all(store.state(key).complete for key in keys):
        return None
    series = [store.record(key)["series"]["return"] for key in keys]
    git = store.provenance(keys[0])["git"]  # None outside a checkout
    return {
        "seeds": list(range(comparison.our_seeds)),
        "steps": series[0]["step"],
        "returns": [one["value"] for one in series],
        "commit": git["commit"] if git else None,
    }


def their_path(comparison: Comparison, run: RunSpec) -> Path:
    """Where the result of one seed of SB3 is kept; another setting gives another name, another
    version of our agent does not."""
    key = run.model_copy(update={"versions": {}}).key()
    return KEPT / "theirs" / f"{comparison.name}-{run.seed}-{key}.json"


def train_theirs(comparison: Comparison) -> None:
    """One seed after the other, in this process."""
    for run in comparison.runs(comparison.their_seeds):
        path = their_path(comparison, run)
        if not path.exists():
            print(f"{comparison.name}: Stable-Baselines3, seed {run.seed}", flush=True)
            result = json.dumps(_train_sb3(run))
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_bytes(path, result.encode())


def _train_sb3(run: RunSpec) -> dict[str, Any]:
    """Steps and mean evaluation returns of one seed, and SB3's version."""
    import stable_baselines3
    from sb3_peers import as_seen, sb3_agent
    from stable_baselines3.common.callbacks import BaseCallback

    configure()
    agent = sb3_agent(run, run.budget)
    evaluation = Evaluation(run.task, [run.seed], run.evaluation_episodes)
    steps: list[int] = []
    returns: list[float] = []

    def greedy(observations: np.ndarray) -> np.ndarray:
        actions, _ = agent.predict(as_seen(observations[0]), deterministic=True)
        return actions[None]

    class Evaluate(BaseCallback):
        """Called after each environment step, before the update that follows it."""

        def _on_training_start(self) -> None:
            self._evaluate()

        def _on_step(self) -> bool:
            if self.num_timesteps % run.evaluate_every == 0:
                self._evaluate()
            return self.num_timesteps < run.budget

        def _evaluate(self) -> None:
            returns.append(float(evaluation.returns(greedy, len(steps)).mean()))
            steps.append(self.num_timesteps)

    agent.learn(run.budget, callback=Evaluate())
    return {"steps": steps, "returns": returns, "version": stable_baselines3.__version__}


def their_curves(comparison: Comparison) -> dict[str, Any] | None:
    """Seeds, steps, returns and version; None while a seed is missing."""
    paths = [their_path(comparison, run) for run in comparison.runs(comparison.their_seeds)]
    if not all(path.exists() for path in paths):
        return None
    results = [json.loads(path.read_text()) for path in paths]
    return {
        "seeds": list(range(comparison.their_seeds)),
        "steps": results[0]["steps"],
        "returns": [one["returns"] for one in results],
        "version": results[0]["version"],
    }


def last_tenth(steps: Sequence[int], returns: Sequence[float], budget: int) -> float:
    """Mean of the evaluations in the last tenth of the budget, its start left out."""
    return float(np.mean([r for s, r in zip(steps, returns, strict=True) if s > 0.9 * budget]))


def compared(result: dict[str, Any]) -> dict[str, Any]:
    """`last_tenth` of a result: a figure per seed and side, and the difference of the means, ours
    less theirs, with its 95 % interval."""
    ours, theirs = (
        [
            _rounded(last_tenth(result[side]["steps"], one, result["budget"]))
            for one in result[side]["returns"]
        ]
        for side in ("ours", "theirs")
    )
    interval = contrast([np.array(ours), np.array(theirs)], [1.0, -1.0])
    difference = {name: _rounded(getattr(interval, name)) for name in ("observed", "low", "high")}
    return {"ours": ours, "theirs": theirs, "difference": difference}


def write_result(comparison: Comparison) -> bool:
    """Write the comparison's file when both sides are complete; whether they are."""
    ours, theirs = our_curves(comparison), their_curves(comparison)
    if ours is None or theirs is None:
        return False
    for side in (ours, theirs):
        side["returns"] = [[_rounded(value) for value in one] for one in side["returns"]]
    result: dict[str, Any] = {
        "name": comparison.name,
        "task": comparison.task,
        "agent": comparison.agent,
        "budget": comparison.budget,
        "unit": "mean evaluation return",
        "ours": ours,
        "theirs": theirs,
    }
    result["last_tenth"] = compared(result)
    RESULTS.mkdir(parents=True, exist_ok=True)
    replace_bytes(RESULTS / f"{comparison.name}.json", (_json(result) + "\n").encode())
    return True


def results_table() -> str:
    """Every comparison's row of the table in the document, from the committed files."""
    lines = [
        "| comparison | budget | seeds | ours | Stable-Baselines3 | difference, 95 % interval |",
        "|---|---|---|---|---|---|",
    ]
    for comparison in COMPARISONS:
        path = RESULTS / f"{comparison.name}.json"
        if not path.exists():
            lines.append(f"| {comparison.name} | {comparison.budget} | | not run | not run | |")
            continue
        result = json.loads(path.read_text())
        sides = [result["last_tenth"][side] for side in ("ours", "theirs")]
        means = " | ".join(f"{np.mean(side):.4g}" for side in sides)
        count = " + ".join(str(len(side)) for side in sides)
        observed, low, high = result["last_tenth"]["difference"].values()
        interval = f"{observed:.4g} ({low:.4g} to {high:.4g})"
        lines.append(f"| {comparison.name} | {result['budget']} | {count} | {means} | {interval} |")
    return "\n".join(lines)


def write_table() -> None:
    """Put the table of the committed files into the document, between its two marks."""
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    text = f"{before}{MARKS[0]}\n{results_table()}\n{MARKS[1]}{after}"
    replace_bytes(DOCUMENT, text.encode())


def _rounded(value: float) -> float:
    """To six significant digits."""
    return float(f"{value:.{DIGITS}g}")


def _json(value: Any, indent: int = 0) -> str:
    """JSON indented by 1, lists of numbers on one line."""
    inner = "\n" + " " * (indent + 1)
    if isinstance(value, dict):
        lines = (f"{json.dumps(k)}: {_json(v, indent + 1)}" for k, v in value.items())
        return "{" + inner + f",{inner}".join(lines) + "\n" + " " * indent + "}"
    if isinstance(value, list) and value and isinstance(value[0], list):
        lines = (_json(v, indent + 1) for v in value)
        return "[" + inner + f",{inner}".join(lines) + "\n" + " " * indent + "]"
    return json.dumps(value, allow_nan=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    known = [comparison.name for comparison in COMPARISONS]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(known)}")
    parser.add_argument("--side", choices=("ours", "theirs"), help="train this side only")
    arguments = parser.parse_args()
    for name in arguments.names:
        if name not in known:
            parser.error(f"unknown comparison {name!r}; known: {', '.join(known)}")
    for comparison in COMPARISONS:
        if arguments.names and comparison.name not in arguments.names:
            continue
        if arguments.side != "theirs":
            train_ours(comparison)
        if arguments.side != "ours":
            train_theirs(comparison)
        if not write_result(comparison):
            print(f"{comparison.name}: one side is missing; no result written")
    write_table()


if __name__ == "__main__":
    main()
