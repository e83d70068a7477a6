"""What must hold for every analysis, as assertions on its results for small runs.

Each law raises AssertionError where it is broken; what an analysis raises itself goes through.
`Small` is what they are shown on.
"""

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch
from pydantic import TypeAdapter
from rich.console import Console

from suite.analysis.protocol import Analysis, Result, document_of
from suite.analysis.recorded import RecordedRun
from suite.analysis.registry import build_analysis, recordings_of
from suite.conformance.small_runs import small_runs, train
from suite.engine.analyse import analyse_cells
from suite.specs.claims import NamedFigure, SeriesName
from suite.specs.models import AnalysisSpec, Cell, RunSpec, canonical
from suite.store.store import Store
from suite.training.learner import LearningAgent
from suite.training.process import configure
from suite.training.rows import Row, cut

SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Small:
    """Small runs of one agent, trained together, with the recordings that an analysis names."""

    spec: AnalysisSpec
    runs: tuple[RunSpec, ...]
    store: Store


def trained(spec: AnalysisSpec, kind: str, folder: Path) -> Small:
    """Small runs of this kind of agent in a store of their own."""
    looks = {"analyses": (spec,), "recordings": recordings_of(spec)}
    runs = [run.model_copy(update=looks) for run in small_runs(kind, list(SEEDS))]
    return Small(spec, tuple(runs), train(runs, folder))


def refusal(small: Small) -> str | None:
    """Why the analysis takes no runs of this agent; None if it does."""
    try:
        build_analysis(small.spec).analyse(RecordedRun(small.runs[0], small.store))
    except ValueError as error:
        assert str(error), "it refuses an agent without a reason: give the ValueError a text"
        return str(error)
    return None


def assert_results_can_be_named(small: Small) -> None:
    """Results are JSON with numbers or null, under names that claims can have."""
    TypeAdapter(NamedFigure).validate_python(small.spec.kind)
    for run in small.runs:
        result = build_analysis(small.spec).analyse(RecordedRun(run, small.store))
        assert isinstance(result, Result), f"the result is {result!r}, not a Result"
        assert result.series or result.figures or result.arrays, "the result is empty"
        for name, points in result.series.items():
            TypeAdapter(SeriesName).validate_python(f"{small.spec.kind}/{name}")
            assert name and "*" not in name, f"series {name!r}: no claim can name it alone"
            _assert_points(name, *points)
        for name, value in result.figures.items():
            TypeAdapter(NamedFigure).validate_python(f"{small.spec.kind}/{name}")
            number = isinstance(value, Real) and not isinstance(value, bool)
            assert number, f"figure {name!r} is {value!r}, not a number"
        for name, array in result.arrays.items():
            assert isinstance(array, np.ndarray), f"array {name!r} is a {type(array).__name__}"
        json.dumps(document_of(result), allow_nan=False)


def _assert_points(name: str, steps: np.ndarray, values: np.ndarray) -> None:
    steps, values = np.asarray(steps), np.asarray(values)
    assert steps.ndim == 1 and steps.shape == values.shape, (
        f"series {name!r} has steps of shape {steps.shape} and values of shape {values.shape}, "
        "not [E] and [E]"
    )
    for what, array in (("steps", steps), ("values", values)):
        assert array.dtype.kind in "iuf", f"series {name!r} has {what} of type {array.dtype}"
    assert np.isfinite(steps).all(), f"series {name!r} has steps that are not finite"
    assert (np.diff(steps) >= 0).all(), f"series {name!r} has falling steps"


def assert_it_repeats(small: Small) -> None:
    """The same bytes when computed again, by the same object or another, in any order of runs."""
    analysis = build_analysis(small.spec)
    first = _results(small, analysis, small.runs)
    _assert_same(first, _results(small, analysis, small.runs), "computed twice")
    fresh = build_analysis(small.spec)
    backwards = _results(small, fresh, small.runs[::-1])
    _assert_same(first, backwards, "computed in another order of runs")


def assert_processes_agree(small: Small) -> None:
    """A new process, with another hash seed, computes the same bytes."""
    code = f"from {__name__} import print_digests; import sys; print_digests(*sys.argv[1:])"
    runs = json.dumps([run.model_dump(mode="json") for run in small.runs])
    root = str(small.store.root.resolve())
    done = subprocess.run(
        [sys.executable, "-c", code, small.spec.model_dump_json(), runs, root],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "11"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"it can't be computed in a new process:\n{done.stderr}"
    found = json.loads(done.stdout.splitlines()[-1])
    for run, digest in zip(small.runs, found, strict=True):
        assert digest == _digests(small, [run])[0], f"another process differs at seed {run.seed}"


def print_digests(spec: str, runs: str, root: str) -> None:
    """Print what `assert_processes_agree` compares, for specs as JSON."""
    specs = tuple(RunSpec.model_validate_json(json.dumps(run)) for run in json.loads(runs))
    small = Small(AnalysisSpec.model_validate_json(spec), specs, Store(Path(root)))
    print(json.dumps(_digests(small, specs)))


def _digests(small: Small, runs: Sequence[RunSpec]) -> list[str]:
    results = _results(small, build_analysis(small.spec), runs)
    return [hashlib.sha256(results[run.seed]).hexdigest() for run in runs]


def assert_companions_do_not_matter(small: Small, folder: Path) -> None:
    """A seed that trained alone has the result that it has among others."""
    run = small.runs[1]
    alone = Small(small.spec, (run,), train([run], folder))
    together = _results(small, build_analysis(small.spec), alone.runs)
    found = _results(alone, build_analysis(small.spec), alone.runs)
    _assert_same(together, found, "of a run that trained alone")


def assert_it_leaves_runs_alone(small: Small, folder: Path) -> None:
    """`suite analyse` adds its results to the store and changes no other file of it."""
    shutil.copytree(small.store.root, folder)
    store = Store(folder)
    before = _files(folder)
    cell = Cell(id="task--small--none", scale="smoke", runs=small.runs)
    failed = analyse_cells([cell], store, console=Console(quiet=True)).failed
    assert not failed, "".join(failed.values())
    after = _files(folder)
    own = [
        f"{run.key()}/analyses/{small.spec.key(run.key())}{suffix}"
        for run in small.runs
        for suffix in (".json", ".safetensors")
    ]
    names = sorted({*before, *after} - {*own})
    changed = [name for name in names if before.get(name) != after.get(name)]
    assert not changed, f"it changes, adds or removes {', '.join(changed)} in the store"


def assert_only_named_recordings_are_read(small: Small) -> None:
    """Recordings that others ask for, of the same kinds with another setting, change nothing."""
    expected = _results(small, build_analysis(small.spec), small.runs)
    others = tuple(
        named.model_copy(update={"settings": {**named.settings, setting: None}})
        for named in recordings_of(small.spec)
        for setting in named.settings
    )
    beside = [
        run.model_copy(update={"recordings": (*others, *run.recordings)}) for run in small.runs
    ]
    found = _results(small, build_analysis(small.spec), beside)
    _assert_same(expected, found, "beside recordings of others")


def assert_process_and_agents_are_left_alone(small: Small) -> None:
    """Random states, threads and modes of the process are as before, and so are the agents, which
    are the same objects in every pass here."""
    configure()
    for run in small.runs:
        before = _process()
        kept = _Kept(run, small.store)
        first = _bytes(build_analysis(small.spec).analyse(kept))
        after = _process()
        for what in before:
            told = f"it changes {what}: draw from `suite.stacked.streams.stream`, keep modes"
            assert before[what] == after[what], told
        kept.assert_unchanged()
        again = _bytes(build_analysis(small.spec).analyse(kept))
        assert first == again, f"seed {run.seed}: another pass over the agents gives another result"


class _Kept(RecordedRun):
    """Gives out the same agents in every pass."""

    def __init__(self, spec: RunSpec, store: Store) -> None:
        super().__init__(spec, store)
        self._agents: dict[str, tuple[dict[str, Any], list[tuple[int, LearningAgent]]]] = {}

    def agents(self, **settings: Any) -> Iterator[tuple[int, LearningAgent]]:
        name = canonical(settings)
        if name not in self._agents:
            self._agents[name] = settings, list(super().agents(**settings))
        yield from self._agents[name][1]

    def assert_unchanged(self) -> None:
        for settings, agents in self._agents.values():
            for (step, given), (_, fresh) in zip(agents, super().agents(**settings), strict=True):
                same = _row_bytes(given) == _row_bytes(fresh)
                assert same, (
                    f"it changes the agent of step {step}: work on a copy of its parameters"
                )


def _row_bytes(agent: LearningAgent) -> dict[str, bytes]:
    row: Row = cut(agent.state(), 0)
    return {name: np.asarray(array).tobytes() for name, array in row.arrays.items()}


def _process() -> dict[str, Any]:
    """What every part of a process shares, by what it is."""
    kind, keys, *rest = np.random.get_state()
    return {
        "Python's random state": random.getstate(),
        "NumPy's random state": (kind, np.asarray(keys).tobytes(), rest),
        "PyTorch's random state": torch.get_rng_state().numpy().tobytes(),
        "PyTorch's number of threads": torch.get_num_threads(),
        "PyTorch's default type": torch.get_default_dtype(),
        "PyTorch's gradient mode": torch.is_grad_enabled(),
    }


def _results(small: Small, analysis: Analysis, runs: Sequence[RunSpec]) -> dict[int, bytes]:
    """The bytes of each run's result by seed, computed in this order."""
    configure()
    return {run.seed: _bytes(analysis.analyse(RecordedRun(run, small.store))) for run in runs}


def _bytes(result: Result) -> bytes:
    arrays = {name: np.ascontiguousarray(array) for name, array in result.arrays.items()}
    document: bytes = canonical(document_of(result)).encode()
    return document + safetensors.numpy.save(arrays)


def _assert_same(one: dict[int, bytes], other: dict[int, bytes], when: str) -> None:
    for seed, found in other.items():
        assert found == one[seed], f"seed {seed}: the result {when} has other bytes"


def _files(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}
