"""The supervised loop: labels to be learned, anew again and again where they are random.

A fixed set of inputs gets random labels, which are drawn again every `steps_per_task` steps; a
network that keeps its plasticity learns the last labels as fast as the first (the small form of the
NaP paper's plasticity benchmark, Figs. 1, 2 and 5). True labels stay; the images that are not
learned test the network.
"""

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from suite.specs.models import RunSpec
from suite.stacked.replay import Batch
from suite.stacked.spaces import ActionSpec
from suite.stacked.streams import SeedStreams, State, add_prefix, take_prefix
from suite.training.labelled import labelled
from suite.training.learner import Learner
from suite.training.off_policy import CHECK_EVERY

# Tasks at the end whose mean accuracy is also reported by itself.
FINAL_TASKS = 4


class SupervisedLoop:
    """Trains classifiers on the labelled inputs of each seed; a step is an optimiser step."""

    def __init__(
        self, run: RunSpec, seeds: Sequence[int], device: str, folders: Sequence[Path] = ()
    ) -> None:
        self.seeds = seeds
        self.step = 0
        self.total = run.budget
        self.diverged = np.zeros(len(seeds), dtype=np.bool_)
        self._steps_per_task = int(run.task.arguments["steps_per_task"])
        if run.budget % self._steps_per_task:
            raise ValueError(
                f"task {run.task.name!r}: a budget of {run.budget} steps is not a whole number of "
                f"labellings of {self._steps_per_task} steps; change one of them"
            )
        self._batch_size = int(run.agent.settings["batch_size"])
        if run.task.arguments.get("batch_size") not in (None, self._batch_size):
            raise ValueError(
                f"task {run.task.name!r} has batch_size {run.task.arguments['batch_size']}, agent "
                f"{run.agent.name!r} has {self._batch_size}; give both the same"
            )
        self._device = torch.device(device)
        self._data = [labelled(run.task, seed) for seed in seeds]
        self._inputs = np.stack([data.inputs for data in self._data])
        self._inputs_on_device = torch.as_tensor(self._inputs, device=self._device)
        self._test_inputs = np.stack([data.test_inputs for data in self._data])
        self._test_labels = np.stack([data.test_labels for data in self._data])
        self._labels = self._draw_labels(0)
        self._batches = SeedStreams(seeds, "data/batches")
        self._correct = np.zeros(len(seeds), dtype=np.int64)  # of the running task, online
        self.learner = Learner(
            run,
            seeds,
            self._inputs.shape[2:],
            ActionSpec("labels", self._data[0].classes),
            total_updates=run.budget,
            device=device,
            folders=folders,
        )
        self.agent, self.series = self.learner.agent, self.learner.series
        self.seconds = self.learner.seconds
        self._rows = np.arange(len(seeds))[:, None]
        zeros = torch.zeros(len(seeds), self._batch_size, device=self._device)
        self._nothing = (zeros, zeros)

    def _draw_labels(self, task: int) -> np.ndarray:
        pairs = zip(self._data, self.seeds, strict=True)
        return np.stack([data.labels_of(seed, task) for data, seed in pairs])

    def advance(self) -> None:
        """One batch: predict (that is the online accuracy), then learn from it."""
        started = perf_counter()
        count, size = len(self.seeds), self._batch_size
        chosen = self._batches.integers([self._inputs.shape[1]] * count, size)
        observation = self._inputs[self._rows, chosen]
        labels = self._labels[self._rows, chosen]
        self._correct += (self.agent.greedy(observation) == labels).sum(axis=1)
        batch = self._batch(observation, labels)
        self.learner.update(batch)
        self.step += 1
        if self.step % CHECK_EVERY == 0:
            self.diverged |= ~self.learner.finite()
        if self.step % self._steps_per_task == 0:
            accuracy = self._correct / (self._steps_per_task * size)
            self.series.append(self.step, {"online_accuracy": accuracy})
            self._correct[:] = 0
            self._labels = self._draw_labels(self.step // self._steps_per_task)
        self.seconds.add("total", perf_counter() - started)

    def _batch(self, observation: np.ndarray, labels: np.ndarray) -> Batch:
        tensor = torch.as_tensor(observation, device=self._device)
        reward, terminal = self._nothing
        return Batch(
            observation=tensor,
            action=torch.as_tensor(labels, device=self._device),
            reward=reward,
            next_observation=tensor,
            terminal=terminal,
        )

    def evaluate(self) -> None:
        """Record plug-in diagnostics and dead units, and the accuracy on what tests."""
        started = perf_counter()
        self.diverged |= ~self.learner.finite()
        dead = self._dead_fractions()
        self.series.append(
            self.step, {f"dead_fraction/{layer}": row for layer, row in dead.items()}
        )
        if self._test_labels.size:
            right = self.agent.greedy(self._test_inputs) == self._test_labels
            self.series.append(self.step, {"test_accuracy": right.mean(axis=1)})
        self.learner.observe(self.step)
        elapsed = perf_counter() - started
        self.seconds.add("evaluation", elapsed)
        self.seconds.add("total", elapsed)

    def _dead_fractions(self) -> dict[str, np.ndarray]:
        """Fraction `[S]` of each layer's units that no input activates (NaP paper Fig. 1)."""
        group = self.agent.groups[self.agent.policy]
        trace: dict[str, Tensor] = {}
        with torch.no_grad():
            group.network.forward(group.parameters.leaves, self._inputs_on_device, trace)
        return {
            name.removesuffix("_activation"): _dead(activation).double().mean(dim=1).cpu().numpy()
            for name, activation in trace.items()
            if name.endswith("_activation")
        }

    def figures(self, i: int) -> dict[str, float | None]:
        """Mean online accuracy over all, the first and last quarter and the last 4 labellings;
        the last test accuracy; dead fraction of each hidden layer; every plug-in diagnostic's last
        value, by its name."""
        series = self.series.of(i)
        figures: dict[str, float | None] = {}
        if "online_accuracy" in series:
            accuracy = np.asarray(series["online_accuracy"]["value"], dtype=np.float64)
            quarter = max(1, len(accuracy) // 4)
            figures |= {
                "online_accuracy": float(accuracy.mean()),
                "online_accuracy_first_quarter": float(accuracy[:quarter].mean()),
                "online_accuracy_last_quarter": float(accuracy[-quarter:].mean()),
                f"online_accuracy_final_{FINAL_TASKS}": float(accuracy[-FINAL_TASKS:].mean()),
            }
        if "test_accuracy" in series:
            figures["test_accuracy"] = self.series.last(i, "test_accuracy")
        for name in series:
            if name.startswith("dead_fraction/"):
                figures[name.replace("/", "_")] = self.series.last(i, name)
        return {**figures, **self.learner.figures(i)}

    def files(self, i: int) -> dict[str, dict[str, np.ndarray]]:
        return self.learner.files(i)

    def begin(self) -> None:
        self.learner.begin()

    def flush(self) -> None:
        self.learner.flush()

    def state(self) -> State:
        count = len(self.seeds)
        return {
            **add_prefix("learner", self.learner.state()),
            **add_prefix("batches", self._batches.state()),
            "correct": self._correct.copy(),
            "step": np.full(count, self.step),
        }

    def load_state(self, state: State) -> None:
        self.learner.load_state(take_prefix("learner", state))
        self._batches.load_state(take_prefix("batches", state))
        self._correct = np.asarray(state["correct"]).copy()
        self.step = int(state["step"][0])
        self._labels = self._draw_labels(self.step // self._steps_per_task)


def _dead(activation: Tensor) -> Tensor:
    """Which units [S, units] are active for no input; a feature map is one unit, at all places."""
    return activation.transpose(1, 2).flatten(2).amax(dim=2) == 0
