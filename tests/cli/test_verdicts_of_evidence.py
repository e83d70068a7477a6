"""A verdict does not change when runs are replaced by the evidence that is kept of them."""

import json
import shutil
from pathlib import Path

import pytest

WALKS = ("dead_unit_walk--walk-sign-rms--none", "dead_unit_walk--walk-sign-none--none")
CLAIMS = """
claims:
  - id: walks-C1
    kind: difference
    kind_of_claim: ours
    source: this test
    says: norm keeps units alive
    reported: nothing
    figure: {{series: "dead_*", take: rise}}
    treatment: [{}]
    control: [{}]
    paired: true
    direction: less
    minimum_seeds: 2
    settled_at: short
    settled_because: it is a test
"""


@pytest.fixture
def long(project: Path) -> Path:
    """The project, with a claim on series of 221 points."""
    file = project / "tasks" / "studies" / "walks.yaml"
    short = "seeds: 1, budget: 80, evaluate_every: 20"
    text = file.read_text().replace(short, "seeds: 6, budget: 440, evaluate_every: 2")
    file.write_text(text + CLAIMS.format(*WALKS))
    return project


def judged(suite, project: Path) -> dict:
    assert suite("verify").exit_code in (0, 1)
    verdicts = json.loads((project / "reports" / "verdicts.json").read_text())
    return verdicts["claims"]["walks"]["walks-C1"]


@pytest.mark.parametrize(
    "commands",
    [
        (("run", *WALKS, "--scale", "short"), ("evidence", *WALKS, "--scale", "short")),
        (("campaign", "--hours", "1"),),
    ],
    ids=["evidence", "campaign"],
)
def test_verdict_on_long_series_is_the_same_from_evidence_alone(long, suite, commands):
    for command in commands:
        assert suite(*command).exit_code == 0
    of_runs = judged(suite, long)
    shutil.rmtree(long / "runs")
    of_evidence = judged(suite, long)
    assert of_evidence["state"] == of_runs["state"] != "not run"
    for bound in ("observed", "low", "high"):
        assert of_evidence[bound] == pytest.approx(of_runs[bound], rel=1e-5)
