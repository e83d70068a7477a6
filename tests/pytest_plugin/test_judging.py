"""Training what a claim lacks and adding seeds until it is settled; training itself is made up."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from study import write_project

import suite.judging
from suite.judging import Judging, judge_all
from suite.specs.claims import ClaimSpec
from suite.specs.models import Cell, RunSpec
from suite.stats.collecting import collect_runs
from suite.stats.intervals import CONFIDENCE
from suite.stats.sequential import Looks
from suite.store.store import Store

Accuracy = Callable[[RunSpec], float]


class Trainer:
    """Completes runs with a figure given by `accuracy`, or fails those in `failing`."""

    def __init__(self, accuracy: Accuracy) -> None:
        self.accuracy = accuracy
        self.failing: set[int] = set()
        self.asked: list[tuple[str, int]] = []

    def __call__(self, cells: Sequence[Cell], store: Store) -> None:
        for cell in cells:
            for run in cell.runs:
                self.asked.append((cell.id, run.seed))
                if run.seed in self.failing:
                    store.fail(run.key(), "ValueError: odd\n")
                    continue
                record = {
                    "key": run.key(),
                    "cell": cell.id,
                    "scale": cell.scale,
                    "seed": run.seed,
                    "state": "done",
                    "message": "",
                    "spec": run.model_dump(mode="json"),
                    "series": {},
                    "figures": {"online_accuracy": self.accuracy(run)},
                }
                store.complete(run.key(), record, {})

    def seeds(self, plugin: str) -> list[int]:
        return [seed for cell, seed in self.asked if cell.endswith(f"--{plugin}")]


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Trainer:
    """Seeds differ by up to 0.08 and the plug-in `same` gains nothing."""
    write_project(tmp_path)
    made_up = Trainer(lambda run: 0.2 + 0.04 * (run.seed % 3))
    monkeypatch.setattr(suite.judging, "run_cells", made_up)
    return made_up


def claim(judging: Judging, identity: str) -> ClaimSpec:
    return next(c for c in judging.project.studies["small"].claims if c.id == identity)


def test_only_what_a_claim_lacks_is_trained(trainer: Trainer, tmp_path: Path) -> None:
    judging = Judging(tmp_path, train=True)
    assert judging.verdict(claim(judging, "small-C1")).state == "supported"
    assert trainer.asked == [("labels--mlp--none", seed) for seed in range(3)]
    judging.verdict(claim(judging, "small-C3"))
    assert trainer.seeds("same") == [0, 1, 2] and len(trainer.asked) == 6
    Judging(tmp_path, train=True, seeds=5).cell("labels--mlp--none")
    assert trainer.asked[6:] == [("labels--mlp--none", 3), ("labels--mlp--none", 4)]


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
    assert verdict.state == "inconclusive" and "failed: labels--mlp--none seed 1" in verdict.reason
    assert trainer.seeds("none") == [0, 1, 2]


def test_a_clear_claim_gets_no_more_seeds(trainer: Trainer, tmp_path: Path) -> None:
    trainer.accuracy = lambda run: 0.5 + 0.001 * run.seed
    judging = Judging(tmp_path, train=True, until_conclusive=True)
    verdict = judging.verdict(claim(judging, "small-C1"))
    assert verdict.state == "supported" and verdict.confidence == Looks((3, 6, 9, 12)).confidence(0)
    assert trainer.seeds("none") == [0, 1, 2]


def test_seeds_are_added_until_the_claim_is_settled(trainer: Trainer, tmp_path: Path) -> None:
    """At 95 % the first three would do; what is looked at again has to be clearer at first."""
    plain = Judging(tmp_path, train=True)
    verdict = plain.verdict(claim(plain, "small-C1"))
    assert verdict.state == "supported" and verdict.confidence == CONFIDENCE
    judging = Judging(tmp_path, train=True, until_conclusive=True)
    verdict = judging.verdict(claim(judging, "small-C1"))
    assert verdict.state == "supported" and verdict.confidence == Looks((3, 6, 9, 12)).confidence(1)
    assert trainer.seeds("none") == [0, 1, 2, 3, 4, 5]
    assert verdict.evidence[0].seeds == (0, 1, 2, 3, 4, 5)


def test_the_first_look_counts_the_first_seeds_only(trainer: Trainer, tmp_path: Path) -> None:
    """Seeds that an earlier session added come in at their own look: the verdict repeats."""
    first = Judging(tmp_path, train=True, until_conclusive=True)
    verdict = first.verdict(claim(first, "small-C1"))
    runs = collect_runs(first.project, Store(tmp_path / "runs"), tmp_path / "evidence")
    told = {v.claim: (v.reason, v.confidence) for v in judge_all(first.project, runs)}
    assert told["small-C1"] == (verdict.reason, verdict.confidence), "what `suite verify` says"
    again = Judging(tmp_path, train=True, until_conclusive=True)
    assert again.verdict(claim(again, "small-C1")) == verdict
    assert len(trainer.asked) == 6


@pytest.mark.parametrize(("cap", "seeds"), [(None, 12), (7, 7), (2, 3)])
def test_the_cap_ends_it(trainer: Trainer, tmp_path: Path, cap: int | None, seeds: int) -> None:
    judging = Judging(tmp_path, train=True, until_conclusive=True, seed_cap=cap)
    verdict = judging.verdict(claim(judging, "small-C3"))
    assert verdict.state == "inconclusive"
    assert trainer.seeds("none") == trainer.seeds("same") == list(range(seeds))


def test_no_seeds_are_added_where_seeds_do_not_settle(trainer: Trainer, tmp_path: Path) -> None:
    study = tmp_path / "tasks" / "studies" / "small.yaml"
    study.write_text(study.read_text().replace("settled_at: smoke", "settled_at: paper"))
    judging = Judging(tmp_path, train=True, until_conclusive=True)
    verdict = judging.verdict(claim(judging, "small-C1"))
    assert "needs scale paper" in verdict.reason
    assert trainer.seeds("none") == [0, 1, 2]


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
