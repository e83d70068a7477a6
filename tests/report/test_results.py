import csv
import json
import re
from pathlib import Path

from ruamel.yaml import YAML

from suite.report.page import write_report
from suite.report.results import CURVE_COLUMNS, write_curves, write_verdicts
from suite.specs.project import Project
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
    none = {"supported": 0, "contradicted": 0, "inconclusive": 0, "not run": 0}
    assert document["counts"] == {
        "paper": none | {"supported": 1},
        "extension": none | {"inconclusive": 1},
        "ours": none | {"inconclusive": 1},
    }
    kept = document["claims"]["first"]["first-C1"]
    assert Verdict.model_validate_json(json.dumps(kept)) == verdicts[0]
    assert [cell["seeds"] for cell in kept["evidence"]] == [[*range(8)]] * 2


def test_metrics_are_the_numbers_of_the_report(
    project: Project, runs: list[Run], verdicts: list[Verdict], tmp_path: Path
) -> None:
    write_verdicts(project, verdicts, tmp_path / "verdicts.json")
    write_report(project, runs, verdicts, tmp_path)
    metrics = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["counts"]["paper"]["supported"] == 1
    assert metrics["counts"]["ours"]["supported"] == 0
    assert list(metrics["observed"]) == ["first-C1", "first-C2"]
    source = (tmp_path / "report.html").read_text(encoding="utf-8")
    for claim, observed in metrics["observed"].items():
        row = source[source.index(f'data-sort="{claim}"') :]
        assert f'data-name="observed" data-sort="{verdicts[0].observed}">{observed} ' in row


def test_curves_are_those_of_the_figures(
    project: Project, runs: list[Run], verdicts: list[Verdict], tmp_path: Path
) -> None:
    write_curves(runs, tmp_path / "curves.csv")
    with (tmp_path / "curves.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 3
    first, last = rows[0], rows[-1]
    assert first["figure"] == "hill, smoke, 100 steps"
    assert (first["cell"], first["step"], first["mean"]) == ("hill--climber--none", "0", "1")
    assert (last["cell"], last["step"], last["seeds"]) == ("hill--climber--pptb", "100", "8")
    assert float(last["low"]) < float(last["mean"]) < float(last["high"])
    write_report(project, runs, verdicts, tmp_path)
    source = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert first["figure"] in source
    assert f"</code> last {float(last['mean']):.3g} " in source


def test_curves_of_one_seed_have_no_interval(runs: list[Run], tmp_path: Path) -> None:
    write_curves([run for run in runs if run.seed == 0], tmp_path / "curves.csv")
    lines = (tmp_path / "curves.csv").read_text(encoding="utf-8").splitlines()
    assert lines[1].endswith(",0,1,,,1,mean evaluation return")


def test_the_plots_read_columns_that_the_curves_have() -> None:
    root = Path(__file__).parents[2]
    template = (root / "suite/report/templates/curves.vega.json").read_text(encoding="utf-8")
    fields = set(re.findall(r'"field": "([a-z]+)"', json.dumps(json.loads(template))))
    # DVC adds the revision.
    assert fields - {"rev"} <= set(CURVE_COLUMNS)
    plots = YAML(typ="safe").load(root / "dvc.yaml")["plots"]
    (curves,) = (plot["reports/curves.csv"] for plot in plots)
    assert {curves["x"], curves["y"]} <= set(CURVE_COLUMNS)
    assert (root / curves["template"]).exists()
