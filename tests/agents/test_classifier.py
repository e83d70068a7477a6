import numpy as np
import pytest
import torch

from agents.small_agents import classifier, random_batch
from baselines.classifier import Classifier
from suite.stacked.spaces import ActionSpec


def test_the_loss_is_the_mean_cross_entropy_of_the_labels():
    agent = classifier([1, 2])
    batch = random_batch(agent, [1, 2], 0)
    leaves = agent.groups["classifier"].parameters.leaves
    loss = agent.loss(leaves, batch)
    for row in range(2):
        x = batch.observation[row]
        for layer in ("hidden1", "hidden2", "hidden3"):
            x = torch.relu(x @ leaves[f"{layer}.weight"][row])
        logits = x @ leaves["output.weight"][row]
        expected = torch.nn.functional.cross_entropy(logits, batch.action[row])
        torch.testing.assert_close(loss[row], expected)
        labels = agent.greedy(batch.observation.numpy())[row]
        np.testing.assert_array_equal(labels, logits.argmax(1).numpy())


def test_there_are_no_biases_and_the_variance_is_hes():
    leaves = classifier(list(range(20))).groups["classifier"].parameters.leaves
    assert list(leaves) == [
        f"{name}.weight" for name in ("hidden1", "hidden2", "hidden3", "output")
    ]
    for name, inputs in (("hidden1", 32), ("hidden2", 64), ("output", 64)):
        std = leaves[f"{name}.weight"].std().item()
        assert std == pytest.approx((2 / inputs) ** 0.5, rel=0.03)


def test_labels_are_learned():
    agent = classifier([1, 2], hidden_units=64)
    batches = [random_batch(agent, [1, 2], number, size=32) for number in range(4)]
    for _ in range(60):
        for batch in batches:
            agent.update(batch)
    right = [agent.greedy(b.observation.numpy()) == b.action.numpy() for b in batches]
    assert np.mean(right, axis=(0, 2)).min() > 0.95


def test_spaces_without_labels_are_refused():
    with pytest.raises(ValueError, match="a classifier needs labels"):
        settings = classifier([1]).settings
        Classifier(settings, (32,), ActionSpec("discrete", 3), [1], lambda n: n)
