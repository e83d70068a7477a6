"""The two probes: path recorder and weight norms."""

import numpy as np
import pytest
from safetensors.numpy import load_file

from suite.conformance.small_runs import result, small_runs, train
from suite.specs.models import ProbeSpec

LAYERS = ("hidden1", "hidden2", "output")


def with_path(runs, every):
    probes = (ProbeSpec(kind="policy_path", settings={"every": every}),)
    return [run.model_copy(update={"probes": probes}) for run in runs]


@pytest.mark.parametrize("kind", ["td3", "dqn"])
def test_the_path_starts_at_the_initial_policy_and_ends_at_the_last_one(kind, tmp_path):
    budget = 20 + 40 if kind == "td3" else 20 + 20  # 20 policy updates; TD3's policy delay is 2
    runs = with_path(small_runs(kind, [0, 1], budget=budget), 5)
    none = [run.model_copy(update={"budget": 1}) for run in runs]
    store = train(runs, tmp_path / "trained")
    fresh = train(none, tmp_path / "fresh")
    policy = {"td3": "actor", "dqn": "q"}[kind]
    for run, start in zip(runs, none, strict=True):
        path = load_file(store.folder(run.key()) / "policy_path.safetensors")["policy_path"]
        last = load_file(store.folder(run.key()) / "agent.safetensors")[f"agent/{policy}/flat"]
        first = load_file(fresh.folder(start.key()) / "agent.safetensors")[f"agent/{policy}/flat"]
        assert path.dtype == np.float32 and path.shape == (1 + 4, last.size)
        np.testing.assert_array_equal(path[0], first)
        np.testing.assert_array_equal(path[-1], last)
        assert (np.abs(np.diff(path, axis=0)).max(axis=1) > 0).all()


def test_weight_norms_and_effective_learning_rates_follow_the_weights(tmp_path):
    (run,) = small_runs("td3", [3], probes=("weight_norms",))
    store = train([run], tmp_path)
    series = store.record(run.key())["series"]
    agent = load_file(store.folder(run.key()) / "agent.safetensors")
    # The first tensor of the flat vector: 4 observations times 16 units.
    norm = np.linalg.norm(agent["agent/actor/flat"][: 4 * 16].astype(np.float64))
    norms = np.array(series["weight_norm/actor/hidden1"]["value"])
    ratios = np.array(series["weight_norm_ratio/actor/hidden1"]["value"])
    rates = np.array(series["effective_learning_rate/actor/hidden1"]["value"])
    assert series["weight_norm/actor/hidden1"]["step"] == [0, 25, 50, 75, 80]
    assert norms[-1] == pytest.approx(norm, rel=1e-12)
    assert ratios[0] == 1.0 and rates[0] == 1e-3
    assert norms[-1] != norms[0]
    np.testing.assert_allclose(ratios, norms / norms[0])
    np.testing.assert_allclose(rates, 1e-3 * norms[0] / norms)
    layers = {name.split("/", 1)[1] for name in series if name.startswith("weight_norm/")}
    critics = {f"critic/{q}.{layer}" for q in ("q1", "q2") for layer in LAYERS}
    assert layers == {f"actor/{layer}" for layer in LAYERS} | critics


def test_probes_write_the_same_bytes_in_any_group(tmp_path):
    runs = with_path(small_runs("td3", [0, 1, 2]), 3)
    together = train(runs, tmp_path / "together")
    for run in runs:
        alone = train([run], tmp_path / f"alone{run.seed}")
        assert result(alone, run) == result(together, run)
