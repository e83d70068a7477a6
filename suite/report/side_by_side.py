"""Our agents beside those of another library on the same task, from `reports/side_by_side/`."""

from pathlib import Path

import numpy as np
from pydantic import Field, ValidationError

from suite.report.panels import Line, Panel, panel_id
from suite.specs.models import Spec
from suite.store.atomic import StoreError


class Side(Spec):
    """Learning curves of one library: `returns[i]` are of `seeds[i]`, at `steps`."""

    seeds: tuple[int, ...] = Field(min_length=1)
    steps: tuple[float, ...] = Field(min_length=2)
    returns: tuple[tuple[float, ...], ...]
    commit: str = ""
    version: str = ""


class Difference(Spec):
    """Ours less theirs, with its 95 % interval."""

    observed: float
    low: float
    high: float


class LastTenth(Spec):
    """Mean return over the last tenth of the budget, one value a seed."""

    ours: tuple[float, ...]
    theirs: tuple[float, ...]
    difference: Difference


class SideBySide(Spec):
    """One comparison, as its file has it."""

    name: str
    task: str
    agent: str
    budget: int
    unit: str
    ours: Side
    theirs: Side
    last_tenth: LastTenth

    def panel(self) -> Panel:
        """Both sides as lines."""
        return Panel(
            id=panel_id("side-by-side", self.name),
            title=f"{self.task}, {self.agent}, {self.budget:,} steps",
            quantity=self.unit,
            note="",
            lines=(
                _line("this suite", 1, self.ours),
                _line(f"Stable-Baselines3 {self.theirs.version}".strip(), 2, self.theirs),
            ),
        )

    def in_words(self) -> str:
        """Which side is ahead in the last tenth, if one is."""
        difference = self.last_tenth.difference
        if difference.low > 0:
            return "ours is ahead"
        return "theirs is ahead" if difference.high < 0 else "no clear difference"


class SideBySideError(StoreError):
    """A file that is no comparison; the message names file, place and value."""


def load_side_by_side(folder: Path) -> list[SideBySide]:
    """Every `*.json` of a folder by name; none where there is no folder.

    Raises SideBySideError.
    """
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            one = SideBySide.model_validate_json(path.read_text(encoding="utf-8"))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise SideBySideError(
                f"{path}: {where}: {first['msg']}; write it again with the script that made it"
            ) from None
        for name, side in (("ours", one.ours), ("theirs", one.theirs)):
            shape = np.array(side.returns).shape
            if shape != (len(side.seeds), len(side.steps)):
                raise SideBySideError(
                    f"{path}: {name}.returns has shape {shape}; it needs one row a seed and one "
                    f"column a step, {(len(side.seeds), len(side.steps))}"
                )
        found.append(one)
    return found


def _line(label: str, colour: int, side: Side) -> Line:
    return Line(label, colour, np.array(side.steps), np.array(side.returns), side.seeds, ())
