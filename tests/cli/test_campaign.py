"""`suite campaign`: what open claims need, the cheapest first, for as long as there is time."""

from pathlib import Path

import pytest

from suite import campaign
from suite.specs.loading import load_project
from suite.store.store import Store

CLAIM = """
  - id: {name}
    kind: difference
    kind_of_claim: ours
    source: this test
    says: norm keeps units alive
    reported: nothing
    figure: {figure}
    treatment: [{treatment}]
    control: [{control}]
    paired: true
    direction: less
    minimum_seeds: 2
    settled_at: {scale}
    settled_because: it is a test
"""
WALKS = ("dead_unit_walk--walk-sign-rms--none", "dead_unit_walk--walk-sign-none--none")
LABELS = ("random_labels--mlp-lr3e-3--nap", "random_labels--mlp-lr3e-3--none")


@pytest.fixture
def claims(project: Path) -> Path:
    """The project with a claim on walks at short, and a dearer one on labels at smoke."""
    studies = project / "tasks" / "studies"
    for study, parts in {
        "walks": ("walks-C1", "dead_fraction_last_half", *WALKS, "short"),
        "labels": ("labels-C1", "online_accuracy", *LABELS, "smoke"),
    }.items():
        names = ("name", "figure", "treatment", "control", "scale")
        file = studies / f"{study}.yaml"
        text = file.read_text().replace("seeds: 1", "seeds: 2")
        file.write_text(text + "\nclaims:" + CLAIM.format(**dict(zip(names, parts, strict=True))))
    return project


def complete(project: Path, scale: str) -> list[bool]:
    store = Store(project / "runs")
    cells = load_project(project).cells[scale]
    return [store.state(run.key()).complete for cell in cells for run in cell.runs]


def evidence(project: Path) -> list[Path]:
    return list((project / "reports" / "evidence").glob("*/*.json"))


def test_without_a_time_the_order_and_what_it_costs_are_shown(claims, suite):
    lines = suite("campaign").output.splitlines()
    found = [line.split()[:3] for line in lines if "-C1" in line]
    assert found == [["walks-C1", "short", "4"], ["labels-C1", "smoke", "4"]]
    assert not (claims / "runs").exists()


def test_claims_are_settled_in_that_order_and_larger_runs_kept_as_evidence(claims, suite):
    told = suite("campaign", "--hours", "1").output
    assert told.index("walks-C1: 4 runs") < told.index("labels-C1: 4 runs")
    assert all(complete(claims, "short"))
    assert {path.parent.name for path in evidence(claims)} == {*WALKS}
    assert "walks-C1: supported." in told or "walks-C1: inconclusive." in told
    again = suite("campaign", "--hours", "1").output
    assert "walks-C1: 4 runs" not in again


def test_when_the_time_is_used_up_the_same_command_goes_on(claims, suite, monkeypatch):
    whole = campaign.run_cells

    def endless(*cells, **options):
        whole(*cells, **options)
        while True:
            pass

    monkeypatch.setattr(campaign, "run_cells", endless)
    told = suite("campaign", "--hours", str(5 / 3600)).output
    assert "the time is used up; the same command goes on" in told
    assert all(complete(claims, "short")) and not any(complete(claims, "smoke"))
    # What was trained before the end is kept.
    assert len(evidence(claims)) == 4


def test_an_interrupt_by_hand_is_no_end_of_the_time(claims, suite, monkeypatch):
    def interrupted(*cells, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(campaign, "run_cells", interrupted)
    result = suite("campaign", "--hours", "1")
    assert result.exit_code != 0 and "used up" not in result.output
