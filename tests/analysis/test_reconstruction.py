"""What policies return that are rebuilt from few directions, on paths and returns by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from suite.analysis import path_layers, reconstruction
from suite.analysis.reconstruction import (
    OWN,
    Reconstruction,
    ReconstructionSettings,
    changes_told,
    mean_around,
    rebuild,
)

EVERY = 5
SIZE = 40


def walk(snapshots=60, seed=0):
    steps = np.random.default_rng(seed).standard_normal((snapshots, SIZE))
    return (10.0 + np.cumsum(steps, axis=0)).astype(np.float32)


def line(snapshots=60):
    """A path of two directions: where it is from, and where it goes."""
    rng = np.random.default_rng(1)
    start, way = rng.standard_normal((2, SIZE))
    return (start + np.linspace(0, 3, snapshots)[:, None] * way).astype(np.float32)


class Returns:
    """Evaluates the agent by its first parameter, plus the number of the episodes over 1000."""

    def __init__(self, task, seeds, episodes):
        self.shape = (len(seeds), episodes)

    def returns(self, greedy, number):
        return np.full(self.shape, greedy(None) + number / 1000)


@pytest.fixture(autouse=True)
def returns(monkeypatch):
    monkeypatch.setattr(reconstruction, "Evaluation", Returns)


def agent(policy, updates):
    flat = torch.tensor(policy)[None].clone()
    group = SimpleNamespace(parameters=SimpleNamespace(flat=flat), steps=updates)
    return SimpleNamespace(
        policy="actor", groups={"actor": group}, greedy=lambda _: float(flat[0, 0])
    )


def analysed(path, checkpoints, **settings):
    """Checkpoints: numbers of updates; the agents' own parameters are not those of the path."""
    recorded = SimpleNamespace(
        snapshots=len(path),
        size=SIZE,
        tensors={"only.weight": 0},
        columns=lambda part: path[:, part],
        rows=lambda part: iter(path[:, part].astype(np.float32)),
    )
    agents = [(updates, agent(path[0] + 7, updates)) for updates in checkpoints]
    run = SimpleNamespace(
        key="k",
        path=lambda every: recorded,
        agents=lambda every: iter(agents),
        spec=SimpleNamespace(task=None, seed=3),
    )
    whole = {"path_every": EVERY, "ranks": (1, 2, 4, 16), **settings}
    result = Reconstruction(ReconstructionSettings(**whole)).analyse(run)
    for _, one in agents:
        flat = one.groups["actor"].parameters.flat
        np.testing.assert_array_equal(flat[0], path[0] + 7, "the agent has not its own policy")
    return result


def test_trimming_is_the_projection_on_the_leading_singular_directions():
    path = walk().astype(float)
    found = rebuild(path @ path.T, np.array([0, 17, 59]), (1, 4, 16))
    for rank in (1, 4, 16):
        _, _, directions = np.linalg.svd(path, full_matrices=False)
        expected = path @ directions[:rank].T @ directions[:rank]
        made = found.weights["trimmed", rank] @ path
        np.testing.assert_allclose(made, expected[[0, 17, 59]], atol=1e-9)


@given(st.integers(0, 30), st.sampled_from([1, 2, 4, 8]))
def test_means_move_policies_about_as_far_as_trimming_does(seed, rank):
    path = walk(seed=seed).astype(float)
    places = np.arange(5, 55, 5)
    found = rebuild(path @ path.T, places, (rank,))

    def moved(weights):
        return np.linalg.norm(weights @ path - path[places], axis=1).mean()

    wanted = moved(found.weights["trimmed", rank])
    others = [moved(mean_around(60, places, wing)) for wing in range(60)]
    best = min(abs(other - wanted) for other in others)
    assert abs(moved(found.weights["averaged", rank]) - wanted) == pytest.approx(best, abs=1e-9)


def test_sums_of_few_columns_at_once_are_the_same():
    path = walk()
    read = SimpleNamespace(snapshots=60, size=SIZE, columns=lambda part: path[:, part])
    rows, weights = np.arange(0, 60, 2), np.random.default_rng(2).standard_normal((3, 30))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(path_layers, "READ", 60 * 7)
        found = path_layers.combined(read, rows, weights)
    np.testing.assert_allclose(found, weights @ path[rows], rtol=1e-5)


def test_a_mean_takes_what_is_there_at_the_ends():
    weights = mean_around(5, np.array([0, 2]), 1)
    np.testing.assert_allclose(weights, [[1 / 2, 1 / 2, 0, 0, 0], [0, 1 / 3, 1 / 3, 1 / 3, 0]])


def test_a_path_of_two_directions_is_rebuilt_from_two():
    result = analysed(line(), checkpoints=range(0, 300, 25))
    figures = result.figures
    for period in ("early", "middle", "later", "all"):
        assert figures[f"trimmed_size/2/{period}"] < 1e-5 < figures[f"trimmed_size/1/{period}"]
        assert figures[f"size_falls/{period}"] > 0
    for period in ("early", "middle", "later"):
        assert figures[f"moved/2/{period}"] < 1e-4
        assert figures[f"snapshots_averaged/2/{period}"] == 1
        assert figures[f"averaged/2/{period}"] == 0


def test_every_policy_is_the_newest_snapshot_in_episodes_of_its_own():
    path = walk()
    # Updates 12 and 14 have the same newest snapshot; the later one acts.
    result = analysed(path, checkpoints=(0, 12, 14, 160, 295))
    expected = [path[place, 0] + place / 1000 for place in (0, 2, 32, 59)]
    assert result.figures["policies/all"] == 4
    assert [result.figures[f"policies/{p}"] for p in ("early", "middle", "later")] == [2, 1, 1]
    assert result.figures["return/all"] == pytest.approx(np.mean(expected), rel=1e-6)
    assert result.figures["span"] == pytest.approx(np.ptp(expected), rel=1e-6)
    projected = path[20:40].astype(float)
    _, _, directions = np.linalg.svd(projected, full_matrices=False)
    change = (projected[12] @ directions[:4].T @ directions[:4] - projected[12])[0]
    assert result.series["mean/middle"][1][2] == pytest.approx(change, abs=1e-5)
    np.testing.assert_array_equal(result.series["mean/middle"][0], [1, 2, 4, 16])


def test_periods_without_policies_and_ranks_beyond_their_snapshots_are_left_out():
    result = analysed(walk(30), checkpoints=(0, 10, 140))
    assert not any("middle" in name for name in (*result.figures, *result.series))
    assert {name.split("/")[1] for name in result.figures if name.startswith("better")} == {
        "1",
        "2",
        "4",
    }
    with pytest.raises(ValueError, match="has 1 policies at its checkpoints and 2 are needed"):
        analysed(walk(), checkpoints=(0, 1, 2))


def test_changes_are_told_in_spans_and_in_the_units_of_the_task():
    returns = {
        "early": {
            OWN: np.array([0.0, 10.0]),
            ("trimmed", 1): np.array([2.0, 2.0]),
            ("averaged", 1): np.array([1.0, 10.0]),
            ("trimmed", 2): np.array([0.0, 11.0]),
            ("averaged", 2): np.array([0.0, 10.0]),
        },
        "later": {
            OWN: np.array([20.0]),
            ("trimmed", 1): np.array([16.0]),
            ("averaged", 1): np.array([20.0]),
            ("trimmed", 2): np.array([21.0]),
            ("averaged", 2): np.array([20.0]),
        },
    }
    result = changes_told(returns, (1, 2))
    expected = {
        "span": 20,
        "policies/all": 3,
        "return/early": 5,
        "trimmed/1/early": -3 / 20,
        "trimmed_size/1/early": 5 / 20,
        "averaged/1/early": 0.5 / 20,
        "trimmed_less_averaged/1/early": -3.5 / 20,
        "better/1/early": 1 / 2,
        "better/2/early": 3 / 4,
        "better/2/all": 5 / 6,
        "trimmed/1/all": -10 / 3 / 20,
        "size_falls/early": (5 - 0.5) / 20,
    }
    assert {name: result.figures[name] for name in expected} == pytest.approx(expected)
    for name, values in {
        "mean": [-3, 0.5],
        "mean_size": [5, 0.5],
        "largest": [2, 1],
        "smallest": [-8, 0],
        "averaged_mean": [0.5, 0],
    }.items():
        np.testing.assert_allclose(result.series[f"{name}/early"][1], values)


def test_policies_that_all_return_the_same_tell_no_share():
    returns = {"early": {OWN: np.ones(3), ("trimmed", 1): np.zeros(3), ("averaged", 1): np.ones(3)}}
    figures = changes_told(returns, (1,)).figures
    assert np.isnan(figures["trimmed/1/early"])
    assert figures["better/1/early"] == 0


def test_of_a_path_that_is_not_finite_nothing_is_known():
    path = walk()
    path[-1, 3] = np.inf
    assert analysed(path, checkpoints=(0, 100, 295)).figures == {}
