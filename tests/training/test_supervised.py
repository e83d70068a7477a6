"""The supervised loop: data per seed, relabelling, online and test accuracy, dead units."""

import numpy as np
import pytest
import torch

from suite.conformance.small_runs import TASKS, small_runs
from suite.specs.models import TaskSpec
from suite.training import labelled
from suite.training.supervised import SupervisedLoop


def loop_of(seeds, **changes):
    run = small_runs("classifier", [0], **changes)[0]
    return SupervisedLoop(run, seeds, "cpu")


def test_data_belong_to_the_seed_not_to_the_group():
    together, alone = loop_of([5, 7]), loop_of([7])
    np.testing.assert_array_equal(together._inputs[1], alone._inputs[0])
    np.testing.assert_array_equal(together._labels[1], alone._labels[0])
    assert not (together._inputs[0] == together._inputs[1]).any()


def test_labels_are_redrawn_between_tasks_and_only_then():
    loop = loop_of([0], budget=40)
    labels = []
    for _ in range(40):
        labels.append(loop._labels.copy())
        loop.advance()
    assert all((one == labels[0]).all() for one in labels[:20])
    assert all((one == labels[20]).all() for one in labels[20:])
    assert (labels[0] != labels[20]).mean() > 0.7
    assert set(np.unique(labels[0])) <= set(range(10))


def test_online_accuracy_is_that_of_the_batch_before_its_update():
    loop = loop_of([0], budget=20)
    correct = []
    update = loop.learner.update

    def watched(batch):
        predicted = loop.agent.greedy(batch.observation.numpy())
        correct.append((predicted == batch.action.numpy()).mean())
        update(batch)

    loop.learner.update = watched
    while loop.step < 20:
        loop.advance()
    assert loop.series.of(0)["online_accuracy"]["step"] == [20]
    assert loop.series.of(0)["online_accuracy"]["value"][0] == pytest.approx(np.mean(correct))


def test_figures_are_means_over_the_tasks():
    loop = loop_of([0, 1], budget=160)
    while loop.step < 160:
        loop.advance()
    loop.evaluate()
    accuracy = loop.series.of(1)["online_accuracy"]["value"]
    figures = loop.figures(1)
    assert len(accuracy) == 8
    assert figures["online_accuracy"] == pytest.approx(np.mean(accuracy))
    assert figures["online_accuracy_first_quarter"] == pytest.approx(np.mean(accuracy[:2]))
    assert figures["online_accuracy_last_quarter"] == pytest.approx(np.mean(accuracy[6:]))
    assert figures["online_accuracy_final_4"] == pytest.approx(np.mean(accuracy[4:]))


def test_dead_units_are_those_that_no_input_activates():
    loop = loop_of([0, 1])
    weight = loop.agent.groups["classifier"].parameters.leaves["hidden2.weight"]
    with torch.no_grad():
        weight[1, :, :4] = -weight[1, :, :4].abs()
    loop.evaluate()
    dead = {i: loop.figures(i)["dead_fraction_hidden2"] for i in (0, 1)}
    assert dead[1] >= 4 / 16
    assert dead[0] < dead[1]


def test_a_fresh_network_memorises_a_labelling():
    task = TASKS["random-labels"].model_copy(
        update={"arguments": {**TASKS["random-labels"].arguments, "steps_per_task": 300}}
    )
    loop = loop_of([0, 1, 2], task=task, budget=300, hidden_units=64)
    while loop.step < 300:
        loop.advance()
    for i in range(3):
        assert loop.series.last(i, "online_accuracy") > 0.6


def test_a_budget_that_cuts_a_labelling_is_refused():
    with pytest.raises(ValueError, match="budget of 50 steps is not a whole number"):
        loop_of([0], budget=50)


def digits(labels, **settings):
    arguments = {"labels": labels, "inputs": 1437, "batch_size": 64, "steps_per_task": 150}
    task = TaskSpec(name="digits", family="synthetic", environment="digits", arguments=arguments)
    settings = {"hidden_units": 64, "batch_size": 64, "learning_rate": 3e-3} | settings
    return loop_of([0, 1], task=task, budget=150, **settings)


def test_true_labels_stay_and_other_images_test_them():
    loop = digits("true")
    first = loop._labels.copy()
    loop.evaluate()
    while loop.step < 150:
        loop.advance()
    loop.evaluate()
    assert (loop._labels == first).all()
    assert (loop._inputs[0] != loop._inputs[1]).any()
    assert loop._test_inputs.shape == (2, 360, 8, 8, 1)
    both = np.concatenate([loop._inputs[0], loop._test_inputs[0]]).reshape(1797, -1)
    assert len(np.unique(both, axis=0)) == len(
        np.unique(labelled._images()[0].reshape(1797, -1), axis=0)
    )
    before, after = loop.series.of(0)["test_accuracy"]["value"]
    assert before < 0.3 and after > 0.85
    assert loop.figures(0)["test_accuracy"] == after


def test_random_labels_of_images_are_redrawn_and_nothing_tests_them():
    loop = digits("random")
    first = loop._labels.copy()
    while loop.step < 150:
        loop.advance()
    loop.evaluate()
    assert (loop._labels != first).mean() > 0.7
    assert "test_accuracy" not in loop.series.of(0)


def test_a_network_with_convolutions_learns_images():
    arguments = {"labels": "true", "inputs": 1437, "batch_size": 64, "steps_per_task": 100}
    task = TaskSpec(name="digits", family="synthetic", environment="digits", arguments=arguments)
    run = small_runs("image_classifier", [0], task=task, budget=100, batch_size=64)[0]
    loop = SupervisedLoop(run, [0], "cpu")
    while loop.step < 100:
        loop.advance()
    loop.evaluate()
    assert loop.series.last(0, "test_accuracy") > 0.7
    assert {"conv1", "hidden1"} <= {n.split("/")[1] for n in loop.series.of(0) if "dead" in n}
