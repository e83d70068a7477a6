"""Analyses that read what a run recorded anyway: twins, and visits to games."""

from types import SimpleNamespace

import numpy as np
import pytest

from suite.analysis.twin_gap import TwinGap, TwinGapSettings
from suite.analysis.visits import Visits, VisitsSettings


def run_of(series, **spec):
    record = {"series": {n: {"step": s, "value": v} for n, (s, v) in series.items()}}
    return SimpleNamespace(key="k", record=record, spec=SimpleNamespace(**spec))


def sequence(steps, values, budget=400, games=("a", "b")):
    task = SimpleNamespace(name="both", arguments={"games": games, "steps_per_visit": 100})
    return run_of({"return": (steps, values)}, task=task, budget=budget)


def visits(run):
    return Visits(VisitsSettings()).analyse(run).figures


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
    found = twin_gap({"update": np.arange(1.0, 111), "loss/free": free, "loss/classifier": projected})
    assert found.series["gap"][0].tolist() == [50, 100]
    np.testing.assert_allclose(found.series["gap"][1], [0.5, 0.5])
    assert found.figures == {"gap": pytest.approx(0.5)}


def test_an_agent_without_a_twin_has_no_gap():
    with pytest.raises(ValueError, match="run k of agent 'mlp' has no twin"):
        twin_gap({"update": np.ones(3), "loss/classifier": np.ones(3)}, "mlp")
