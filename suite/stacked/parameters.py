"""All parameters of a group of networks in one flat [S, m] tensor, and the step on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from suite.stacked.initialisers import INITIALISERS
from suite.stacked.layers import Convolution, LearnedConstant, Linear, Network
from suite.stacked.layers import ParameterSlice as ParameterSlice
from suite.stacked.optimisers import SGD, Adam, RMSprop
from suite.stacked.streams import State, add_prefix, stream, take_prefix


class FlatParameters:
    """Parameters of S * copies networks of one kind.

    flat: [S, m], contiguous; a seed's row holds its copies one after the other (q1, then q2), each
        padded with zeros to a multiple of 16 numbers (`Network.row_length`).
    slices: the named tensors of a row of `flat`; with several copies their names carry the
        network's name and a number from 1, "q1.hidden1.weight".
    leaves: name to [S * copies, *shape], views of `flat` that gradients are taken for.
    """

    def __init__(self, network: Network, flat: Tensor) -> None:
        self.network = network
        self.flat = flat
        self.slices = _slices_of_copies(network)
        self.leaves = {
            name: view.requires_grad_() for name, view in self.with_flat(flat.detach()).items()
        }

    @classmethod
    def initialise(
        cls,
        network: Network,
        seeds: Sequence[int],
        group_name: str,
        device: str | torch.device = "cpu",
    ) -> FlatParameters:
        """Fresh parameters. Each tensor has its own stream, named by group, copy and tensor, so
        that adding or removing norms and biases leaves the other tensors as they are."""
        length = network.row_length()
        flat = np.zeros((len(seeds), network.copies, length), np.float32)
        for row, seed in enumerate(seeds):
            for copy in range(network.copies):
                for part in network.parameter_slices():
                    purpose = f"init/{group_name}/{copy}/{part.name}"
                    value = _initial_value(network, part, stream(seed, purpose))
                    flat[row, copy, part.start : part.stop] = value.reshape(-1)
        rows = flat.reshape(len(seeds), network.copies * length)
        return cls(network, torch.tensor(rows, device=device))

    def part(self, part: ParameterSlice) -> Tensor:
        """The tensor that `part` (one of `slices`) names: a view [S, *shape] without gradient."""
        return _tensor(self.flat, part)

    def with_flat(self, flat: Tensor) -> dict[str, Tensor]:
        """The mapping that `Network.forward` takes, as views of another flat vector [S, m]."""
        length = self.network.row_length()
        rows = flat.view(flat.shape[0] * self.network.copies, length)
        return {part.name: _tensor(rows, part) for part in self.network.parameter_slices()}

    def of_copy(self, copy: int) -> dict[str, Tensor]:
        """One copy's parameters, name to [S, *shape]: views without gradient."""
        copies = self.network.copies
        return {name: leaf.detach()[copy::copies] for name, leaf in self.leaves.items()}

    def clone(self) -> FlatParameters:
        """The same values in storage of their own."""
        return FlatParameters(self.network, self.flat.clone())


class ParameterGroup:
    """Networks that one loss trains: parameters, their optimiser and, where used, their target.

    `before_step` functions get the group and its gradient [S, m], in order, and may change that in
    place; `after_step` functions run after each optimiser step, in order, with the group.
    `loss` is the loss [S] of the newest step, before it; None in a group that `step_together` moved
    on the loss of its last group.
    """

    def __init__(
        self,
        name: str,
        parameters: FlatParameters,
        optimiser: Adam | RMSprop | SGD,
        with_target: bool = False,
    ) -> None:
        self.name = name
        self.network = parameters.network
        self.parameters = parameters
        self.optimiser = optimiser
        self.target = parameters.clone() if with_target else None
        self.steps = 0
        self.loss: Tensor | None = None
        self.before_step: list[Callable[[ParameterGroup, Tensor], None]] = []
        self.after_step: list[Callable[[ParameterGroup], None]] = []
        self._gradient = torch.zeros_like(parameters.flat)
        self._gradient_leaves = list(parameters.with_flat(self._gradient).values())

    def gradient(self, loss: Tensor) -> Tensor:
        """The gradient [S, m] of each seed's loss [S] (valid until the next call)."""
        return joint_gradients([self], loss)[0]

    def step(self, loss: Tensor) -> None:
        """One optimiser step on each seed's loss [S], then the `after_step` functions."""
        self.descend(self.gradient(loss), loss)

    def _flattened(self, gradients: Sequence[Tensor]) -> Tensor:
        torch._foreach_copy_(self._gradient_leaves, list(gradients))
        return self._gradient

    def descend(self, gradient: Tensor, loss: Tensor | None) -> None:
        """One optimiser step for the gradient [S, m] as `before_step` functions leave it, then the
        `after_step` functions; `loss` [S] is what the gradient belongs to."""
        for change in self.before_step:
            change(self, gradient)
        self.optimiser.step(gradient)
        self.loss = None if loss is None else loss.detach()
        self.steps += 1
        for function in self.after_step:
            function(self)

    def restart(self) -> None:
        """The optimiser and the target as at the start, on the parameters as they are."""
        self.optimiser.restart()
        if self.target is not None:
            copy_parameters(self.target, self.parameters)

    def reset_moments(self, where: Tensor) -> None:
        """Zero the optimiser's moments at these of the parameters, bool [S, m]."""
        for moment in self.optimiser.state().values():
            if isinstance(moment, Tensor):
                moment.masked_fill_(where, 0.0)

    def state(self) -> State:
        """Parameters, target, optimiser and step count."""
        state: State = {
            "flat": self.parameters.flat,
            "steps": np.full(self.parameters.flat.shape[0], self.steps),
            **add_prefix("optimiser", self.optimiser.state()),
        }
        if self.target is not None:
            state["target"] = self.target.flat
        return state

    def load_state(self, state: State) -> None:
        """Continue from what `state` returned."""
        self.parameters.flat.copy_(torch.as_tensor(state["flat"]))
        if self.target is not None:
            self.target.flat.copy_(torch.as_tensor(state["target"]))
        self.steps = int(state["steps"][0])
        self.optimiser.load_state(take_prefix("optimiser", state))


def clip_jointly(gradients: Sequence[Tensor], max_norm: float) -> None:
    """Scale gradients [S, m] in place so that no seed's joint norm over all of them exceeds
    `max_norm` (torch.nn.utils.clip_grad_norm_, for each seed)."""
    norm = torch.linalg.vector_norm(gradients[0], dim=1, keepdim=True)
    for gradient in gradients[1:]:
        norm = torch.hypot(norm, torch.linalg.vector_norm(gradient, dim=1, keepdim=True))
    scale = (max_norm / (norm + 1e-6)).clamp_(max=1.0)
    for gradient in gradients:
        gradient.mul_(scale)


def joint_gradients(groups: Sequence[ParameterGroup], loss: Tensor) -> list[Tensor]:
    """The gradient [S, m] of one loss [S] for each group (valid until the group's next one)."""
    leaves = [list(group.parameters.leaves.values()) for group in groups]
    gradients = iter(torch.autograd.grad(loss.sum(), [leaf for own in leaves for leaf in own]))
    return [
        group._flattened([next(gradients) for _ in own])
        for group, own in zip(groups, leaves, strict=True)
    ]


def step_together(groups: Sequence[ParameterGroup], loss: Tensor) -> None:
    """One step of each group on the gradient of one loss [S], taken before any of them steps.

    The last group keeps the loss.
    """
    for group, gradient in zip(groups, joint_gradients(groups, loss), strict=True):
        group.descend(gradient, loss if group is groups[-1] else None)


def copy_parameters(target: FlatParameters, source: FlatParameters) -> None:
    """target <- source."""
    target.flat.copy_(source.flat)


def polyak_update(target: FlatParameters, source: FlatParameters, tau: float) -> None:
    """target <- (1 - tau) target + tau source."""
    target.flat.lerp_(source.flat, tau)


def _tensor(rows: Tensor, part: ParameterSlice) -> Tensor:
    return rows[:, part.start : part.stop].view(rows.shape[0], *part.shape)


def _slices_of_copies(network: Network) -> tuple[ParameterSlice, ...]:
    parts = network.parameter_slices()
    if network.copies == 1:
        return parts
    length = network.row_length()
    return tuple(
        dataclasses.replace(
            part,
            name=f"{network.name}{copy + 1}.{part.name}",
            start=copy * length + part.start,
            stop=copy * length + part.stop,
        )
        for copy in range(network.copies)
        for part in parts
    )


def _initial_value(
    network: Network, part: ParameterSlice, generator: np.random.Generator
) -> np.ndarray:
    for layer in network.layers:
        match layer:
            case Linear(name=part.layer):
                fan_in = layer.inputs
            case Convolution(name=part.layer):
                fan_in = layer.in_channels * layer.kernel**2
            case LearnedConstant(name=part.layer):
                return np.full(part.shape, layer.value, np.float32)
            case _:
                continue
        return INITIALISERS[layer.initialiser](generator, part.kind, part.shape, fan_in)
    # The tensors of a norm: gain 1, offset 0.
    return np.full(part.shape, part.kind == "gain", np.float32)
