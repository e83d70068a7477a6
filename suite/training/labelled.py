"""What classifiers learn: inputs of each seed, and their labels, task after task."""

import functools
from dataclasses import dataclass

import numpy as np

from suite.specs.models import TaskSpec
from suite.stacked.streams import stream

CLASSES_OF_DIGITS = 10


@dataclass(frozen=True)
class Labelled:
    """Inputs [n, *shape] of one seed with their classes, and what they are tested on, if anything.

    `labels` are None where they are drawn anew for every task.
    """

    inputs: np.ndarray
    labels: np.ndarray | None
    classes: int
    test_inputs: np.ndarray
    test_labels: np.ndarray

    def labels_of(self, seed: int, task: int) -> np.ndarray:
        """The labels [n] of a task, 0, 1, ..., uniform over the classes where they are random."""
        if self.labels is not None:
            return self.labels
        drawn = stream(seed, f"data/labels/{task}").integers(self.classes, size=len(self.inputs))
        return np.asarray(drawn)


def labelled(task: TaskSpec, seed: int) -> Labelled:
    """The data of a seed: Gaussian inputs (`random_labels`) or images (`digits`)."""
    chosen = task.arguments
    if task.environment == "digits":
        return _digits(chosen["inputs"], chosen["labels"] == "true", seed)
    shape = (chosen["inputs"], chosen["dimensions"])
    inputs = stream(seed, "data/inputs").standard_normal(shape, np.float32)
    return Labelled(inputs, None, chosen["classes"], inputs[:0], np.zeros(0, np.int64))


def _digits(inputs: int, true_labels: bool, seed: int) -> Labelled:
    """Images of mean 0 and variance 1 over all of them, in an order of the seed's own."""
    images, truth = _images()
    order = stream(seed, "data/inputs").permutation(len(images))
    learned, others = order[:inputs], order[inputs:]
    if not true_labels:
        return Labelled(images[learned], None, CLASSES_OF_DIGITS, images[:0], truth[:0])
    shown = truth[learned], CLASSES_OF_DIGITS, images[others], truth[others]
    return Labelled(images[learned], *shown)


@functools.cache
def _images() -> tuple[np.ndarray, np.ndarray]:
    """Images [1797, 8, 8, 1] float32 and what they show."""
    from sklearn.datasets import load_digits

    found = load_digits()
    images = found.images[..., None]
    scaled = ((images - images.mean()) / images.std()).astype(np.float32)
    return scaled, found.target.astype(np.int64)
