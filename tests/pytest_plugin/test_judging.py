"""Training what a claim lacks and adding seeds until it is settled; training itself is made up."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from made_up import Trainer
from study import write_project

import suite.judging
from baselines.classifier import Classifier
from suite.judging import Judging
from suite.specs.claims import ClaimSpec
from suite.specs.models import Cell
from suite.specs.planning import memory_estimate, seconds_estimate
from suite.specs.registry import AGENTS
from suite.stats import sequential, verdicts
from suite.stats.collecting import collect_runs
from suite.stats.studies import judge_all
from suite.stats.verdicts import Verdict
from suite.store.store import Store

PLANNED = 8


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Trainer:
    """Seeds differ by up to 0.08 and the plug-in `same` gains nothing."""
    write_project(tmp_path)
    made_up = Trainer(lambda run: 0.2 + 0.04 * (run.seed % 3))
    monkeypatch.setattr(suite.judging, "run_cells", made_up)
    # An estimate that takes most of the time and decides nothing.
    monkeypatch.setattr(verdicts, "seeds_to_settle", lambda *_, **__: None)
    return made_up


def claim(judging: Judging, identity: str) -> ClaimSpec:
    return next(c for c in judging.project.studies["small"].claims if c.id == identity)


def test_only_what_a_claim_lacks_is_trained(trainer: Trainer, tmp_path: Path) -> None:
    judging = Judging(tmp_path, train=True)
    assert judging.verdict(claim(judging, "small-C1")).state == "supported"
    assert trainer.asked == [("labels--mlp--none", seed) for seed in range(PLANNED)]
    judging.verdict(claim(judging, "small-C3"))
    assert trainer.seeds("same") == list(range(PLANNED)) and len(trainer.asked) == 2 * PLANNED
    Judging(tmp_path, train=True, seeds=10).cell("labels--mlp--none")
    assert trainer.asked[16:] == [("labels--mlp--none", 8), ("labels--mlp--none", 9)]


def test_a_claim_is_flagged_with_the_environment_of_its_own_paper(
    trainer: Trainer, tmp_path: Path
) -> None:
    study = tmp_path / "tasks" / "studies" / "small.yaml"
    text = study.read_text()
    study.write_text(text.replace("cells:", "environments: {labels: CIFAR-10}\ncells:", 1))
    other = text.replace("study: small", "study: other").replace("id: small-", "id: other-")
    (study.parent / "other.yaml").write_text(
        other.replace("cells:", "environments: {labels: digits}\ncells:", 1)
    )
    judging = Judging(tmp_path, train=True)
    studies = judging.project.studies.values()
    flags = [judging.verdict(study.claims[0]).flags for study in studies]
    assert [[flag.says for flag in found] for found in flags] == [
        ["environment random_labels, the paper has digits"],
        ["environment random_labels, the paper has CIFAR-10"],
    ]
    runs = collect_runs(judging.project, Store(tmp_path / "runs"), tmp_path / "none")
    all_flags = {v.claim: v.flags for v in judge_all(judging.project, runs)}
    assert flags == [all_flags[study.claims[0].id] for study in studies]


def test_seeds_on_which_settings_are_chosen_start_where_the_cell_says(
    trainer: Trainer, tmp_path: Path
) -> None:
    study = tmp_path / "tasks" / "studies" / "small.yaml"
    cell = """
  - tasks: [labels]
    agents: [mlp]
    plugins: [[huge]]
    scales:
      smoke: {seeds: 3, first_seed: 100, budget: 60, evaluate_every: 20, evaluation_episodes: 0}
"""
    study.write_text(study.read_text().split("claims:")[0] + cell)
    found = Judging(tmp_path, train=True, seeds=2).cell("labels--mlp--huge")
    assert (found.state, found.reason) == ("trained", "2 seeds at smoke")
    assert Judging(tmp_path, train=True).cell("labels--mlp--huge").reason == "3 seeds at smoke"
    assert trainer.seeds("huge") == [100, 101, 102]


def test_a_cell_without_runs_at_the_scale_is_not_run(trainer: Trainer, tmp_path: Path) -> None:
    found = Judging(tmp_path, train=True).cell("labels--mlp--huge")
    assert (found.state, found.reason) == ("not run", "no study has it at scale smoke")
    assert trainer.asked == []


def test_a_run_that_fails_is_tried_once_and_fails_its_cell(
    trainer: Trainer, tmp_path: Path
) -> None:
    trainer.failing = {1}
    judging = Judging(tmp_path, train=True)
    found = judging.cell("labels--mlp--none")
    assert found.state == "failed" and found.reason == "failed at smoke: seed 1 (ValueError: odd)"
    assert found.traceback == "ValueError: odd\n"
    verdict = judging.verdict(claim(judging, "small-C1"))
    assert "failed: labels--mlp--none seed 1 (ValueError: odd)" in verdict.reason
    assert verdict.evidence[0].seeds == (0, 2, 3, 4, 5, 6, 7)
    assert trainer.seeds("none") == list(range(PLANNED))


def test_too_few_seeds_that_did_not_fail_decide_nothing(trainer: Trainer, tmp_path: Path) -> None:
    trainer.failing = set(range(6))
    judging = Judging(tmp_path, train=True)
    verdict = judging.verdict(claim(judging, "small-C1"))
    assert verdict.state == "inconclusive"
    assert "has 2 usable seeds and the claim needs 3; failed: " in verdict.reason


def test_a_clear_claim_gets_no_more_seeds(trainer: Trainer, tmp_path: Path) -> None:
    trainer.accuracy = lambda run: 0.5 + 0.001 * run.seed
    judging = Judging(tmp_path, train=True, until_conclusive=True)
    verdict = judging.verdict(claim(judging, "small-C1"))
    assert (verdict.state, verdict.look) == ("supported", 0)
    assert trainer.seeds("none") == list(range(PLANNED))


def open_until(trainer: Trainer, look: int) -> None:
    """So many seeds below 0.1 that the median is not clear before a look: one of eight, or three
    of sixteen."""
    low = {1: 1, 2: 3}[look]
    trainer.accuracy = lambda run: 0.05 if run.seed < low else 0.5


def told(tmp_path: Path) -> dict[str, Verdict]:
    """What `suite verify` says."""
    project = Judging(tmp_path).project
    runs = collect_runs(project, Store(tmp_path / "runs"), tmp_path / "evidence")
    return {verdict.claim: verdict for verdict in judge_all(project, runs)}


@pytest.mark.parametrize("look", [1, 2])
def test_seeds_are_added_until_the_claim_is_settled(
    trainer: Trainer, tmp_path: Path, look: int
) -> None:
    open_until(trainer, look)
    plain = Judging(tmp_path, train=True)
    assert plain.verdict(claim(plain, "small-C1")).state == "inconclusive"
    judging = Judging(tmp_path, train=True, until_conclusive=True)
    verdict = judging.verdict(claim(judging, "small-C1"))
    assert (verdict.state, verdict.look) == ("supported", look)
    assert verdict.confidence == sequential.confidence(look)
    count = sequential.seeds(PLANNED, look)
    assert trainer.seeds("none") == list(range(count))
    assert verdict.evidence[0].seeds == tuple(range(count))


@pytest.mark.parametrize("look", [0, 1, 2])
def test_a_look_says_the_same_to_pytest_and_to_verify_and_when_repeated(
    trainer: Trainer, tmp_path: Path, look: int
) -> None:
    if look:
        open_until(trainer, look)
    first = Judging(tmp_path, train=True, until_conclusive=True)
    verdict = first.verdict(claim(first, "small-C1"))
    assert verdict.look == look and verdict.state != "inconclusive"
    trained = len(trainer.asked)
    assert told(tmp_path)["small-C1"].model_copy(update={"survives_correction": None}) == verdict
    plain = Judging(tmp_path)
    assert plain.verdict(claim(plain, "small-C1")) == verdict
    again = Judging(tmp_path, train=True, until_conclusive=True)
    assert again.verdict(claim(again, "small-C1")) == verdict
    assert len(trainer.asked) == trained


def test_seeds_between_two_looks_change_nothing(trainer: Trainer, tmp_path: Path) -> None:
    open_until(trainer, 1)
    judging = Judging(tmp_path, train=True)
    first = judging.verdict(claim(judging, "small-C1"))
    more = Judging(tmp_path, train=True, seeds=15)
    assert more.verdict(claim(more, "small-C1")).model_copy(update={"flags": ()}) == (
        first.model_copy(update={"flags": ()})
    )
    assert told(tmp_path)["small-C1"].look == 0


Step = tuple[str, Sequence[int]]
STEPS: dict[str, list[Step]] = {
    "one arm first": [("same", range(16)), ("none", range(16))],
    "backwards": [("none", range(15, -1, -1)), ("same", range(15, -1, -1))],
    "in turns": [(arm, range(i, i + 4)) for i in (0, 4, 8, 12) for arm in ("none", "same")],
    "the even seeds last": [(arm, range(i, 16, 2)) for i in (1, 0) for arm in ("none", "same")],
}


@pytest.mark.parametrize("way", STEPS)
def test_a_verdict_is_the_same_in_whatever_order_seeds_come(
    trainer: Trainer, tmp_path: Path, way: str
) -> None:
    """And is decided when both arms have all seeds of a look, not before."""
    trainer.accuracy = lambda run: 0.2 + 0.04 * (run.seed % 3) + 0.02 * bool(run.plugins)
    judging = Judging(tmp_path)
    cells = {c.id.split("--")[2]: c for c in judging.project.cells["smoke"]}
    ended: dict[str, set[int]] = {"none": set(), "same": set()}
    for arm, seeds in STEPS[way]:
        cell = cells[arm]
        runs = tuple(cell.run(seed) for seed in seeds)
        trainer([cell.model_copy(update={"runs": runs})], Store(tmp_path / "runs"))
        ended[arm] |= set(seeds)
        now = told(tmp_path)["small-C3"]
        whole = [n for n in (8, 16) if all(set(range(n)) <= there for there in ended.values())]
        assert now.look == (len(whole) - 1 if whole else None)
        assert whole or now.state in ("inconclusive", "not run")
    assert now == settled(tmp_path, trainer)


def settled(tmp_path: Path, trainer: Trainer) -> Verdict:
    """The verdict on `small-C3` in a project that trains both looks in one session."""
    root = tmp_path / "other"
    root.mkdir()
    write_project(root)
    judging = Judging(root, train=True, until_conclusive=True, seed_cap=16)
    judging.verdict(claim(judging, "small-C3"))
    return told(root)["small-C3"]


@pytest.mark.parametrize(("cap", "seeds"), [(None, 32), (31, 16), (8, 8), (2, 8)])
def test_the_cap_ends_it(trainer: Trainer, tmp_path: Path, cap: int | None, seeds: int) -> None:
    judging = Judging(tmp_path, train=True, until_conclusive=True, seed_cap=cap)
    verdict = judging.verdict(claim(judging, "small-C3"))
    assert verdict.state == "inconclusive"
    assert trainer.seeds("none") == trainer.seeds("same") == list(range(seeds))


@pytest.mark.parametrize("cap", [None, 16, 17, 1000])
def test_a_cap_that_is_not_reached_does_not_matter(
    trainer: Trainer, tmp_path: Path, cap: int | None
) -> None:
    open_until(trainer, 1)
    judging = Judging(tmp_path, train=True, until_conclusive=True, seed_cap=cap)
    verdict = judging.verdict(claim(judging, "small-C1"))
    assert (verdict.look, verdict.confidence) == (1, sequential.confidence(1))


@pytest.mark.parametrize(("seeds", "trained"), [(5, 5), (16, 16), (20, 20)])
def test_no_seeds_are_added_beyond_those_that_count(
    trainer: Trainer, tmp_path: Path, seeds: int, trained: int
) -> None:
    judging = Judging(tmp_path, train=True, until_conclusive=True, seeds=seeds)
    assert judging.verdict(claim(judging, "small-C3")).state == "inconclusive"
    assert trainer.seeds("none") == trainer.seeds("same") == list(range(trained))


def test_no_seeds_are_added_where_seeds_do_not_settle(trainer: Trainer, tmp_path: Path) -> None:
    study = tmp_path / "tasks" / "studies" / "small.yaml"
    study.write_text(study.read_text().replace("settled_at: smoke", "settled_at: paper"))
    judging = Judging(tmp_path, train=True, until_conclusive=True)
    verdict = judging.verdict(claim(judging, "small-C1"))
    assert "needs scale paper" in verdict.reason
    assert trainer.seeds("none") == list(range(PLANNED))


class Learner(Classifier):
    """As another package would register it."""

    VERSION = 7


def test_an_agent_of_another_package_trains_under_its_own_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(AGENTS, "learner", Learner)  # type: ignore[arg-type]
    write_project(tmp_path)
    presets = tmp_path / "tasks" / "presets.yaml"
    presets.write_text(presets.read_text().replace("kind: classifier", "kind: learner"))
    judging = Judging(tmp_path, train=True)
    assert judging.cell("labels--mlp--none").state == "trained"
    (cell,) = (c for c in judging.project.cells["smoke"] if c.id == "labels--mlp--none")
    assert cell.runs[0].versions == {"agent/learner": 7, "env/synthetic": 1}
    assert seconds_estimate(cell) > 0 and memory_estimate(cell) > 0


def test_training_leaves_torch_as_it_was(
    trainer: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(cells: Sequence[Cell], store: Store) -> None:
        torch.set_flush_denormal(True)
        torch.set_num_threads(1)
        trainer(cells, store)

    monkeypatch.setattr(suite.judging, "run_cells", train)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        Judging(tmp_path, train=True).cell("labels--mlp--none")
        assert torch.get_num_threads() == 2
        assert (torch.tensor([1e-40]) * 1.0).item() > 0
    finally:
        torch.set_num_threads(threads)
