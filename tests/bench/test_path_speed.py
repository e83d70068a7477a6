"""The analysis of a path against the SVD of every block of it, in one process with one thread.

The path has 2000 snapshots of the policy of TD3 on HalfCheetah, as its recording stores them; its
blocks are three layers and all parameters together, each whole and in thirds.
"""

import resource
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from workers import planned_run

from suite.analysis.path_layers import read_layers, thirds
from suite.analysis.policy_path import PolicyPath, PolicyPathSettings, singular_values
from suite.analysis.policy_spectrum import information
from suite.recordings.path import PathRecording, PathSettings, RecordedPath

pytestmark = pytest.mark.bench

SNAPSHOTS, EVERY = 2000, 25
LAYERS = {"hidden1": 18 * 256, "hidden2": 257 * 256, "output": 257 * 6}
SECONDS, BYTES, FASTER = 60, 2e9, 20


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> RecordedPath:
    """A walk with drift, written by the recording."""
    slices, start = [], 0
    for name, size in LAYERS.items():
        slices.append(SimpleNamespace(name=f"{name}.weight", start=start, stop=start + size))
        start += size
    rng = np.random.default_rng(0)

    def normal(scale: float) -> torch.Tensor:
        return torch.tensor(rng.normal(0, scale, (1, start)), dtype=torch.float32)

    flat, drift = normal(0.05), normal(0.0005)
    group = SimpleNamespace(steps=0, parameters=SimpleNamespace(flat=flat, slices=slices))
    agent: Any = SimpleNamespace(policy="actor", groups={"actor": group})
    folder = tmp_path_factory.mktemp("path")
    recording = PathRecording(PathSettings(every=EVERY), agent, [folder])
    recording.begin()
    for _ in range(SNAPSHOTS - 1):
        flat += drift + normal(0.003)
        group.steps += EVERY
        recording.after_update(agent, None)
    recording.flush()
    return RecordedPath(folder)


def test_a_path_of_the_papers_size_is_analysed_within_a_minute_and_two_gigabytes(
    recorded: RecordedPath, benchmark: Any
) -> None:
    spec = planned_run("halfcheetah--td3-official--none", budget=1_000_000)
    steps = np.linspace(0, spec.budget, 201)
    returns = {"step": steps.tolist(), "value": np.sqrt(steps).tolist()}
    run: Any = SimpleNamespace(
        path=lambda every: recorded, spec=spec, record={"series": {"return": returns}}
    )
    analysis = PolicyPath(PolicyPathSettings(every=EVERY))
    started = time.process_time()
    benchmark.pedantic(analysis.analyse, args=(run,), rounds=1)
    seconds = time.process_time() - started
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"\nanalysed in {seconds:.1f} s; the process has had at most {peak / 1e9:.2f} GB")
    assert seconds <= SECONDS
    assert peak <= BYTES


def test_the_blocks_of_a_path_are_decomposed_twenty_times_faster_than_by_their_svd(
    recorded: RecordedPath, benchmark: Any
) -> None:
    """The same shares of the sum of singular values come out, to a millionth."""
    parts = {"whole": slice(None), **thirds(SNAPSHOTS)}

    def decomposed() -> dict[tuple[str, str], np.ndarray]:
        layers = read_layers(recorded, np.arange(SNAPSHOTS))
        return {
            (name, period): singular_values(layer.gram[part, part])
            for name, layer in layers.items()
            for period, part in parts.items()
        }

    started = time.process_time()
    found = benchmark.pedantic(decomposed, rounds=1)
    ours = time.process_time() - started
    theirs = 0.0
    path = torch.from_numpy(recorded.columns()).double()
    columns, start = {"all": slice(None)}, 0
    for name, size in LAYERS.items():
        columns[name] = slice(start, start + size)
        start += size
    for (name, period), values in found.items():
        block = path[parts[period], columns[name]]
        started = time.process_time()
        expected = torch.linalg.svd(block, full_matrices=False).S.numpy()
        seconds = time.process_time() - started
        theirs += seconds
        print(f"\n{name}, {period}: svd {seconds:.1f} s", end="", flush=True)
        shares = information(expected)
        np.testing.assert_allclose(information(values)[: len(shares)], shares, atol=1e-6)
    print(f"\nours {ours:.1f} s, svd {theirs:.1f} s: {theirs / ours:.1f} times")
    assert theirs >= FASTER * ours
