"""`suite run` on a terminal."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from suite.specs.loading import load_project
from suite.stacked import products
from suite.store.store import Store
from suite.training.shard import train_shard

ROOT = Path(__file__).parents[2]
WALK = "dead_unit_walk--walk-sign-rms--none"
RUN = "from suite.cli import main; main()"


class Stopped(Exception):
    pass


class Stopping(Store):
    def save_checkpoint(self, key, step, arrays, values):
        super().save_checkpoint(key, step, arrays, values)
        raise Stopped


def test_a_run_that_starts_again_says_so_in_one_line(project, monkeypatch):
    (cell,) = [cell for cell in load_project(project).cells["smoke"] if cell.id == WALK]
    store = Stopping(project / "runs")
    store.begin(cell.runs[0].key(), cell.runs[0].model_dump(mode="json"))
    with monkeypatch.context() as other:
        other.setattr(products, "KERNELS", 0)
        before = products.kernels("cpu")
        with pytest.raises(Stopped):
            train_shard(cell.runs[:1], store, cell.id, "smoke", checkpoint_seconds=0)
    told = subprocess.run(
        [sys.executable, "-c", RUN, "run", WALK, "--jobs", "1"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0
    assert told.stderr == (
        f"warning: {WALK} smoke seed 0 starts again from its beginning; its work up to step 1 is"
        f" dropped: the numerics changed (products: {before} | {products.kernels('cpu')})\n"
    )
