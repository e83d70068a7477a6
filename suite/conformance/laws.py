"""What must hold for every plug-in with every agent, as assertions on small runs.

Each trains in folders of its own below `folder` and raises AssertionError where a law is broken.
"""

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from suite.conformance.small_runs import result, small_runs, train
from suite.recordings.registry import RECORDINGS
from suite.specs.models import PluginSpec, RunSpec
from suite.specs.registry import AGENTS
from suite.store.store import Store
from suite.training.process import configure
from suite.training.rows import Row, cut, stack
from suite.training.shard import LOOPS, Loop

Plugins = Sequence[PluginSpec]


def assert_it_acts(kind: str, plugins: Plugins, folder: Path) -> None:
    """Seeds differ, and weights differ from those without the plug-ins.

    Guards the other laws: equal bytes must not come from runs in which nothing happens.
    """
    one, other = small_runs(kind, [0, 1], list(plugins), budget=60)
    base = small_runs(kind, [0], budget=60)
    store = train([one, other], folder / "with")
    weights = [_weights(store, run) for run in (one, other)]
    assert np.isfinite(weights[0]).all(), "weights are not finite"
    assert not np.array_equal(weights[0], weights[1]), "two seeds have the same weights"
    if plugins:
        plain = _weights(train(base, folder / "without"), base[0])
        same = weights[0].shape == plain.shape and np.array_equal(weights[0], plain)
        assert not same, "the plug-in changes nothing; give `acting` settings that do"


def assert_groups_agree(runs: Sequence[RunSpec], folder: Path) -> None:
    """I1: six seeds at once give the bytes of the same seeds in groups of three, two and one."""
    six = train(list(runs), folder / "six")
    for name, group in {"three": runs[:3], "two": runs[3:5], "one": runs[5:]}.items():
        store = train(list(group), folder / name)
        for run in group:
            same = result(store, run) == result(six, run)
            assert same, f"seed {run.seed} in a group of {name} differs from it in a group of six"


def assert_evaluation_changes_no_weight(kind: str, plugins: Plugins, folder: Path) -> None:
    """I3: evaluating often, which reads diagnostics, or never gives the same agents."""
    often = small_runs(kind, [0, 1], list(plugins), evaluate_every=7, evaluation_episodes=3)
    never = small_runs(kind, [0, 1], list(plugins), evaluate_every=10**6, evaluation_episodes=0)
    looked, not_looked = train(often, folder / "often"), train(never, folder / "never")
    same = _agents(looked, often) == _agents(not_looked, never)
    assert same, "evaluations or diagnostics change what is trained"
    assert (
        "return" not in not_looked.record(never[0].key())["series"]
        or AGENTS[kind].loop == "supervised"
    )


def assert_recordings_change_nothing(kind: str, plugins: Plugins, folder: Path) -> None:
    """I3: recordings leave the agents and the record as they are, to the byte."""
    recorded = small_runs(kind, [0, 1], list(plugins), recordings=tuple(RECORDINGS))
    plain = small_runs(kind, [0, 1], list(plugins))
    stores = train(recorded, folder / "recorded"), train(plain, folder / "plain")
    for run in plain:
        for name in ("record.json", "agent.safetensors"):
            one, other = (store.folder(run.key()) / name for store in stores)
            assert one.read_bytes() == other.read_bytes(), f"recordings change {name}"


def assert_neutral_is_absent(
    kind: str, base: Plugins, neutral: PluginSpec, folder: Path, in_place: bool = False
) -> None:
    """I4: with neutral settings the agents and series are those of the base run.

    `in_place`: the plug-in takes the place of the base's, because it does their work too.
    """
    without = small_runs(kind, [0, 1], list(base))
    with_it = small_runs(kind, [0, 1], [neutral] if in_place else [*base, neutral])
    stores = train(without, folder / "without"), train(with_it, folder / "with")
    for one, other in zip(without, with_it, strict=True):
        paths = stores[0].folder(one.key()), stores[1].folder(other.key())
        expected, found = (load_file(path / "agent.safetensors") for path in paths)
        assert expected.keys() == found.keys()
        for key in expected:
            assert expected[key].tobytes() == found[key].tobytes(), f"{key} differs"
        series = stores[0].record(one.key())["series"], stores[1].record(other.key())["series"]
        losses = [name for name in series[0] if name.startswith("loss/")]
        for name in ("return", "train_return", "online_accuracy", *losses):
            assert series[0].get(name) == series[1].get(name), f"series {name} differs"


def assert_checkpoint_continues(kind: str, plugins: Plugins, folder: Path) -> None:
    """I2: a seed whose state is taken at any step, in any group, goes on as if nothing happened."""
    configure()
    runs = small_runs(kind, [0, 1, 2], list(plugins), recordings=tuple(RECORDINGS))
    unbroken = _build(runs, folder / "unbroken")
    _advance(unbroken, runs[0], runs[0].budget)

    draw = np.random.default_rng(len(kind) + 7 * len(plugins))
    first, second = sorted(draw.integers(1, runs[0].budget, size=2).tolist())
    group = _build(runs, folder / "broken")
    _advance(group, runs[0], first)
    rows = _rows(group, 3)
    group.advance()  # work after the checkpoint is lost
    pair = _build([runs[2], runs[0]], folder / "broken")
    pair.load_state(stack([rows[2], rows[0]]))
    _advance(pair, runs[0], second)
    rows = _rows(pair, 2)
    alone = _build([runs[2]], folder / "broken")
    alone.load_state(stack([rows[0]]))
    _advance(alone, runs[0], runs[0].budget)

    _assert_equal_rows(_rows(alone, 1)[0], _rows(unbroken, 3)[2])
    assert alone.figures(0) == unbroken.figures(2), "figures differ after a checkpoint"
    alone.flush()
    unbroken.flush()
    recorded = [_files(folder / name / "2") for name in ("broken", "unbroken")]
    assert recorded[0] == recorded[1], "recordings differ after a checkpoint"


def _weights(store: Store, run: RunSpec) -> np.ndarray:
    arrays = load_file(store.folder(run.key()) / "agent.safetensors")
    names = sorted(name for name in arrays if name.endswith("/flat"))
    weights: np.ndarray = np.concatenate([arrays[name] for name in names])
    return weights


def _agents(store: Store, runs: Sequence[RunSpec]) -> list[bytes]:
    paths = [store.folder(run.key()) / "agent.safetensors" for run in runs]
    return [path.read_bytes() for path in paths]


def _build(runs: Sequence[RunSpec], folder: Path) -> Loop:
    loop = AGENTS[runs[0].agent.kind].loop
    seeds = [run.seed for run in runs]
    return LOOPS[loop](runs[0], seeds, "cpu", [folder / str(seed) for seed in seeds])


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.glob("*/*")}


def _advance(loop: Loop, run: RunSpec, until: int) -> None:
    if loop.step == 0:
        loop.begin()
        loop.evaluate()
    while loop.step < until:
        loop.advance()
        if loop.step % run.evaluate_every == 0 or loop.step == loop.total:
            loop.evaluate()


def _rows(loop: Loop, count: int) -> list[Row]:
    """Every seed's row, with memory of its own, as a checkpoint takes it."""
    loop.flush()
    state = loop.state()
    rows = []
    for i in range(count):
        row = cut(state, i)
        arrays = {name: np.array(array) for name, array in row.arrays.items()}
        rows.append(Row(arrays, deepcopy(row.values)))
    return rows


def _assert_equal_rows(one: Row, other: Row) -> None:
    """Equal but for the seconds, which are not repeatable."""
    assert one.arrays.keys() == other.arrays.keys()
    for name in one.arrays:
        assert one.arrays[name].dtype == other.arrays[name].dtype, name
        np.testing.assert_array_equal(one.arrays[name], other.arrays[name], err_msg=name)
    assert _repeatable(one.values) == _repeatable(other.values), "values differ"


def _repeatable(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if not name.endswith("seconds")}
