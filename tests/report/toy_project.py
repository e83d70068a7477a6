"""Two tasks, an agent for each and a plug-in, and what runs of them would leave."""

import json
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from suite.specs.claims import ClaimSpec
from suite.specs.models import AgentSpec, AnalysisSpec, Cell, PluginSpec, RunSpec, TaskSpec, cell_id
from suite.store.evidence import Record

TASKS = {
    "hill": TaskSpec(
        name="hill",
        family="mujoco",
        environment="Hill-v5",
        random_return=1.0,
    ),
    "labels": TaskSpec(name="labels", family="synthetic", environment="labels"),
}
AGENTS = {
    "hill": AgentSpec(name="climber", kind="td3", settings={"rate": 0.1}),
    "labels": AgentSpec(name="learner", kind="classifier", settings={"rate": 0.2}),
}
NUMERICS = {"products": "of <one> kind", "threads": "1"}
PLUGINS = {"none": (), "pptb": (PluginSpec(name="pptb", kind="pptb"),)}
BUDGETS = {"smoke": 100, "paper": 10_000}
SEEDS = 8  # planned: enough for a paired claim to be decided at the first look


def run_spec(task: str, plugin: str, scale: str, seed: int, versions: dict[str, int]) -> RunSpec:
    return RunSpec(
        task=TASKS[task],
        agent=AGENTS[task],
        plugins=PLUGINS[plugin],
        seed=seed,
        budget=BUDGETS[scale],
        evaluate_every=10,
        evaluation_episodes=1,
        analyses=(AnalysisSpec(kind="weight_norms"),),
        versions=versions,
    )


def cell(task: str, plugin: str, scale: str) -> Cell:
    plugins = () if plugin == "none" else (plugin,)
    runs = tuple(run_spec(task, plugin, scale, seed, {"agent": 1}) for seed in range(SEEDS))
    return Cell(
        id=cell_id(task, AGENTS[task].name, plugins), scale=scale, runs=runs, studies=("first",)
    )


def claim(identity: str, task: str, **parts: Any) -> Any:
    agent = AGENTS[task].name
    document = {
        "id": identity,
        "kind": "difference",
        "source": "section 1",
        "says": f"the plug-in helps on {task} | really",
        "reported": "a <large> gain",
        "kind_of_claim": "paper",
        "settled_because": "1M steps on four tasks",
        "settled_at": "smoke",
        "figure": "final_return" if task == "hill" else "online_accuracy",
        "treatment": [f"{task}--{agent}--pptb"],
        "control": [f"{task}--{agent}--none"],
        "paired": True,
        "direction": "greater",
    }
    return TypeAdapter(ClaimSpec).validate_json(json.dumps(document | parts))


def cost_claim(identity: str) -> Any:
    """On the share of updates, which all seeds of a cell read on one clock."""
    document = {
        "id": identity,
        "kind": "cost",
        "source": "section 1",
        "says": "updates take most of the time",
        "reported": "nothing",
        "kind_of_claim": "ours",
        "settled_because": "any run shows it",
        "settled_at": "smoke",
        "clock": {"seconds": "update", "share_of": "total"},
        "measured": ["hill--climber--pptb"],
        "bound": 0.5,
    }
    return TypeAdapter(ClaimSpec).validate_json(json.dumps(document))


def record(planned: Cell, spec: RunSpec, state: str = "done", message: str = "") -> Record:
    """What a run leaves: the plug-in gains 2 in return on `hill`."""
    steps = [0, 50, 100]
    gain = 2.0 if spec.plugins else 0.0
    noise = float(np.round(0.1 * np.sin(spec.seed + gain), 3))
    series: dict[str, Any] = {
        "return": {"step": steps, "value": [1.0, 3.0 + noise, 5.0 + gain + noise]},
    }
    if spec.task.name == "labels":
        series["online_accuracy"] = series.pop("return")
    if spec.plugins:
        series["plugin/pptb/move_to_norm"] = {"step": steps, "value": [0.0, 0.1, noise]}
        series["plugin/pptb/boost_times_window"] = {"step": steps, "value": [0.4, 0.4, 0.4]}
    document = {
        "record_version": 1,
        "key": spec.key(),
        "cell": planned.id,
        "scale": planned.scale,
        "seed": spec.seed,
        "state": state,
        "message": message,
        "spec": spec.trained(),
        "series": series,
        "figures": {"online_accuracy": 0.5 + gain + noise},
    }
    provenance = {
        "cpu": "a <quick> one",
        "libraries": {"torch": "2.0"},
        "git": {"commit": "abc123"},
        "companions": [*range(SEEDS)],
        "seconds": {"total": 10.0, "update": 6.0, "environment": 3.0},
        "numerics": NUMERICS,
    }
    norms = {
        "analysis": "weight_norms",
        "settings": {},
        "version": 1,
        "series": {
            "ratio/actor/hidden1": {"step": steps, "value": [1.0, 1.5, 2.0 + noise]},
            "ratio/actor/hidden2": {"step": steps, "value": [1.0, 2.5, 4.0 + noise]},
        },
        "figures": {},
    }
    return Record(document, provenance, "here", (norms,))
