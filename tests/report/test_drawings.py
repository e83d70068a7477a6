"""Drawings that are kept between reports: never a wrong one, never one too many, the same bytes."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suite.report import drawings, figures
from suite.report.drawings import Drawings
from suite.report.page import write_report
from suite.report.panels import Line, Panel, Reference

Draw = Callable[[Panel], str]
STEPS = np.array([0.0, 50.0, 100.0])
LINE = Line("x", 0, STEPS, np.array([[1.0, 2.0, 3.0], [1.0, 2.5, 4.0]]), (0, 1), (), ("a", "b"))
NULL = Reference("null", "null", STEPS, np.array([1.0, 1.0, np.nan]))
PANEL = Panel("p", "t", "q", "", (LINE,), (NULL,))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the panels that are drawn, as they are drawn."""
    seen = []
    draw = figures.draw

    def watched(panel: Panel) -> str:
        seen.append(panel.id)
        return draw(panel)

    monkeypatch.setattr(figures, "draw", watched)
    return seen


def test_a_panel_is_drawn_once(tmp_path: Path, drawn: list[str]) -> None:
    first = Drawings(tmp_path / "drawings").svg(PANEL)
    again = Drawings(tmp_path / "drawings").svg(PANEL)
    assert first == again == figures.draw(PANEL)
    assert drawn == ["p", "p"]  # once by the first, once just now


CHANGES: list[tuple[str, Panel]] = [
    ("id", replace(PANEL, id="other")),
    ("quantity", replace(PANEL, quantity="other")),
    ("axis", replace(PANEL, logarithmic=True)),
    ("seeds", replace(PANEL, diagnostic=True)),
    ("no null", replace(PANEL, references=())),
    ("null", replace(PANEL, references=(replace(NULL, values=np.array([1.0, 1.5, np.nan])),))),
    ("kind of null", replace(PANEL, references=(replace(NULL, kind="bound"),))),
    ("band", replace(PANEL, references=(replace(NULL, low=NULL.values, high=2 * NULL.values),))),
    ("colour", replace(PANEL, lines=(replace(LINE, colour=1),))),
    ("steps", replace(PANEL, lines=(replace(LINE, steps=2 * STEPS),))),
    (
        "one value",
        replace(PANEL, lines=(replace(LINE, curves=LINE.curves + np.array([0, 0, 1e-9])),)),
    ),
    ("more lines", replace(PANEL, lines=(LINE, LINE))),
]


@pytest.mark.parametrize("changed", [panel for _, panel in CHANGES], ids=[n for n, _ in CHANGES])
def test_a_panel_that_shows_something_else_is_drawn_again(
    tmp_path: Path, drawn: list[str], changed: Panel
) -> None:
    kept = Drawings(tmp_path / "drawings")
    kept.svg(PANEL)
    assert kept.svg(changed) == figures.draw(changed)
    assert len(drawn) == 3


def test_every_part_of_a_panel_counts() -> None:
    other: dict[str, Any] = {"lines": (), "references": (), "logarithmic": True, "diagnostic": True}
    for field in fields(Panel):
        changed = replace(PANEL, **{field.name: other.get(field.name, "other")})
        assert drawings._digest(changed) != drawings._digest(PANEL), field.name


@pytest.mark.parametrize("part", ["code", "library"])
def test_with_other_code_or_libraries_all_is_drawn_again(
    tmp_path: Path, drawn: list[str], monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    Drawings(tmp_path / "drawings").svg(PANEL)
    if part == "library":
        monkeypatch.setattr(drawings, "version", lambda name: f"{name} 0")
    else:
        other = tmp_path / "panels.py"
        other.write_text("# other code")
        monkeypatch.setattr(drawings.panels, "__file__", str(other))
    drawings._code.cache_clear()
    Drawings(tmp_path / "drawings").svg(PANEL)
    drawings._code.cache_clear()
    assert drawn == ["p", "p"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-1],
        lambda content: content.replace(b"M", b"L", 1),
        lambda content: b"\xff\xfe" + content,
        lambda content: content.partition(b"\n")[2],
    ],
)
def test_a_damaged_drawing_is_drawn_again(
    tmp_path: Path, drawn: list[str], damage: Callable[[bytes], bytes]
) -> None:
    svg = Drawings(tmp_path / "drawings").svg(PANEL)
    (file,) = (tmp_path / "drawings").iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert file.read_bytes() != whole
    assert Drawings(tmp_path / "drawings").svg(PANEL) == svg
    assert drawn == ["p", "p"]
    assert file.read_bytes() == whole


def test_settings_of_matplotlib_change_no_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = figures.draw(PANEL)
    for name, value in {"lines.linewidth": 9.0, "xtick.direction": "in", "font.size": 20}.items():
        monkeypatch.setitem(figures.mpl.rcParams, name, value)
    assert figures.draw(PANEL) == plain
    assert figures.mpl.rcParams["font.size"] == 20


@pytest.fixture
def write(project, runs, verdicts, tmp_path: Path) -> Callable[..., bytes]:  # type: ignore[no-untyped-def]
    """Writes the report of the toy project, with some verdicts changed; the page's bytes."""

    def written(**changed: Any) -> bytes:
        first, *others = verdicts
        write_report(project, runs, [first.model_copy(update=changed), *others], tmp_path)
        return (tmp_path / "report.html").read_bytes()

    return written


def test_with_and_without_kept_drawings_the_page_is_the_same(
    write: Callable[..., bytes], drawn: list[str], report: Path
) -> None:
    cold = write()
    figures_drawn = len(drawn)
    assert figures_drawn == 3
    assert write() == cold == (report / "report.html").read_bytes()
    assert len(drawn) == figures_drawn


def test_where_all_is_kept_matplotlib_is_not_needed(
    write: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    cold = write()
    monkeypatch.setitem(sys.modules, "suite.report.figures", None)  # an import of it would raise
    assert write() == cold
    code = "import sys, suite.report.page; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_another_verdict_draws_nothing_anew(
    write: Callable[..., bytes], drawn: list[str], tmp_path: Path
) -> None:
    before = write()
    count = len(drawn)
    after = write(state="inconclusive", reason="the wind has changed")
    assert b"the wind has changed" in after and b"the wind has changed" not in before
    assert len(drawn) == count


def test_drawings_that_a_report_does_not_show_are_removed(
    write: Callable[..., bytes], tmp_path: Path
) -> None:
    write()
    kept = {*(tmp_path / "drawings").iterdir()}
    Drawings(tmp_path / "drawings").svg(PANEL)
    (tmp_path / "drawings" / "README.md").write_text("mine")
    write()
    assert {*(tmp_path / "drawings").iterdir()} == kept | {tmp_path / "drawings" / "README.md"}
