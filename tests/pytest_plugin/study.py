"""A project of one study that trains in a second: what claims say is chosen for each verdict."""

from pathlib import Path

PRESETS = """
tasks:
  labels:
    family: synthetic
    environment: random_labels
    arguments: {inputs: 32, dimensions: 8, classes: 4, batch_size: 16, steps_per_task: 20}
agents:
  mlp:
    kind: classifier
    settings: {batch_size: 16, hidden_layers: 2, hidden_units: 16, learning_rate: 0.01,
      adam_beta1: 0.9, adam_beta2: 0.999, adam_epsilon: 0.00000001}
plugins:
  same: {kind: inflate, settings: {factor: 1.0}}
  huge: {kind: inflate, settings: {factor: 1000.0}}
"""
STUDY = """
study: small
paper: a study of these tests
cells:
  - tasks: [labels]
    agents: [mlp]
    plugins: [[], [same]]
    scales:
      smoke: {seeds: 8, budget: 60, evaluate_every: 20, evaluation_episodes: 0}
  - tasks: [labels]
    agents: [mlp]
    plugins: [[huge]]
    scales:
      paper: {seeds: 3, budget: 600, evaluate_every: 20, evaluation_episodes: 0}
claims:
"""
CLAIM = """
  - id: {id}
    kind: threshold
    source: these tests
    says: the accuracy is {direction} {bound}
    reported: nothing
    kind_of_claim: extension
    settled_because: it shows within minutes
    figure: online_accuracy
    measured: [labels--mlp--{plugin}]
    direction: {direction}
    bound: {bound}
    settled_at: {scale}
"""
NO_DIFFERENCE = """
  - id: small-C3
    kind: difference
    source: these tests
    says: what changes nothing helps
    reported: nothing
    kind_of_claim: extension
    settled_because: it shows within minutes
    figure: online_accuracy
    treatment: [labels--mlp--same]
    control: [labels--mlp--none]
    paired: false
    direction: greater
    settled_at: smoke
"""
OUTCOMES = {
    "labels--mlp--none": "passed",
    "labels--mlp--same": "passed",
    "labels--mlp--huge": "skipped",
    "small-C1": "passed",
    "small-C2": "failed",
    "small-C3": "skipped",
    "small-C4": "skipped",
}


def claim(identity: str, direction: str, bound: float, plugin: str, scale: str = "smoke") -> str:
    return CLAIM.format(id=identity, direction=direction, bound=bound, plugin=plugin, scale=scale)


def write_project(root: Path) -> None:
    """Claims that are supported, contradicted, inconclusive and not run once smoke is trained."""
    (root / "tasks" / "studies").mkdir(parents=True)
    (root / "tasks" / "presets.yaml").write_text(PRESETS)
    claims = (
        claim("small-C1", "above", 0.1, "none")
        + claim("small-C2", "above", 0.99, "none")
        + NO_DIFFERENCE
        + claim("small-C4", "above", 0.1, "huge", "paper")
    )
    (root / "tasks" / "studies" / "small.yaml").write_text(STUDY + claims)
