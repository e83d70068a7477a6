import json
from pathlib import Path

from suite.report.results import write_curves, write_verdicts
from suite.specs.loading import Project
from suite.stats.runs import Run
from suite.stats.verdicts import Verdict


def test_verdicts_are_the_same_bytes_in_any_order(
    project: Project, verdicts: list[Verdict], tmp_path: Path
) -> None:
    for name, order in (("a", verdicts), ("b", verdicts[::-1])):
        write_verdicts(project, order, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_verdicts_are_counted_and_kept_whole(
    project: Project, verdicts: list[Verdict], tmp_path: Path
) -> None:
    write_verdicts(project, verdicts, tmp_path / "verdicts.json")
    document = json.loads((tmp_path / "verdicts.json").read_text(encoding="utf-8"))
    assert document["counts"] == {
        "supported": 1,
        "contradicted": 0,
        "inconclusive": 2,
        "not run": 0,
    }
    kept = document["claims"]["first"]["first-C1"]
    assert Verdict.model_validate_json(json.dumps(kept)) == verdicts[0]
    assert [cell["seeds"] for cell in kept["evidence"]] == [[0, 1, 2], [0, 1, 2]]


def test_curves_are_means_over_seeds(runs: list[Run], tmp_path: Path) -> None:
    write_curves(runs, tmp_path / "curves.csv")
    lines = (tmp_path / "curves.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "cell,scale,step,mean_return,seeds"
    assert lines[1] == "hill--climber--none,smoke,0,1,3"
    assert len(lines) == 1 + 2 * 3
    assert lines[-1].startswith("hill--climber--pptb,smoke,100,7.")
