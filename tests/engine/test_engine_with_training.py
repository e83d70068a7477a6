"""The engine with real training: killed, regrouped and resumed, it ends with the same bytes."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
from rich.console import Console

from suite.engine.run import run_cells
from suite.specs.loading import load_project
from suite.specs.models import Cell
from suite.store.store import Store

ROOT = Path(__file__).parents[2]
SMALL = {"warmup_steps": 40, "batch_size": 16, "replay_capacity": 2000, "hidden_units": 16}


def small_cell(task, agent, plugin, budget):
    """A cell of three seeds of real presets, cut down to seconds."""
    project = load_project(ROOT)
    chosen = project.agents[agent]
    spec = next(cell for cell in project.cells["smoke"] if cell.runs[0].agent.kind == chosen.kind)
    shrunk = chosen.model_copy(update={"settings": {**chosen.settings, **SMALL}})
    first = spec.runs[0].model_copy(
        update={
            "task": project.tasks[task],
            "agent": shrunk,
            "plugins": (project.plugins[plugin],),
            "recordings": (),
            "analyses": (),
            "budget": budget,
            "evaluate_every": budget // 4,
            "evaluation_episodes": 2,
        }
    )
    runs = tuple(first.model_copy(update={"seed": seed}) for seed in range(3))
    return Cell(id=f"{task}--{agent}--{plugin}", scale="smoke", runs=runs)


DRIVER = """
import sys
if __name__ == "__main__":
    from pathlib import Path
    from suite.engine import shards
    from suite.engine.run import run_cells
    from suite.specs.models import Cell
    from suite.store.store import Store
    shards.WORTHWHILE_SECONDS = 0.001
    cell = Cell.model_validate_json(Path(sys.argv[1]).read_text())
    run_cells([cell], Store(Path(sys.argv[2])), jobs=2, checkpoint_seconds=0.05)
"""


def test_killed_and_resumed_in_other_shards_gives_the_same_bytes(tmp_path):
    cell = small_cell("inverted_pendulum", "td3-official", "nap_linear", budget=600)
    unbroken, broken = Store(tmp_path / "unbroken"), Store(tmp_path / "broken")
    console = Console(file=io.StringIO())
    assert not run_cells([cell], unbroken, console=console).failed

    (tmp_path / "cell.json").write_text(cell.model_dump_json())
    (tmp_path / "driver.py").write_text(DRIVER)
    arguments = [str(tmp_path / name) for name in ("driver.py", "cell.json", "broken")]
    process = subprocess.Popen(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )
    keys = [run.key() for run in cell.runs]
    deadline = time.monotonic() + 90
    while not all((broken.checkpoint_step(key) or 0) > 0 for key in keys):
        assert time.monotonic() < deadline and process.poll() is None, "no checkpoint came"
        time.sleep(0.02)
    family = [process, *psutil.Process(process.pid).children(recursive=True)]
    for victim in family:
        victim.send_signal(signal.SIGKILL)
    process.wait()
    psutil.wait_procs(family[1:], timeout=10)
    assert [broken.state(key).state for key in keys] == ["interrupted"] * 3

    assert not run_cells([cell], broken, console=console).failed
    for key in keys:
        for name in ("record.json", "COMPLETE", "spec.json"):
            one, other = broken.folder(key) / name, unbroken.folder(key) / name
            assert one.read_bytes() == other.read_bytes()
