"""The `suite` command: plan, train, judge, report. Run it in the project's folder.

What takes long to import, as PyTorch and SciPy do, is imported by the commands that need it.
"""

import gc
import json
import os
import warnings
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import typer
from rich.console import Console
from rich.table import Column, Table

from suite.commands.export import ExportError, rows, write_csv, write_parquet, write_tensorboard
from suite.commands.known_runs import UnknownRunError, find_run, known_runs
from suite.commands.status import STATES, state_of
from suite.commands.status import status as count_states
from suite.commands.why import Difference, Traces, compare
from suite.engine.cluster import EngineError
from suite.engine.duration import duration, pace
from suite.extensions import ExtensionError
from suite.specs import kept
from suite.specs.models import SCALES, Cell, Scale, TaskSpec
from suite.specs.pipeline import read_study, write_plan
from suite.specs.planning import keep_estimates, memory_estimate, seconds_estimate
from suite.specs.planning import plan as plan_cells
from suite.specs.project import Project
from suite.specs.source import SpecError, parse_yaml
from suite.stats.collecting import begun_runs, collect_runs
from suite.stats.runs import Run
from suite.store.atomic import StoreError
from suite.store.evidence import export
from suite.store.numerics import NOT_RECORDED, installed
from suite.store.store import Store

if TYPE_CHECKING:
    from suite.envs.pictures import Policy
    from suite.stats.verdicts import Verdict

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__.partition("\n")[0])
console = Console()
errors = Console(stderr=True)

RUNS = Path("runs")
REPORTS = Path("reports")
EVIDENCE = REPORTS / "evidence"

ScaleOption = Annotated[Scale, typer.Option(help="smoke, short or paper")]
JobsOption = Annotated[
    int, typer.Option(min=1, envvar="SUITE_JOBS", help="processes side by side; 1 trains inline")
]
SchedulerOption = Annotated[
    str | None,
    typer.Option(
        envvar="SUITE_SCHEDULER", help="tcp://host:port of a Dask cluster that shares this folder"
    ),
]
CellsArgument = Annotated[list[str] | None, typer.Argument(help="cell ids; none means all")]
CORES = os.cpu_count() or 1


def main() -> None:
    """Entry point: errors that a user can mend are printed without a traceback, and warnings
    without the place in the code."""
    warnings.formatwarning = _one_line
    # What imports made stays: looking at it again takes the collector a second, half of it at exit.
    gc.freeze()
    try:
        app()
    except (SpecError, StoreError, EngineError, ExtensionError) as error:
        errors.print(str(error), style="red", markup=False, highlight=False)
        raise SystemExit(2) from None


def _one_line(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,
) -> str:
    """How a warning is shown on the terminal."""
    return f"{'warning' if category is UserWarning else category.__name__}: {message}\n"


def _project() -> Project:
    return kept.project(Path())


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
        table = _table("cell", *SCALES)
        planned = {
            scale: {cell.id: cell for cell in project.cells[scale] if name in cell.studies}
            for scale in SCALES
        }
        for cell in dict.fromkeys(cell for cells in planned.values() for cell in cells):
            table.add_row(cell, *(_size(planned[scale].get(cell)) for scale in SCALES))
        console.print(table)
        claims = _table("claim", "source", "says")
        for claim in study.claims:
            claims.add_row(claim.id, claim.source, claim.says)
        console.print(claims)
    for section, found in (("agents", project.agents), ("plugins", project.plugins)):
        used = {name for file in project.used for name in file.presets.get(section, ())}
        console.print(f"{section}: " + ", ".join(name for name in found if name not in used))
    version = installed("rl-claims") or "not installed"
    for file in project.used:
        for section, names in file.presets.items():
            told = f"{section} of {file.name}, rl-claims {version}: " + ", ".join(names)
            console.print(told, highlight=False)


def _table(names: str, *others: str) -> Table:
    """A table whose first column goes on below where a terminal is too narrow, and is never cut."""
    return Table(Column(names, overflow="fold"), *others, box=None)


def _size(cell: Cell | None) -> str:
    return f"{len(cell.runs)} x {cell.runs[0].budget:,}" if cell else "-"


@app.command()
def plan(
    scale: ScaleOption = "smoke",
    write: Annotated[
        Path | None, typer.Option(help="write a file per study and cell into this folder")
    ] = None,
    jobs: JobsOption = CORES,
) -> None:
    """Show what would run, for how many steps, how long and in how much memory on this machine."""
    project = _project()
    planned = plan_cells(project, scale)
    if write is not None:
        changed = write_plan(planned, write)
        console.print(f"{len(planned.cells)} cells planned at {scale}, {len(changed)} changed")
    else:
        _show_plan(project, list(planned.cells), scale, jobs)


def _show_plan(project: Project, cells: list[Cell], scale: Scale, jobs: int) -> None:
    store = Store(RUNS)
    table = _table("cell", "to run", "steps", "core time", "memory")
    waiting: list[Cell] = []
    seconds, memory = 0.0, 0
    here = pace((cell for one in SCALES for cell in project.cells[one]), store)
    for cell in cells:
        runs = tuple(run for run in cell.runs if not store.state(run.key()).complete)
        if not runs:
            table.add_row(cell.id, "done", "", "", "")
            continue
        left = cell.model_copy(update={"runs": runs})
        cost = here.of(cell.id, runs[0]) * seconds_estimate(left)
        table.add_row(
            cell.id,
            f"{len(runs)} of {len(cell.runs)} seeds",
            f"{left.steps:,}",
            _duration(cost),
            _bytes(memory_estimate(left)),
        )
        waiting.append(left)
        seconds += cost
        memory = max(memory, memory_estimate(left))
    console.print(table)
    keep_estimates()
    if not waiting:
        console.print(f"{scale}: nothing is left to train")
        return
    measured = sum(here.measured(cell.id, cell.runs[0]) for cell in waiting)
    console.print(
        f"{scale}: {sum(cell.steps for cell in waiting):,} steps, {_duration(seconds)} of core "
        f"time, about {_duration(duration(waiting, jobs, here))} with {jobs} processes of at most "
        f"{_bytes(memory)}; {measured} of {len(waiting)} cells estimated from finished runs, the "
        "others from the speed of this processor"
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
    scheduler: SchedulerOption = None,
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
) -> None:
    """Train what is missing of the named cells; interrupted runs go on where they were."""
    chosen = _chosen(_project(), scale, cells)
    _train(chosen, jobs, scheduler, device)


def _train(cells: list[Cell], jobs: int, scheduler: str | None = None, device: str = "cpu") -> None:
    from suite.engine.run import run_cells

    summary = run_cells(
        cells, Store(RUNS), jobs=jobs, scheduler=scheduler, device=device, console=console
    )
    for key in summary.failed:
        state = summary.states[key]
        told = f"{state.state}\n{state.message}" if not state.complete else summary.lacking[key]
        errors.print(f"run {key}: {told}")
    if summary.failed:
        errors.print("Failed runs train again with the same command.", style="red")
        raise typer.Exit(1)


@app.command()
def train(
    study: Annotated[str, typer.Argument(help="a study of the written plan")],
    jobs: JobsOption = CORES,
    scheduler: SchedulerOption = None,
) -> None:
    """Train the cells of a study in the written plan: what a stage of the pipeline does.

    Writes what its runs left to reports/trained/.
    """
    cells = read_study(REPORTS / "plan" / study)
    _train(cells, jobs, scheduler)
    store = Store(RUNS)
    summary = {
        cell.id: {
            one.seed: {
                "key": one.key(),
                "state": store.state(one.key()).state,
                "record_sha256": store.record_digest(one.key()),
                "recordings": sorted(store.recordings(one.key())),
            }
            for one in cell.runs
        }
        for cell in cells
    }
    _write_json(REPORTS / "trained" / f"{study}.json", summary)


def _write_json(path: Path, document: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")


@app.command()
def analyse(
    cells: CellsArgument = None,
    scale: ScaleOption = "smoke",
    jobs: JobsOption = CORES,
    write: Annotated[
        Path | None, typer.Option(help="write the digests of all results to this file")
    ] = None,
) -> None:
    """Compute the analyses of finished runs that are missing or of an earlier version.

    Nothing is trained.
    """
    from suite.engine.analyse import analyse_cells, digests

    store = Store(RUNS)
    chosen = [
        cell.model_copy(update={"runs": tuple(begun_runs(store, cell))})
        for cell in _chosen(_project(), scale, cells)
    ]
    found = analyse_cells(chosen, store, jobs, console)
    _say(f"{found.computed} analyses computed, {found.present} were there")
    if found.waiting:
        _say(f"{found.waiting} wait for runs or recordings: `suite run` trains them")
    if write is not None:
        _write_json(write, digests(chosen, store))
    for name, error in found.failed.items():
        errors.print(f"{name}:\n{error}", markup=False, highlight=False)
    if found.failed:
        raise typer.Exit(1)


@app.command()
def evidence(cells: CellsArgument = None, scale: ScaleOption = "short") -> None:
    """Keep finished runs of the named cells as files in reports/evidence/, for version control."""
    store, project = Store(RUNS), _project()
    whole = project.series_read()
    written = [
        export(store, one.key(), EVIDENCE, one.analyses, whole)
        for cell in _chosen(project, scale, cells)
        for one in begun_runs(store, cell)
        if store.state(one.key()).complete
    ]
    console.print(f"{len(written)} runs of scale {scale} are in {EVIDENCE}")


def _verdicts(project: Project) -> tuple[list[Any], "list[Verdict]"]:
    from suite.stats.studies import judge_all

    runs = collect_runs(project, Store(RUNS), EVIDENCE)
    return runs, judge_all(project, runs)


@app.command()
def verify(
    record: Annotated[
        bool,
        typer.Option(
            "--record",
            help="write reports/expected_verdicts.yaml, with which pytest compares",
        ),
    ] = False,
) -> None:
    """Judge every claim from finished runs and evidence; write reports/verdicts.json."""
    from suite.report.results import write_curves, write_verdicts
    from suite.stats.verdicts import side_by_side

    project = _project()
    runs, verdicts = _verdicts(project)
    REPORTS.mkdir(exist_ok=True)
    write_verdicts(project, verdicts, REPORTS / "verdicts.json")
    write_curves(runs, REPORTS / "curves.csv")
    table = _table("claim", "verdict", "scale", "observed, null and paper", "reason")
    for verdict in verdicts:
        sides = side_by_side(verdict)
        table.add_row(verdict.claim, verdict.state, verdict.scale or "-", sides, verdict.reason)
    console.print(table)
    if record:
        _record(project, runs)


def _record(project: Project, runs: list[Run]) -> None:
    """Record the verdicts, and say what that changes."""
    from suite import expected
    from suite.stats.studies import judge_by_scale

    with TemporaryDirectory() as nothing:
        committed = collect_runs(project, Store(Path(nothing)), EVIDENCE)
    found = expected.record(
        [(study.name, claim.id) for study in project.studies.values() for claim in study.claims],
        judge_by_scale(project, runs),
        judge_by_scale(project, committed),
        expected.read(project.root) or {},
    )
    expected.write(project.root, found.expected)
    _say(f"{expected.PATH} has the verdicts on {len(found.expected)} claims")
    for what, claims in (
        ("changed", found.changed),
        ("new", found.added),
        ("in no study any more, dropped", found.dropped),
        ("left as they were where their runs are not here", found.kept),
    ):
        if claims:
            _say(f"{what}: {', '.join(claims)}")


@app.command()
def campaign(
    hours: Annotated[
        float | None, typer.Option(min=0.0, help="wall clock to use; without it, show the order")
    ] = None,
    jobs: JobsOption = CORES,
) -> None:
    """Train what open claims still need, the cheapest first, until the time is used up; the same
    command goes on."""
    from suite import campaign as campaigns
    from suite.stats.studies import judge_all

    project, store = _project(), Store(RUNS)
    here = pace((cell for scale in SCALES for cell in project.cells[scale]), store)
    if hours is not None:
        campaigns.campaign(project, store, EVIDENCE, here, 3600 * hours, jobs, console)
        return
    runs = collect_runs(project, store, EVIDENCE)
    table = _table("claim", "scale", "runs", "core time", "why")
    for need in campaigns.needs(project, runs, judge_all(project, runs), here):
        scale, count = need.cells[0].scale, sum(len(cell.runs) for cell in need.cells)
        table.add_row(need.claim, scale, str(count), _duration(need.seconds), need.why)
    console.print(table)


@app.command()
def report() -> None:
    """Write reports/report.html and reports/summary.md."""
    from suite.report.page import write_report

    project = _project()
    runs, verdicts = _verdicts(project)
    REPORTS.mkdir(exist_ok=True)
    write_report(project, runs, verdicts, REPORTS)
    console.print(f"{REPORTS / 'report.html'}")


@app.command()
def render(
    task: Annotated[str, typer.Argument(help="name of a task of tasks/*.yaml")],
    output: Annotated[Path, typer.Argument(help="a .png or .gif to write")],
    renderer: Annotated[
        Literal["raycast", "gl", "both"], typer.Option(help="both: side by side")
    ] = "raycast",
    run: Annotated[str | None, typer.Option(help="key of a run whose greedy policy acts")] = None,
    steps: Annotated[int, typer.Option(min=0, help="steps; a picture shows the last")] = 20,
    size: Annotated[int, typer.Option(min=8, max=480, help="height and width in pixels")] = 200,
) -> None:
    """Draw a task, or a trained run in it, as a picture or an animation."""
    from suite.envs.pictures import render as draw_task

    tasks = _project().tasks
    if task not in tasks:
        raise typer.BadParameter(f"no task {task}; known: {', '.join(tasks)}")
    policy = None if run is None else _greedy(run)
    try:
        draw_task(tasks[task], output, renderer, steps, size, policy)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    console.print(f"{output}")


def _greedy(run: str) -> "Policy":
    """The greedy policy of a run, for one observation at a time."""
    from suite.training.loading import agent_from_checkpoint

    agent = agent_from_checkpoint(Store(RUNS), run)

    def act(observation: np.ndarray) -> np.ndarray:
        action: np.ndarray = agent.greedy(observation[np.newaxis, np.newaxis])[0, 0]
        return action

    return act


@app.command(name="conform")
def conform_(
    plugin: Annotated[
        str | None, typer.Argument(help="kind of a plug-in, of the suite or registered")
    ] = None,
    environment: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="FAMILY ID", help="an environment, e.g. gymnasium CartPole-v1"),
    ] = None,
    analysis: Annotated[
        str | None, typer.Option(metavar="KIND", help="an analysis, of the suite or registered")
    ] = None,
    arguments: Annotated[
        str, typer.Option(help="of the environment, or settings of the analysis, as YAML")
    ] = "{}",
) -> None:
    """Test that a plug-in keeps the laws of grouping, resuming, looking and being off, that an
    environment's episodes depend on their seed and actions alone, or that an analysis depends on a
    run and its named recordings alone and changes nothing."""
    from suite.conformance import conform, conform_analysis, conform_environment
    from suite.plugins.registry import PLUGINS

    if sum(one is not None for one in (plugin, environment, analysis)) != 1:
        raise typer.BadParameter("name a plug-in, or --environment FAMILY ID, or --analysis KIND")
    if analysis is not None:
        settings = _analysis_settings(analysis, arguments)
        raise typer.Exit(conform_analysis(analysis, settings))
    if environment is not None:
        raise typer.Exit(conform_environment(_environment(*environment, arguments)))
    if plugin is None or plugin not in PLUGINS:
        raise typer.BadParameter(f"no plug-in {plugin}; known: {', '.join(PLUGINS)}")
    raise typer.Exit(conform(PLUGINS[plugin]))


def _analysis_settings(kind: str, text: str) -> dict[str, Any]:
    """Checked settings of an analysis, every default filled in.

    Raises BadParameter when there is no such analysis and SpecError for wrong settings.
    """
    from suite.analysis.registry import ANALYSES
    from suite.specs.checking import Checker

    if kind not in ANALYSES:
        raise typer.BadParameter(f"no analysis {kind}; known: {', '.join(ANALYSES)}")
    checker = Checker()
    given = parse_yaml(text, "--arguments")
    chosen = checker.model(ANALYSES[kind].Settings, given, f"settings of {kind!r}")
    checker.stop_if_wrong()
    assert chosen is not None
    whole: dict[str, Any] = chosen.model_dump(mode="json")
    return whole


def _environment(family: str, name: str, arguments: str) -> TaskSpec:
    """A task with checked arguments.

    Raises BadParameter when it cannot be built and SpecError for wrong arguments.
    """
    from suite.envs.families import FAMILIES
    from suite.envs.make import make_environment
    from suite.specs.arguments import arguments_model, resolved
    from suite.specs.checking import Checker

    if family not in FAMILIES:
        raise typer.BadParameter(f"no family {family}; known: {', '.join(FAMILIES)}")
    task = TaskSpec(name="conform", family=family, environment=name)
    checker = Checker()
    try:
        model = arguments_model(task)
        given = parse_yaml(arguments, "--arguments")
        chosen = checker.model(model, given, f"arguments of {family} {name}")
        checker.stop_if_wrong()
        assert chosen is not None
        task = task.model_copy(update={"arguments": resolved(model, chosen)})
        make_environment(task)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return task


@app.command()
def why(
    left: Annotated[str, typer.Argument(metavar="RUN", help="key, its beginning, or a file")],
    right: Annotated[str, typer.Argument(metavar="RUN", help="or CELL:SEED@SCALE")],
) -> None:
    """Show what differs between two runs, and the first step at which their traces part."""
    store = Store(RUNS)
    runs = known_runs(_project(), store, EVIDENCE)
    try:
        sides = [find_run(name, runs, store) for name in (left, right)]
    except UnknownRunError as error:
        raise typer.BadParameter(str(error)) from None
    first, second = (run for run, _ in sides)
    for run in (first, second):
        stale = f", stale: {run.stale}" if run.stale else ""
        _say(f"{run.key}  {run.name()}, {run.state}{stale}")
    found = compare(first, second, rounded=any(rounded for _, rounded in sides))
    for section in ("spec", "versions", "lock", "code", "numerics", "machine"):
        differences: tuple[Difference, ...] = getattr(found, section)
        known = section in ("spec", "versions") or found.traces is not None
        same = "the same" if known else "not known"
        if section == "numerics" and known and NOT_RECORDED in first.numerics.values():
            same = "the same as far as they were recorded"
        _say(f"{section}: {'' if differences else same}")
        for one in differences:
            _say(f"  {one.path}: {one.left} | {one.right}")
    if found.traces is None:
        waiting = [run for run in (first, second) if not run.provenance]
        _say("traces: none; " + ", ".join(f"{run.key} is {run.state}" for run in waiting))
    else:
        _say_traces(found.traces)


def _say_traces(traces: Traces) -> None:
    told = f"{len(traces.shared)} shared series"
    if traces.rounded:
        told += ", compared with the digits that evidence keeps"
    if not traces.partings:
        _say(f"traces: {told}; the same at all common steps")
    else:
        first = traces.partings[0]
        _say(
            f"traces: part at step {first.step:.0f} in {first.series}: "
            f"{first.left!r} | {first.right!r} ({len(traces.partings)} of {told} part)"
        )
    for side, names in (("first", traces.only_left), ("second", traces.only_right)):
        if names:
            _say(f"  only in the {side}: {', '.join(names)}")


@app.command()
def doctor() -> None:
    """Say what this machine can and can't run, and the command that mends what can't be."""
    from suite.commands.doctor import examine, smoke_can_run

    checks = []
    for check in examine(_project(), RUNS):
        checks.append(check)
        word = "ok   " if check.ok else "can't"
        _say(f"{word}  {check.name}: {check.found}")
        if not check.ok:
            _say(f"       means: {check.means}\n       mend:  {check.remedy}")
    if not smoke_can_run(checks):
        _say("The pipeline at smoke scale can't run on this machine.")
        raise typer.Exit(1)
    _say("The pipeline at smoke scale can run on this machine.")


@app.command()
def status(
    study: Annotated[str | None, typer.Option(help="one study; none means all")] = None,
    scale: Annotated[Scale | None, typer.Option(help="one scale; none means all")] = None,
) -> None:
    """Count the runs of every cell by state, show why runs failed, and say what is not recorded or
    analysed."""
    from suite.commands.status import looks

    project, store = _project(), Store(RUNS)
    if study is not None and study not in project.studies:
        raise typer.BadParameter(f"no study {study}; known: {', '.join(project.studies)}")
    found = list(count_states(project, known_runs(project, store, EVIDENCE), study, scale))
    states = [state for state in STATES if any(row.counts[state] for row in found)]
    table = Table("study", Column("cell", overflow="fold"), "scale", *states, box=None)
    for row in found:
        counts = (str(row.counts[state] or "") for state in states)
        table.add_row(row.study, row.cell, row.scale, *counts)
    console.print(table)
    messages = {run.key: run for row in found for run in row.runs if run.message}
    for key, run in messages.items():
        _say(f"{key}  {run.name()}, {run.state}: {run.message}")
    for line in looks(project, store, found).told():
        _say(line)


@app.command(name="export")
def export_(
    output: Annotated[Path, typer.Argument(help="a .csv or .parquet, or a folder for events")],
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="write TensorBoard events below a folder")
    ] = False,
) -> None:
    """Write every series of all runs as a long table, or as TensorBoard events."""
    project = _project()
    runs = known_runs(project, Store(RUNS), EVIDENCE)
    present = [run for run in runs if run.series and not run.stale]
    try:
        if tensorboard:
            count = write_tensorboard(present, output)
        elif output.suffix == ".csv":
            count = write_csv(rows(project, present), output)
        elif output.suffix == ".parquet":
            count = write_parquet(rows(project, present), output)
        else:
            raise ExportError(
                f"{output} has suffix {output.suffix!r}; use .csv or .parquet, or --tensorboard "
                "for a folder of events"
            )
    except ExportError as error:
        raise typer.BadParameter(str(error)) from None
    _say(f"{count} values of {len(present)} runs are in {output}")
    left = [run for run in runs if not run.series or run.stale]
    if left:
        _say(f"left out: {_counted(left)}")


def _counted(runs: list[Run]) -> str:
    states = Counter(state_of(run) for run in runs)
    return ", ".join(f"{count} {state}" for state, count in states.items())


def _say(line: str) -> None:
    """One line as it is: not folded, not coloured."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
