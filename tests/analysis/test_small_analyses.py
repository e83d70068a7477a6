"""Analyses that average what a run recorded: twins, visits to games, optimiser steps."""

from types import SimpleNamespace

import numpy as np
import pytest

from suite.analysis.twin_gap import TwinGap, TwinGapSettings
from suite.analysis.updates import Updates, UpdatesSettings
from suite.analysis.visits import Visits, VisitsSettings


def run_of(series, **spec):
    record = {"series": {n: {"step": s, "value": v} for n, (s, v) in series.items()}}
    return SimpleNamespace(key="k", record=record, spec=SimpleNamespace(**spec))


def sequence(steps, values, budget=400, games=("a", "b")):
    task = SimpleNamespace(name="both", arguments={"games": games, "steps_per_visit": 100})
    return run_of({"return": (steps, values)}, task=task, budget=budget)


def visits(run):
    return Visits(VisitsSettings()).analyse(run).figures


def test_the_curve_of_a_visit_starts_at_its_switch():
    run = sequence([0, 50, 100, 150, 200], [9.0, 1, 3, 10, 20], 200)
    found = Visits(VisitsSettings()).analyse(run).series
    assert {name: (s.tolist(), v.tolist()) for name, (s, v) in found.items()} == {
        "a/1": ([50, 100], [1, 3]),
        "b/1": ([50, 100], [10, 20]),
    }


def test_a_visit_counts_its_evaluations_from_the_first_step_to_the_switch():
    steps = [0, 50, 100, 150, 200, 250, 300, 350, 400]
    found = visits(sequence(steps, [9.0, 1, 3, 10, 20, 1, 5, 40, 50]))
    assert found == {"a/1": 2, "b/1": 15, "a/2": 3, "b/2": 45, "second_over_first": 1.5}


def test_without_a_second_visit_or_a_return_there_is_no_ratio():
    assert visits(sequence([0, 50, 150], [0.0, 1, 2], 200)) == {"a/1": 1, "b/1": 2}
    nothing = visits(sequence([50, 150, 250, 350], [0.0, 1, 2, 3]))
    assert nothing["a/2"] == 2 and "second_over_first" not in nothing


def test_runs_that_are_no_sequences_or_were_not_looked_at_are_refused():
    with pytest.raises(ValueError, match="task 'both' of run k is no sequence of games"):
        visits(sequence([50], [1.0], games=()))
    with pytest.raises(ValueError, match="no evaluation in visit 2"):
        visits(sequence([50, 250], [1.0, 2]))


def twin_gap(columns, agent="twins"):
    run = SimpleNamespace(
        key="k",
        columns=lambda kind, file, every: columns,
        spec=SimpleNamespace(agent=SimpleNamespace(name=agent)),
    )
    return TwinGap(TwinGapSettings()).analyse(run)


def test_the_gap_of_twins_is_relative_to_the_free_one_and_its_signs_do_not_cancel():
    free = np.repeat([2.0, 1.0], [50, 60])
    projected = free * np.where(np.arange(110) % 2, 0.5, 1.5)
    found = twin_gap(
        {"update": np.arange(1.0, 111), "loss/free": free, "loss/classifier": projected}
    )
    assert found.series["gap"][0].tolist() == [50, 100]
    np.testing.assert_allclose(found.series["gap"][1], [0.5, 0.5])
    assert found.figures == {"gap": pytest.approx(0.5)}


def test_an_agent_without_a_twin_has_no_gap():
    with pytest.raises(ValueError, match="run k of agent 'mlp' has no twin"):
        twin_gap({"update": np.ones(3), "loss/classifier": np.ones(3)}, "mlp")


def updates(files, agent_settings):
    run = SimpleNamespace(
        columns=lambda kind, file, every: {k: np.array(v, float) for k, v in files[file].items()},
        spec=SimpleNamespace(agent=SimpleNamespace(settings=agent_settings)),
    )
    found = Updates(UpdatesSettings(every=2)).analyse(run).series
    return {name: (steps.tolist(), values.tolist()) for name, (steps, values) in found.items()}


def test_steps_are_averaged_between_evaluations():
    def of(norms, gradients, angles):
        known = {"step": [1, 3, 5, 7], "learning_rate": [0.5] * 4}
        known |= {"normed_norm": norms, "gradient_norm": gradients}
        return known | ({"angle/hidden": angles} if angles else {})

    files = {
        # No step before the first evaluation, two before the second, one after the last.
        "evaluations.rows": {"step": [0, 10, 20], "actor": [0, 4, 6], "critic": [0, 4, 6]},
        "updates-actor.rows": of([2, 4, 8, 8], [3, 0, 3, 9], [1, 3, 5, 7]),
        "updates-critic.rows": of([0] * 4, [4, 1, 4, 9], None),
    }
    assert updates(files, {"max_gradient_norm": 5.0}) == {
        "effective_learning_rate/actor": ([10, 20], [(0.5 + 0.25) / 2, 0.125]),
        "angle/actor/hidden": ([10, 20], [2.0, 5.0]),
        "gradient_norm/actor": ([10, 20], [1.5, 3.0]),
        "gradient_norm/critic": ([10, 20], [2.5, 4.0]),
        "clip_rate": ([10, 20], [0.5, 1.0]),
    }
    assert "clip_rate" not in updates(files, {})
