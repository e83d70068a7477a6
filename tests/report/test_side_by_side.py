import json
from pathlib import Path
from typing import Any

import pytest

from suite.report.page import write_report
from suite.report.side_by_side import SideBySideError, load_side_by_side


def comparison(**parts: Any) -> dict[str, Any]:
    side = {"seeds": [0, 1], "steps": [0, 1000], "returns": [[1.0, 5.0], [1.0, 7.0]]}
    document = {
        "name": "td3_pendulum",
        "task": "pendulum",
        "agent": "td3-official",
        "budget": 1000,
        "unit": "mean evaluation return",
        "ours": {**side, "commit": "abc"},
        "theirs": {**side, "version": "2.9.2"},
        "last_tenth": {
            "ours": [5.0, 7.0],
            "theirs": [5.0, 7.0],
            "difference": {"observed": 0.0, "low": -1.5, "high": 1.5},
        },
    }
    return document | parts


def write(folder: Path, document: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{document['name']}.json"
    path.write_text(json.dumps(document))
    return path


def test_both_curves_are_drawn_with_the_difference_in_words(
    project, runs, verdicts, tmp_path
) -> None:  # type: ignore[no-untyped-def]
    write(tmp_path / "side_by_side", comparison())
    write_report(project, runs, verdicts, tmp_path)
    source = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "this suite, seeds 0, 1: from 1 to 6; Stable-Baselines3 2.9.2, seeds 0, 1" in source
    assert "[−1.5, 1.5]" in source
    assert "no clear difference" in source
    assert "No comparison is in" not in source


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(0.1, 2.0, "ours is ahead"), (-2.0, -0.1, "theirs is ahead"), (-1, 1, "no clear difference")],
)
def test_the_interval_decides_who_is_ahead(
    tmp_path: Path, low: float, high: float, words: str
) -> None:
    document = comparison()
    document["last_tenth"]["difference"] = {"observed": (low + high) / 2, "low": low, "high": high}
    write(tmp_path, document)
    assert load_side_by_side(tmp_path)[0].in_words() == words


def test_comparisons_come_by_name_and_no_folder_is_no_comparison(tmp_path: Path) -> None:
    assert load_side_by_side(tmp_path / "none") == []
    for name in ("b", "a"):
        write(tmp_path, comparison(name=name))
    assert [one.name for one in load_side_by_side(tmp_path)] == ["a", "b"]


def test_a_file_that_is_no_comparison_is_named_with_the_place(tmp_path: Path) -> None:
    wrong = comparison(budget="many")
    path = write(tmp_path, wrong)
    with pytest.raises(SideBySideError, match=rf"{path.name}: budget: .*integer"):
        load_side_by_side(tmp_path)
    wrong = comparison()
    wrong["theirs"] = {**wrong["theirs"], "returns": [[1.0, 2.0]]}
    write(tmp_path, wrong)
    with pytest.raises(SideBySideError, match=r"theirs.returns .*one row a seed"):
        load_side_by_side(tmp_path)
