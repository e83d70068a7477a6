"""The plan as files: one canonical JSON per study and cell, rewritten only when it changes."""

from pathlib import Path

from pydantic import Field, ValidationError

from suite.specs.models import Cell, Plan, RunSpec, Scale, Spec, canonical
from suite.specs.source import Problem, SpecError


def write_plan(plan: Plan, folder: Path) -> list[Path]:
    """Write `<study>/<cell id>.json` for each cell, and remove files of what is planned no longer.

    A file whose content would not change is not touched. Returns what was written or removed.
    """
    wanted = {
        folder / study / f"{cell.id}.json": _content(cell)
        for cell in plan.cells
        for study in cell.studies
    }
    changed = [path for path in sorted(folder.glob("*/*.json")) if path not in wanted]
    for path in changed:
        path.unlink()
    for path, content in wanted.items():
        if not path.exists() or path.read_text(encoding="utf-8") != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
            changed.append(path)
    return changed


class _CellFile(Spec):
    cell: str
    scale: Scale
    runs: tuple[RunSpec, ...] = Field(min_length=1)


def _content(cell: Cell) -> str:
    file = _CellFile(cell=cell.id, scale=cell.scale, runs=cell.runs)
    return canonical(file.model_dump(mode="json")) + "\n"


def read_study(folder: Path) -> list[Cell]:
    """The cells of a study as `write_plan` wrote them, sorted by id.

    Raises SpecError where there are none, or a file is not such a cell.
    """
    paths = sorted(folder.glob("*.json"))
    if not paths:
        others = ", ".join(sorted(path.name for path in folder.parent.glob("*/"))) or "none"
        wrong = f"study {folder.name!r} is not in the plan"
        todo = "correct the name, or plan again with `suite plan`"
        raise SpecError([Problem(str(folder), 1, wrong, f"planned: {others}", todo)])
    return [read_cell(path) for path in paths]


def read_cell(path: Path) -> Cell:
    """A cell that `write_plan` wrote (its studies are not in the file).

    Raises SpecError for a file that is not such a cell.
    """
    try:
        found = _CellFile.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        wrong = f"not a planned cell: {str(error).splitlines()[0]}"
        todo = "plan again with `suite plan`"
        raise SpecError(
            [Problem(str(path), 1, wrong, "a file written by the plan", todo)]
        ) from error
    return Cell(id=found.cell, scale=found.scale, runs=found.runs)
