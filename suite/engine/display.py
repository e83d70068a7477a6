"""What a person sees while cells train; all of it is read from the store."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live
from rich.table import Table

from suite.specs.models import Cell
from suite.store.store import RunState, Store

LINE_SECONDS = 5.0
TABLE_SECONDS = 1.0


@dataclass(frozen=True)
class CellProgress:
    """Where a cell stands, over all of its seeds."""

    steps: int
    total: int
    steps_per_second: float  # of the seeds that train now
    last_return: float | None  # mean over the seeds whose return is known
    running: int
    complete: int

    @property
    def seconds_left(self) -> float | None:
        """At the present speed; None when nothing trains."""
        if self.steps_per_second <= 0:
            return None
        return (self.total - self.steps) / self.steps_per_second


class Display:
    """A table that stays in place on a terminal; elsewhere a line per cell every five seconds."""

    def __init__(self, console: Console, cells: Sequence[Cell], store: Store) -> None:
        self._console = console
        self._cells = cells
        self._store = store
        self._started = time.monotonic()
        self._next = 0.0
        self._ended: dict[str, RunState] = {}
        self._final_returns: dict[str, float | None] = {}
        self._live = (
            Live(console=console, auto_refresh=False, transient=True)
            if console.is_terminal
            else None
        )

    def __enter__(self) -> "Display":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def note(self, text: str) -> None:
        """Show a line that stays."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def update(self) -> None:
        """Show where things stand, unless that was shown just now."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + (LINE_SECONDS if self._live is None else TABLE_SECONDS)
        self.ends()
        active = [(cell, self._progress(cell)) for cell in self._cells if not self._over(cell)]
        active = [(cell, progress) for cell, progress in active if progress.running]
        if self._live is None:
            for cell, progress in active:
                self.note(f"{cell.id} {cell.scale}: " + ", ".join(_columns(cell, progress)))
        else:
            self._live.update(self._table(active), refresh=True)

    def ends(self) -> None:
        """Show what came to its end since the last call."""
        for cell in self._cells:
            if self._over(cell):
                continue
            for run in cell.runs:
                key = run.key()
                state = self._store.state(key)
                if key in self._ended or not (state.complete or state.state == "failed"):
                    continue
                self._ended[key] = state
                if state.complete:
                    values = self._store.record(key)["series"].get("return", {}).get("value", [])
                    self._final_returns[key] = values[-1] if values else None
                if state.state != "done":
                    why = state.message.strip().rpartition("\n")[2]
                    self.note(
                        f"{cell.id} {cell.scale} seed {run.seed} {state.state}: {why}"
                        f" ({self._store.folder(key)})"
                    )
            if self._over(cell):
                done = sum(self._ended[run.key()].state == "done" for run in cell.runs)
                final = self._progress(cell).last_return
                self.note(
                    f"{cell.id} {cell.scale}: {done} of {len(cell.runs)} seeds done"
                    f"{'' if final is None else f', return {final:.4g}'}"
                    f" ({_clock(time.monotonic() - self._started)} since the start)"
                )

    def _over(self, cell: Cell) -> bool:
        return all(run.key() in self._ended for run in cell.runs)

    def _progress(self, cell: Cell) -> CellProgress:
        steps, speed, running, complete = 0, 0.0, 0, 0
        returns: list[float | None] = []
        for run in cell.runs:
            key = run.key()
            if key in self._ended:
                complete += self._ended[key].complete
                steps += run.budget
                returns.append(self._final_returns.get(key))
                continue
            state = self._store.state(key)
            steps += state.step or 0
            progress = self._store.progress(key)
            if state.state == "running":
                running += 1
                if progress is not None:
                    speed += progress["steps_per_second"]
                    returns.append(progress["return"])
        known = [value for value in returns if value is not None]
        mean = sum(known) / len(known) if known else None
        return CellProgress(steps, cell.steps, speed, mean, running, complete)

    def _table(self, active: Sequence[tuple[Cell, CellProgress]]) -> Table:
        table = Table(box=None, pad_edge=False)
        for name in ("cell", "scale", "steps", "speed", "return", "left"):
            table.add_column(name, justify="left" if name in ("cell", "scale") else "right")
        for cell, progress in active:
            table.add_row(cell.id, cell.scale, *_columns(cell, progress))
        over = sum(self._over(cell) for cell in self._cells)
        elapsed = _clock(time.monotonic() - self._started)
        table.caption = f"{over} of {len(self._cells)} cells over, {elapsed} since the start"
        return table


def _columns(cell: Cell, progress: CellProgress) -> tuple[str, str, str, str]:
    seeds = f"{len(cell.runs)} seed{'s' if len(cell.runs) > 1 else ''}"
    left = progress.seconds_left
    return (
        f"{progress.steps:,}/{progress.total:,} steps ({seeds})",
        f"{progress.steps_per_second:,.0f} steps/s",
        "no return yet" if progress.last_return is None else f"return {progress.last_return:.4g}",
        "time left unknown" if left is None else f"{_clock(left)} left",
    )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
