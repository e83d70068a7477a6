"""The `suite` command: plan, train, judge, report. Run it in the project's folder."""

import json
import os
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from suite.engine.calibration import slowness
from suite.engine.run import EngineError, run_cells
from suite.envs.pictures import Policy, Renderer
from suite.envs.pictures import render as draw_task
from suite.report.page import write_report
from suite.report.results import write_curves, write_verdicts
from suite.specs.loading import Project, load_project
from suite.specs.models import SCALES, Cell, Scale
from suite.specs.pipeline import read_cell, smoke_cells, write_plan
from suite.specs.planning import memory_estimate, seconds_estimate
from suite.specs.planning import plan as plan_cells
from suite.specs.source import SpecError
from suite.stats.collecting import collect_runs
from suite.stats.correction import corrected
from suite.stats.verdicts import Verdict, expectations, judge, side_by_side
from suite.store.atomic import StoreError
from suite.store.evidence import export
from suite.store.store import Store
from suite.training.loading import agent_from_checkpoint

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
console = Console()
errors = Console(stderr=True)

RUNS = Path("runs")
REPORTS = Path("reports")
EVIDENCE = REPORTS / "evidence"

ScaleOption = Annotated[Scale, typer.Option(help="smoke, short or paper")]
JobsOption = Annotated[
    int, typer.Option(min=1, envvar="SUITE_JOBS", help="processes side by side; 1 trains inline")
]
CellsArgument = Annotated[list[str] | None, typer.Argument(help="cell ids; none means all")]
CORES = os.cpu_count() or 1


def main() -> None:
    """Entry point: errors that a user can mend are printed without a traceback."""
    try:
        app()
    except (SpecError, StoreError, EngineError) as error:
        errors.print(str(error), style="red", markup=False, highlight=False)
        raise SystemExit(2) from None


def _project() -> Project:
    return load_project(Path())


def _chosen(project: Project, scale: Scale, names: list[str] | None) -> list[Cell]:
    """The named cells of a scale, or all of them. Raises BadParameter for an unknown name."""
    cells = {cell.id: cell for cell in plan_cells(project, scale).cells}
    unknown = [name for name in names or [] if name not in cells]
    if unknown:
        raise typer.BadParameter(
            f"no cell {', '.join(unknown)} at scale {scale}; `suite list` shows what there is"
        )
    return [cells[name] for name in names] if names else list(cells.values())


@app.command(name="list")
def list_() -> None:
    """Show studies with their cells and claims, and the presets of agents and plug-ins."""
    project = _project()
    for name, study in project.studies.items():
        console.rule(f"{name}: {study.paper}")
        table = Table("cell", *SCALES, box=None)
        planned = {
            scale: {cell.id: cell for cell in project.cells[scale] if name in cell.studies}
            for scale in SCALES
        }
        for cell in dict.fromkeys(cell for cells in planned.values() for cell in cells):
            table.add_row(cell, *(_size(planned[scale].get(cell)) for scale in SCALES))
        console.print(table)
        claims = Table("claim", "source", "says", box=None)
        for claim in study.claims:
            claims.add_row(claim.id, claim.source, claim.says)
        console.print(claims)
    console.print("agents: " + ", ".join(project.agents))
    console.print("plug-ins: " + ", ".join(project.plugins))


def _size(cell: Cell | None) -> str:
    return f"{len(cell.runs)} x {cell.runs[0].budget:,}" if cell else "-"


@app.command()
def plan(
    scale: ScaleOption = "smoke",
    write: Annotated[
        Path | None, typer.Option(help="write one file per cell into this folder")
    ] = None,
    write_cells: Annotated[
        bool, typer.Option("--write-cells", help="bring params.yaml's list of cells up to date")
    ] = False,
    jobs: JobsOption = CORES,
) -> None:
    """Show what would run, for how many steps, how long and in how much memory on this machine."""
    project = _project()
    planned = plan_cells(project, scale)
    if write_cells:
        lines = ["scale: " + scale, "cells:", *(f"  - {name}" for name in smoke_cells(project))]
        Path("params.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
        console.print(f"params.yaml lists {len(lines) - 2} cells")
    if write is not None:
        changed = write_plan(planned, write)
        console.print(f"{len(planned.cells)} cells planned at {scale}, {len(changed)} changed")
    if write is None and not write_cells:
        _show_plan(list(planned.cells), scale, jobs)


def _show_plan(cells: list[Cell], scale: Scale, jobs: int) -> None:
    store = Store(RUNS)
    table = Table("cell", "to run", "steps", "core time", "memory", box=None)
    steps, seconds, memory = 0, 0.0, 0
    factor = slowness()
    for cell in cells:
        waiting = tuple(run for run in cell.runs if not store.state(run.key()).complete)
        if not waiting:
            table.add_row(cell.id, "done", "", "", "")
            continue
        left = cell.model_copy(update={"runs": waiting})
        table.add_row(
            cell.id,
            f"{len(waiting)} of {len(cell.runs)} seeds",
            f"{left.steps:,}",
            _duration(factor * seconds_estimate(left)),
            _bytes(memory_estimate(left)),
        )
        steps += left.steps
        seconds += factor * seconds_estimate(left)
        memory = max(memory, memory_estimate(left))
    console.print(table)
    console.print(
        f"{scale}: {steps:,} steps, {_duration(seconds)} of core time, about "
        f"{_duration(seconds / jobs)} with {jobs} processes of at most {_bytes(memory)}"
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _bytes(count: float) -> str:
    return f"{count / 2**30:.1f} GiB"


@app.command()
def run(
    cells: CellsArgument = None,
    scale: ScaleOption = "smoke",
    jobs: JobsOption = CORES,
    scheduler: Annotated[
        str | None, typer.Option(help="tcp://host:port of a Dask cluster that shares this folder")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
) -> None:
    """Train what is missing of the named cells; interrupted runs go on where they were."""
    chosen = _chosen(_project(), scale, cells)
    _train(chosen, jobs, scheduler, device)


def _train(cells: list[Cell], jobs: int, scheduler: str | None = None, device: str = "cpu") -> None:
    summary = run_cells(
        cells, Store(RUNS), jobs=jobs, scheduler=scheduler, device=device, console=console
    )
    for key in summary.failed:
        errors.print(f"run {key}: {summary.states[key].state}\n{summary.states[key].message}")
    if summary.failed:
        errors.print("Failed runs train again with the same command.", style="red")
        raise typer.Exit(1)


@app.command()
def train(
    cell: Annotated[str, typer.Argument(help="id of a cell in the written plan")],
    jobs: JobsOption = CORES,
) -> None:
    """Train one cell of the written plan and write its summary: what a pipeline stage does."""
    planned = read_cell(REPORTS / "plan" / f"{cell}.json")
    _train([planned], jobs)
    store = Store(RUNS)
    runs = []
    for one in planned.runs:
        record = store.record(one.key())
        runs.append(
            {
                "seed": one.seed,
                "key": one.key(),
                "state": record["state"],
                "record_sha256": store.record_digest(one.key()),
                "figures": record["figures"],
            }
        )
    summary: dict[str, Any] = {"cell": cell, "scale": planned.scale, "runs": runs}
    folder = REPORTS / "cells"
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(summary, indent=1, sort_keys=True) + "\n"
    (folder / f"{cell}.json").write_text(text, encoding="utf-8")


@app.command()
def evidence(cells: CellsArgument = None, scale: ScaleOption = "short") -> None:
    """Keep finished runs of the named cells as files in reports/evidence/, for version control."""
    store = Store(RUNS)
    written = [
        export(store, one.key(), EVIDENCE)
        for cell in _chosen(_project(), scale, cells)
        for one in cell.runs
        if store.state(one.key()).complete
    ]
    console.print(f"{len(written)} runs of scale {scale} are in {EVIDENCE}")


def _verdicts(project: Project) -> tuple[list[Any], list[Verdict]]:
    runs = collect_runs(project, Store(RUNS), EVIDENCE)
    expected = expectations(project)
    verdicts = [
        verdict
        for study in project.studies.values()
        for verdict in corrected([judge(claim, runs, expected) for claim in study.claims])
    ]
    return runs, verdicts


@app.command()
def verify() -> None:
    """Judge every claim from finished runs and evidence; write reports/verdicts.json."""
    project = _project()
    runs, verdicts = _verdicts(project)
    REPORTS.mkdir(exist_ok=True)
    write_verdicts(project, verdicts, REPORTS / "verdicts.json")
    write_curves(runs, REPORTS / "curves.csv")
    table = Table("claim", "verdict", "scale", "observed, null and paper", "reason", box=None)
    for verdict in verdicts:
        sides = side_by_side(verdict)
        table.add_row(verdict.claim, verdict.state, verdict.scale or "-", sides, verdict.reason)
    console.print(table)


@app.command()
def report() -> None:
    """Write reports/report.html and reports/summary.md."""
    project = _project()
    runs, verdicts = _verdicts(project)
    REPORTS.mkdir(exist_ok=True)
    write_report(project, runs, verdicts, REPORTS)
    console.print(f"{REPORTS / 'report.html'}")


@app.command()
def render(
    task: Annotated[str, typer.Argument(help="name of a task of tasks/*.yaml")],
    output: Annotated[Path, typer.Argument(help="a .png or .gif to write")],
    renderer: Annotated[Renderer, typer.Option(help="both: side by side")] = "raycast",
    run: Annotated[str | None, typer.Option(help="key of a run whose greedy policy acts")] = None,
    steps: Annotated[int, typer.Option(min=0, help="steps; a picture shows the last")] = 20,
    size: Annotated[int, typer.Option(min=8, max=480, help="height and width in pixels")] = 200,
) -> None:
    """Draw a task, or a trained run in it, as a picture or an animation."""
    tasks = _project().tasks
    if task not in tasks:
        raise typer.BadParameter(f"no task {task}; known: {', '.join(tasks)}")
    policy = None if run is None else _greedy(run)
    try:
        draw_task(tasks[task], output, renderer, steps, size, policy)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    console.print(f"{output}")


def _greedy(run: str) -> Policy:
    """The greedy policy of a run, for one observation at a time."""
    agent = agent_from_checkpoint(Store(RUNS), run)

    def act(observation: np.ndarray) -> np.ndarray:
        action: np.ndarray = agent.greedy(observation[np.newaxis, np.newaxis])[0, 0]
        return action

    return act


if __name__ == "__main__":
    main()
