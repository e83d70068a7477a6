"""Schedules of the learning rate."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from suite.plugins.registry import PLUGINS
from suite.stats.runs import Run
from suite.store.evidence import load

ROOT = Path(__file__).parents[2]


def rates(build, name, settings, updates=40):
    """Learning rate over the initial one at each learn call."""
    trained = build("classifier", [(name, settings)], total=updates)
    group = trained.agent.groups["classifier"]
    seen = []
    for _ in range(updates):
        seen.append(group.optimiser.learning_rate / 1e-3)
        trained.train(1)
    return [*seen, group.optimiser.learning_rate / 1e-3]


def test_cosines_rise_in_a_line_and_fall_again_and_again(build):
    settings = {"periods": 2, "warmup": 4, "start_ratio": 100.0, "ratio": 50.0}
    seen = rates(build, "cosine", settings)
    assert seen[:5] == pytest.approx([0.01, 0.2575, 0.505, 0.7525, 1.0])
    assert seen[12] == pytest.approx((1 + 1 / 50) / 2)  # half way down
    assert seen[20:40] == pytest.approx(seen[:20])
    assert min(seen[4:20]) == seen[19] > 1 / 50
    assert seen[40] == pytest.approx(1 / 50)


def test_a_curve_is_replayed_along_lines(build):
    points = [[0.0, 1.0], [0.5, 0.2], [1.0, 0.1]]
    seen = rates(build, "replayed", {"points": points})
    assert [seen[at] for at in (0, 10, 20, 30, 40)] == pytest.approx([1.0, 0.6, 0.2, 0.15, 0.1])


def test_the_implicit_schedule_is_that_of_the_evidence_it_cites():
    """Initial over present norm of all hidden weights, meaned over seeds 0 to 7 of `ln_plain`."""
    presets = yaml.safe_load((ROOT / "tasks" / "plugins.yaml").read_text())["plugins"]
    shares, factors = np.transpose(presets["implicit_labels"]["settings"]["points"])
    records = load(ROOT / "reports" / "evidence")[0]
    curves = []
    for record in records:
        if (record.cell, record.scale) == ("random_labels--mlp-lr3e-3--ln_plain", "short"):
            run = Run.of(record)
            if run.seed > 7:
                continue
            series = run.series
            norms = [series[f"weight_norms/norm/classifier/hidden{i}"] for i in (1, 2, 3)]
            joint = np.linalg.norm([norm.values for norm in norms], axis=0)
            at = norms[0].steps / norms[0].steps[-1]
            curves.append(np.interp(shares, at, joint[0] / joint))
    assert len(curves) == 8
    np.testing.assert_allclose(np.mean(curves, axis=0), factors, rtol=1e-3)


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ([[0.0, 1.0], [0.0, 0.5]], r"shares of updates rise from 0 on, these do not: \[0.0, 0.0\]"),
        ([[0.0, 1.0], [1.0, 0.0]], "learning rates are above 0"),
        ([[0.0, 1.0]], "at least 2 items"),
        ([[0.0, 1.0], [1.0]], "at least 2 items"),
    ],
)
def test_points_that_make_no_curve_are_refused(points, words):
    with pytest.raises(ValueError, match=words):
        PLUGINS["replayed"].Settings(points=points)
