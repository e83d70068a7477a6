"""Products with the Hessians of perceptrons, by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from suite.analysis.derivatives import (
    Loss,
    chunks,
    converted,
    device_of,
    leaves_of,
    networks_of,
    samples,
    size_of,
)
from suite.stacked.activations import ACTIVATIONS, ActivationKind
from suite.stacked.layers import Activation, LearnedConstant, Linear, Network, Tapped
from suite.stacked.parameters import ParameterGroup
from suite.stacked.products import Array, array, product, silent, tensor

OUTPUT_CHUNK = 8192  # samples whose outputs are differentiated at once
SEPARATE = 1e-3  # how far apart two ways to the same derivative may be
CACHED = 2**18  # numbers of a layer's changes that are worked on at once: they fit a core's cache
KEPT = 2**25  # numbers of passes without any change that are kept between products
FEW_INPUTS = 64  # up to so many, derivatives for the first two layers together are summed once
FEW_OUTPUTS = 8  # up to so many, a Jacobian for each is cheaper than changes of all units
FEW_PAIRS = 32  # of an input and an output, up to which first and last layer are summed once


def is_perceptron(network: Network) -> bool:
    """Whether a network has linear layers, activations and learned constants only."""
    return all(isinstance(x, Linear | Activation | LearnedConstant) for x in network.layers)


def is_shallow(network: Network) -> bool:
    """Whether a perceptron has two hidden layers, and few enough inputs and outputs for sums over
    the batch for first and last layer together."""
    layers = [x for x in network.layers if not isinstance(x, LearnedConstant)]
    if [type(x) for x in layers] != [Linear, Activation, Linear, Activation, Linear]:
        return False
    inputs, outputs = network.input_shape[0], network.output_shapes()[-1][0]
    if _bends(network):
        return (inputs + 1) * outputs <= FEW_PAIRS
    return inputs <= FEW_INPUTS and outputs <= FEW_OUTPUTS


def _bends(network: Network) -> bool:
    """Whether an activation's slope changes other than at kinks."""
    kinds = [x.kind for x in network.layers if isinstance(x, Activation)]
    return any(ACTIVATIONS[kind].slope_change for kind in kinds)


class PerceptronHessian:
    """Products by carrying the change of activations and gradients along every vector through the
    network (Pearlmutter 1994), for networks of linear layers and activations.

    What a loss does with outputs and learned constants, p of them, is differentiated once for all
    products: a gradient [p] and a Hessian [p, p] for each sample. With few inputs, so are what the
    weights of the first two layers do together, and the bends of the first activation: what of it
    depends on no vector takes a third of the arithmetic. Beside these and the batch, a product
    needs the memory of a chunk's activations for each vector, and KEPT numbers that stay.

    Raises ValueError for a loss in which samples or networks depend on each other.
    """

    def __init__(
        self, group: ParameterGroup, loss: Loss, batch: Any, dtype: torch.dtype = torch.float32
    ) -> None:
        network = group.network
        self.networks, self.size = networks_of(group), size_of(group)
        self.dtype, self.device = dtype, device_of(group)
        parameters = {name: leaf.detach() for name, leaf in leaves_of(group, dtype).items()}
        self._layers = _dense_layers(network, parameters)
        self._constants = _constant_columns(network)
        self._outputs = network.output_shapes()[-1][0]
        inputs, first, second = [], [], []
        for chunk, share in chunks(converted(batch, dtype), OUTPUT_CHUNK):
            constants = {
                part.name: parameters[part.name].expand(-1, samples(chunk), -1)
                for part in network.parameter_slices()
                if part.kind == "constant"
            }
            given, gradient, blocks = _output_derivatives(loss, parameters, constants, chunk)
            inputs.append(given)
            first.append(share * gradient)
            second.append(share * blocks)
        self._kept: dict[tuple[int, int], _Pass] = {}
        self._inputs = array(torch.cat(inputs, dim=1))  # [G, N, i]
        self._first = array(torch.cat(first, dim=1))  # [G, N, p]
        self._second = array(torch.cat(second, dim=1))  # [G, N, p, p]
        few = len(self._layers) > 1 and self._inputs.shape[2] <= FEW_INPUTS
        sums: tuple[Array | None, Array | None] = self._sums_of_first() if few else (None, None)
        self._mixed, self._bent = sums
        self._summed = 1 if few else 0  # the last layer whose pairs with those before are summed

    @silent
    def products(self, vectors: Tensor) -> Tensor:
        """Each block times its own vectors [G, n, b]: [G, n, b]."""
        b = vectors.shape[2]
        along = [_Along.of(layer, vectors) for layer in self._layers]
        found = [_Sums.zeros(layer, vectors) for layer in self._layers]
        constants = array(vectors[:, self._constants].mT[:, None].contiguous())  # [G, 1, b, c]
        total = torch.zeros_like(vectors)
        for rows in self._chunks(b):
            second = self._add_chunk(rows, along, constants, found)
            total[:, self._constants] += tensor(second[..., self._outputs :].sum(1)).mT
        for layer, sums in zip(self._layers, found, strict=True):
            total[:, layer.columns] = sums.products(layer)
        if self._mixed is not None:
            self._add_mixed(total, vectors)
        return total

    def _add_chunk(
        self, rows: slice, along: Sequence[_Along], constants: Array, found: Sequence[_Sums]
    ) -> Array:
        """Add a chunk's part of products to `found`; returns how the loss's derivatives for outputs
        and constants change, [G, R, b, p]."""
        passed = self._pass(rows)
        changes = self._changes(passed, along, constants.shape[2])
        second = self._second_changes(rows, changes[-1], constants)
        self._add(found, passed, along, changes, second[..., : self._outputs])
        return second

    @silent
    def _sums_of_first(self) -> tuple[Array, Array | None]:
        """The loss's derivatives for a parameter of the first layer and a weight of the second that
        meet in a hidden unit: [G * h, a, o] for h such units, a parameters each, and o outputs.
        And those for two parameters of a unit by the bend of its activation, [G * h, a, a]."""
        first, second = self._layers[:2]
        _, hidden, outputs = second.weight.shape
        each = (first.columns.stop - first.columns.start) // hidden
        mixed = self._zeros(each * hidden, outputs)
        bent = self._zeros(each * each, hidden)
        for rows in self._chunks(each):
            passed = self._new_pass(rows)
            given, bend = passed.activations[0], passed.bends[0]
            slope = tensor(given).new_ones(hidden) if passed.slopes[0] is None else passed.slopes[0]
            mixed += product(_outer(given, slope).mT, passed.deltas[1])
            if bend is not None:
                bent += product(_outer(given, given).mT, slope * bend)
        apart = tensor(mixed).view(self.networks, each, hidden, outputs).transpose(1, 2)
        units = tensor(bent).view(self.networks, each, each, hidden).permute(0, 3, 1, 2)
        bends = None if bend is None else array(units.flatten(0, 1).contiguous())
        return array(apart.flatten(0, 1).contiguous()), bends

    def _add_mixed(self, total: Tensor, vectors: Tensor) -> None:
        """Add the mixed derivatives times the vectors [G, n, b] to their products."""
        assert self._mixed is not None
        g, b = vectors.shape[0], vectors.shape[2]
        _, hidden, outputs = self._layers[1].weight.shape
        first = self._layers[0].columns
        second = slice(
            self._layers[1].columns.start, self._layers[1].columns.start + hidden * outputs
        )
        given = array(vectors[:, first].view(g, -1, hidden, b).transpose(1, 2).flatten(0, 1))
        along = vectors[:, second].reshape(g * hidden, outputs, b)
        found = product(self._mixed, array(along))
        if self._bent is not None:
            found += product(self._bent, given)
        apart = tensor(found).view(g, hidden, -1, b)
        total[:, first] += apart.transpose(1, 2).reshape(g, -1, b)
        total[:, second] += tensor(product(self._mixed.mT, given)).view(g, -1, b)

    def _zeros(self, *shape: int) -> Array:
        """A sum [G, *shape] to be."""
        return array(torch.zeros(self.networks, *shape, dtype=self.dtype, device=self.device))

    def _chunks(self, vectors: int) -> Iterator[slice]:
        widest = max(layer.weight.shape[2] for layer in self._layers)
        size = max(32, CACHED // (vectors * widest))
        for start in range(0, self._inputs.shape[1], size):
            yield slice(start, start + size)

    def _forward(self, rows: slice) -> tuple[list[Array], list[Array | None]]:
        """What a chunk gives each layer, outputs last, and the slopes of the activations."""
        activations: list[Array] = []
        slopes: list[Array | None] = []
        y: Array = self._inputs[:, rows]
        for layer in self._layers:
            activations.append(_with_ones(y) if layer.bias is not None else y)
            y = product(y, layer.weight, layer.bias)
            if layer.kind is not None:
                ACTIVATIONS[layer.kind].apply(y)
            slopes.append(None if layer.kind is None else ACTIVATIONS[layer.kind].slope(y))
        activations.append(y)
        return activations, slopes

    def _pass(self, rows: slice) -> _Pass:
        """A chunk forward and backward, without any change; kept while there is room."""
        place = (rows.start, rows.stop)
        if place in self._kept:
            return self._kept[place]
        passed = self._new_pass(rows)
        if (len(self._kept) + 1) * passed.numbers <= KEPT:
            self._kept[place] = passed
        return passed

    def _new_pass(self, rows: slice) -> _Pass:
        activations, slopes = self._forward(rows)
        received: Array = self._first[:, rows, : self._outputs]
        deltas: list[Array] = []
        bends: list[Array | None] = []
        for number in reversed(range(len(self._layers))):
            layer, y = self._layers[number], activations[number + 1]
            bend = None if layer.kind is None else ACTIVATIONS[layer.kind].slope_change
            outputs = layer.weight.shape[2]
            bends.insert(0, None if bend is None else bend(y[..., :outputs]) * received)
            deltas.insert(0, _times(received, slopes[number]))
            if number:
                received = product(deltas[0], layer.weight.mT)
        return _Pass(activations, slopes, deltas, bends)

    def _changes(self, passed: _Pass, along: Sequence[_Along], b: int) -> list[Array]:
        """How each layer's activations change along the vectors, [G, R, b, outputs] each."""
        changes: list[Array] = []
        for layer, given, slope, vector in zip(
            self._layers, passed.activations, passed.slopes, along, strict=False
        ):
            _, inputs, outputs = layer.weight.shape
            change = product(given, vector.affine)
            if changes:
                before = changes[-1].reshape(self.networks, -1, inputs)
                change += product(before, layer.weight).reshape(change.shape)
            change = change.reshape(self.networks, -1, b, outputs)
            if slope is not None:
                tensor(change).mul_(tensor(slope)[:, :, None])
            changes.append(change)
        return changes

    def _second_changes(self, rows: slice, outputs: Array, constants: Array) -> Array:
        """How the loss's derivatives for outputs and constants change, [G, R, b, p]."""
        second = self._second[:, rows, None]
        changed = [x[..., k, None] for x in (outputs, constants) for k in range(x.shape[3])]
        total = changed[0] * second[..., 0, :]
        for number, change in enumerate(changed[1:], start=1):
            total += change * second[..., number, :]
        return total

    def _add(
        self,
        found: Sequence[_Sums],
        passed: _Pass,
        along: Sequence[_Along],
        changes: Sequence[Array],
        change: Array,
    ) -> None:
        """Add a chunk's products; `change` [G, R, b, outputs] is that of the loss's derivative for
        the outputs, and becomes that before every activation in turn."""
        g, count = change.shape[:2]
        for number in reversed(range(len(self._layers))):
            layer, outputs = self._layers[number], self._layers[number].weight.shape[2]
            slope, bend = passed.slopes[number], passed.bends[number]
            if slope is not None:
                tensor(change).mul_(tensor(slope)[:, :, None])
            if bend is not None and (number or self._bent is None):
                tensor(change).addcmul_(tensor(bend)[:, :, None], tensor(changes[number]))
            flat = change.reshape(g, count, -1)
            found[number].affine += product(passed.activations[number].mT, flat)
            if number == 0:
                return
            before, delta = changes[number - 1], passed.deltas[number]
            change = _spread(flat.reshape(g, -1, outputs), layer.weight.mT).reshape(before.shape)
            if number > self._summed:
                found[number].changed += product(before.reshape(g, count, -1).mT, delta)
                tensor(change).add_(tensor(_spread(delta, along[number].turned)).view(before.shape))


class ShallowHessian(PerceptronHessian):
    """Products for two hidden layers, with what first and last layer do together summed once too.

    Where activations are linear but for kinks, an output is then linear in each layer's parameters
    alone, and what is left is J^T S J for the outputs' Jacobians J and the loss's Hessians S for
    outputs: a third of the arithmetic of all changes.
    """

    def __init__(
        self, group: ParameterGroup, loss: Loss, batch: Any, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__(group, loss, batch, dtype)
        self._straight = not _bends(group.network)
        self._first_last, self._second_last = self._pairs_with_last()
        self._summed = 2
        self._lines: dict[tuple[int, int], _Line] = {}

    @silent
    def _pairs_with_last(self) -> tuple[Array, Array]:
        """The loss's derivatives for a parameter of the first [G, n0, n2] or the second layer
        [G * o, a, p] and a weight of the last, without what the loss does with outputs: n0, n2 of
        them, a of the second layer for each of o units, p outputs."""
        first, second, _ = self._layers
        _, hidden, units = second.weight.shape
        each = (first.columns.stop - first.columns.start) // hidden
        ends = units * self._outputs
        above = (second.columns.stop - second.columns.start) // units
        lower, upper = self._zeros(each * hidden, ends), self._zeros(above, ends)
        for rows in self._chunks(each):
            passed = self._new_pass(rows)
            low, high = _hidden_slopes(passed.slopes)
            received = _outer(high, self._first[:, rows, : self._outputs])
            lower += product(_outer(passed.activations[0], low).mT, received)
            upper += product(passed.activations[1].mT, received)
        between = tensor(second.weight).repeat(1, each, 1).repeat_interleave(self._outputs, dim=2)
        apart = tensor(upper).view(self.networks, above, units, -1).transpose(1, 2)
        return array(tensor(lower) * between), array(apart.flatten(0, 1).contiguous())

    @silent
    def products(self, vectors: Tensor) -> Tensor:
        """Each block times its own vectors [G, n, b]: [G, n, b]."""
        total = super().products(vectors)
        self._add_pairs_with_last(total, vectors)
        return total

    def _add_chunk(
        self, rows: slice, along: Sequence[_Along], constants: Array, found: Sequence[_Sums]
    ) -> Array:
        if not self._straight:
            return super()._add_chunk(rows, along, constants, found)
        g, b = self.networks, constants.shape[2]
        line = self._line(rows)
        outputs = tensor(product(line.activations[2], along[2].affine))
        outputs = outputs.view(g, -1, b, self._outputs)
        for given, vector, jacobian in zip(line.activations, along, line.jacobians, strict=False):
            change = product(given, vector.affine)
            outputs += _along_units(tensor(change).view(g, len(outputs[0]), b, -1), jacobian)
        second = self._second_changes(rows, array(outputs), constants)
        ends = tensor(second[..., : self._outputs])
        found[2].affine += product(line.activations[2].mT, array(ends.flatten(2)))
        for given, sums, jacobian in zip(line.activations, found, line.jacobians, strict=False):
            change = array(_to_units(ends, jacobian).flatten(2))
            sums.affine += product(given.mT, change)
        return second

    def _line(self, rows: slice) -> _Line:
        """A chunk of straight activations; kept while there is room."""
        place = (rows.start, rows.stop)
        if place in self._lines:
            return self._lines[place]
        activations, slopes = self._forward(rows)
        low, high = (tensor(x) for x in _hidden_slopes(slopes))
        upper = tensor(self._layers[2].weight).mT[:, None] * high[:, :, None]
        lower = tensor(product(array(upper.flatten(1, 2)), self._layers[1].weight.mT))
        line = _Line(activations[:3], [lower.view(*upper.shape[:3], -1) * low[:, :, None], upper])
        if (len(self._lines) + 1) * line.numbers <= KEPT:
            self._lines[place] = line
        return line

    def _add_pairs_with_last(self, total: Tensor, vectors: Tensor) -> None:
        """Add these derivatives times the vectors [G, n, b] to their products."""
        g, _, b = vectors.shape
        first, second, last = self._layers
        units, p = last.weight.shape[1:]
        ends = slice(last.columns.start, last.columns.start + units * p)
        final = vectors[:, ends].contiguous()
        middle = vectors[:, second.columns].view(g, -1, units, b).transpose(1, 2).flatten(0, 1)
        total[:, first.columns] += tensor(product(self._first_last, array(final)))
        total[:, ends] += tensor(product(self._first_last.mT, array(vectors[:, first.columns])))
        found = product(self._second_last, array(final.view(g * units, p, b)))
        apart = tensor(found).view(g, units, -1, b).transpose(1, 2)
        total[:, second.columns] += apart.reshape(g, -1, b)
        total[:, ends] += tensor(product(self._second_last.mT, array(middle))).view(g, -1, b)


def _hidden_slopes(slopes: Sequence[Array | None]) -> tuple[Array, Array]:
    low, high, _ = slopes
    assert low is not None and high is not None
    return low, high


@dataclass(frozen=True)
class _Dense:
    """A linear layer and its activation: weight [G, i, o], bias [G, 1, o], and the columns of both:
    [a, o] in them, where a is i, and one more with a bias."""

    weight: Array
    bias: Array | None
    kind: ActivationKind | None
    columns: slice


def _dense_layers(network: Network, parameters: Mapping[str, Tensor]) -> list[_Dense]:
    parts = {part.name: part for part in network.parameter_slices()}
    found: list[_Dense] = []
    for layer in network.layers:
        match layer:
            case Linear(name=name):
                weight, bias = parts[f"{name}.weight"], parameters.get(f"{name}.bias")
                last = weight if bias is None else parts[f"{name}.bias"]
                columns = slice(weight.start, last.stop)
                arrays = array(parameters[weight.name]), None if bias is None else array(bias)
                found.append(_Dense(*arrays, None, columns))
            case Activation(kind=kind):
                found[-1] = replace(found[-1], kind=kind)
    return found


def _constant_columns(network: Network) -> slice:
    """Where learned constants lie in a row of parameters: one after the other."""
    parts = [part for part in network.parameter_slices() if part.kind == "constant"]
    return slice(parts[0].start, parts[-1].stop) if parts else slice(0, 0)


@dataclass(frozen=True)
class _Pass:
    """A chunk of R samples, for each layer: what it is given, the outputs last, [G, R, features],
    with a column of ones where the layer has a bias; the slope of its activation; the loss's
    gradient before its activation, and how that changes with the activation's value alone."""

    activations: list[Array]
    slopes: list[Array | None]
    deltas: list[Array]
    bends: list[Array | None]

    @property
    def numbers(self) -> int:
        """How many numbers it holds."""
        parts = (*self.activations, *self.slopes, *self.deltas, *self.bends)
        return sum(math.prod(part.shape) for part in parts if part is not None)


@dataclass(frozen=True)
class _Line:
    """A chunk of R samples, where outputs are linear in what is given to each of three layers: what
    that is, [G, R, features], with a column of ones where the layer has a bias; and the outputs'
    Jacobians [G, R, p, units] for what comes out of the first two."""

    activations: list[Array]
    jacobians: list[Tensor]

    @property
    def numbers(self) -> int:
        """How many numbers it holds."""
        return sum(math.prod(part.shape) for part in (*self.activations, *self.jacobians))


@dataclass(frozen=True)
class _Along:
    """The part of b vectors that belongs to a layer: weight and bias as [G, a, b * o], the weight
    as [G, o, b * i]."""

    affine: Array
    turned: Array

    @classmethod
    def of(cls, layer: _Dense, vectors: Tensor) -> _Along:
        g, inputs, outputs = layer.weight.shape
        both = vectors[:, layer.columns].reshape(g, -1, outputs, vectors.shape[2])
        affine = both.transpose(2, 3).reshape(g, both.shape[1], -1)
        turned = both[:, :inputs].permute(0, 2, 3, 1).reshape(g, outputs, -1)
        return cls(array(affine), array(turned))


@dataclass
class _Sums:
    """A layer's part of the products over chunks: by what the layer is given, [G, a, b * o], and by
    how that changes, [G, b * i, o]."""

    affine: Array
    changed: Array

    @classmethod
    def zeros(cls, layer: _Dense, vectors: Tensor) -> _Sums:
        g, inputs, outputs = layer.weight.shape
        rows, b = (layer.columns.stop - layer.columns.start) // outputs, vectors.shape[2]
        shapes = ((g, rows, b * outputs), (g, b * inputs, outputs))
        return cls(*(array(vectors.new_zeros(shape)) for shape in shapes))

    def products(self, layer: _Dense) -> Tensor:
        """The part [G, a * o, b] that belongs to the layer's columns."""
        g, inputs, outputs = layer.weight.shape
        both = (
            tensor(self.affine).view(g, self.affine.shape[1], -1, outputs).transpose(2, 3).clone()
        )
        both[:, :inputs] += tensor(self.changed).view(g, -1, inputs, outputs).permute(0, 2, 3, 1)
        return both.reshape(g, -1, both.shape[3])


def _with_ones(x: Array) -> Array:
    """x [G, R, i] with a last column of ones."""
    found = tensor(x).new_ones(*x.shape[:2], x.shape[2] + 1)
    found[..., :-1] = tensor(x)
    return array(found)


def _spread(a: Array, b: Array) -> Array:
    """a b for a [G, R, o] and b [G, o, c]; for one output PyTorch takes a sixth of NumPy's time."""
    return array(tensor(a) * tensor(b)) if a.shape[2] == 1 else product(a, b)


def _outer(a: Array, b: Array) -> Array:
    """What a [G, R, i] and b [G, R, j] are times each other, [G, R, i * j]."""
    return array((tensor(a)[..., None] * tensor(b)[..., None, :]).flatten(2))


def _along_units(change: Tensor, jacobian: Tensor) -> Tensor:
    """change [G, R, b, u] times jacobian^T [G, R, p, u]: [G, R, b, p]."""
    if jacobian.shape[2] == 1:  # where a product of stacks takes a multiple of the time
        found: Tensor = torch.linalg.vecdot(change, jacobian)
        return found[..., None]
    return change @ jacobian.mT


def _to_units(ends: Tensor, jacobian: Tensor) -> Tensor:
    """ends [G, R, b, p] times jacobian [G, R, p, u]."""
    return ends * jacobian if jacobian.shape[2] == 1 else ends @ jacobian


def _times(x: Array, factor: Array | None) -> Array:
    return x if factor is None else x * factor


def _output_derivatives(
    loss: Loss, parameters: Mapping[str, Tensor], constants: Mapping[str, Tensor], chunk: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """The network's inputs [G, R, i], and each sample's derivatives [G, R, p] and [G, R, p, p] of
    the loss for its own outputs and constants."""
    own = {name: value.clone().requires_grad_() for name, value in constants.items()}
    tapped = Tapped({**parameters, **own})
    total = loss(tapped, chunk).sum()
    if tapped.outputs is None or tapped.inputs is None:
        raise ValueError("the loss does not depend on the group's network")
    variables = [tapped.outputs, *own.values()]

    def along(gradient: Tensor, direction: Tensor) -> Tensor:
        """The derivative [G, R, p] of all gradients in a direction, and so the Hessian times it."""
        if not gradient.requires_grad:
            return torch.zeros_like(gradient)
        change = torch.autograd.grad(
            gradient, variables, direction, retain_graph=True, materialize_grads=True
        )
        return torch.cat(change, dim=2)

    first = torch.autograd.grad(total, variables, create_graph=True, materialize_grads=True)
    gradient = torch.cat(first, dim=2)
    unit = torch.eye(gradient.shape[2], dtype=gradient.dtype, device=gradient.device)
    rows = [along(gradient, one.expand_as(gradient)) for one in unit]
    second = torch.stack(rows, dim=2)
    probe = torch.linspace(-1, 1, gradient.numel(), dtype=gradient.dtype, device=gradient.device)
    probe = probe.view(gradient.shape)
    expected = (second @ probe[..., None]).squeeze(3)
    slack = SEPARATE * float(second.abs().max())
    if not torch.allclose(along(gradient, probe), expected, rtol=SEPARATE, atol=slack):
        raise ValueError(
            "the loss of a sample depends on the outputs for others, or of another network: its "
            "Hessian has no form that this analysis takes"
        )
    return tapped.inputs, gradient.detach(), second.detach()
