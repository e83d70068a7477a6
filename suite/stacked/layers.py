"""Networks as data, and their forward pass over a stack of seeds.

Tensors are [N, B, *features] and parameters [N, ...], where N = S * copies counts the networks of
the stack, seed by seed. Images are channels-last, (height, width, channels), as MinAtar gives them.

A network's bits must not depend on the size of the stack (CPU, one thread). Batched products keep
that promise under two conditions, both met here: every network's operands start on the same memory
alignment, and no product with one column runs alone, because a stack of one takes another kernel.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

# Float32 numbers in 64 bytes, the alignment at which CPU kernels take the same path.
ALIGNMENT = 16

ParameterKind = Literal["weight", "bias", "gain", "offset"]


@dataclass(frozen=True)
class Linear:
    """x W + b over the last axis; weight [N, inputs, outputs], bias [N, 1, outputs]."""

    name: str
    inputs: int
    outputs: int
    bias: bool = True
    initialiser: str = "torch_default"


@dataclass(frozen=True)
class Convolution:
    """Valid square convolution, [N, B, H, W, in] to [N, B, H', W', out].

    weight [N, out, in, kernel, kernel], bias [N, 1, out].
    """

    name: str
    in_channels: int
    out_channels: int
    kernel: int
    stride: int = 1
    bias: bool = True
    initialiser: str = "torch_default"


@dataclass(frozen=True)
class Norm:
    """Layer or RMS normalisation over all of `shape` jointly, the features that it receives.

    After a convolution `shape` is (H, W, C); `Network.output_shapes` tells it.
    gain and offset are [N, 1, prod(shape)].
    """

    name: str
    kind: Literal["layer", "rms"]
    shape: tuple[int, ...]
    affine: bool = True
    eps: float = 1e-5


@dataclass(frozen=True)
class Activation:
    """An elementwise nonlinearity."""

    kind: Literal["relu", "tanh"]


@dataclass(frozen=True)
class Flatten:
    """All features of an input in one axis."""


Layer = Linear | Convolution | Norm | Activation | Flatten


@dataclass(frozen=True)
class ParameterSlice:
    """Where one tensor lies in a flat vector of parameters: columns start to stop.

    `name` is "hidden1.weight", or "q1.hidden1.weight" where a group has several copies; `layer` is
    the layer's own name; `shape` is the tensor's shape for one seed; `followed_by_norm` says that
    the layer's output goes straight into a Norm.
    """

    name: str
    layer: str
    kind: ParameterKind
    shape: tuple[int, ...]
    start: int
    stop: int
    followed_by_norm: bool


@dataclass(frozen=True)
class Network:
    """A sequence of layers. `copies` networks per seed are trained as one stack (twin critics).

    Raises ValueError where a layer cannot take what the layer before it gives.
    """

    name: str
    role: Literal["actor", "critic", "q", "classifier"]
    layers: tuple[Layer, ...]
    input_shape: tuple[int, ...]
    copies: int = 1

    def __post_init__(self) -> None:
        self.output_shapes()

    def output_shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of the features after each layer, batch axes left out."""
        shape, shapes = self.input_shape, []
        for layer in self.layers:
            shape = _output_shape(layer, shape)
            shapes.append(shape)
        return tuple(shapes)

    def parameter_slices(self) -> tuple[ParameterSlice, ...]:
        """The tensors of one copy, in the order of the layers, counted from 0."""
        slices: list[ParameterSlice] = []
        start = 0
        for index, layer in enumerate(self.layers):
            normed = any(isinstance(after, Norm) for after in self.layers[index + 1 : index + 2])
            for name, kind, shape in _tensors(layer):
                stop = start + math.prod(shape)
                full = f"{name}.{kind}"
                slices.append(ParameterSlice(full, name, kind, shape, start, stop, normed))
                start = stop
        return tuple(slices)

    def row_length(self) -> int:
        """Columns that one copy takes in a flat vector: its parameters, padded with zeros so that
        each network starts on a 64-byte boundary."""
        count = self.parameter_slices()[-1].stop
        return -(-count // ALIGNMENT) * ALIGNMENT

    @cached_property
    def _batch_multiple(self) -> int:
        """Batches of a multiple of this size fill whole 64-byte blocks at every layer's input; a
        product of one row, like one of one column, would take another kernel."""
        shapes = (self.input_shape, *self.output_shapes())
        sizes = [math.prod(shape) for shape in shapes[:-1]]
        return max(2, *(ALIGNMENT // math.gcd(ALIGNMENT, size) for size in sizes))

    def forward(
        self,
        parameters: Mapping[str, Tensor],
        x: Tensor,
        trace: dict[str, Tensor] | None = None,
    ) -> Tensor:
        """Outputs [N, B, outputs] for inputs [N, B, *input_shape].

        `trace` receives each named layer's output under its name, and the result of an activation
        as "<layer>_activation", where layer is the Linear or Convolution that feeds it.
        """
        batch = x.shape[1]
        if batch % self._batch_multiple:
            # Repeated rows keep every network's inputs on the same alignment.
            spare = x[:, :1].expand(-1, -batch % self._batch_multiple, *x.shape[2:])
            x = torch.cat((x, spare), dim=1)
        feeding = ""
        for layer in self.layers:
            match layer:
                case Linear(name=name):
                    x = _linear(x, parameters[f"{name}.weight"], parameters.get(f"{name}.bias"))
                    key = feeding = name
                case Convolution(name=name):
                    x = _convolution(
                        x,
                        parameters[f"{name}.weight"],
                        parameters.get(f"{name}.bias"),
                        layer.stride,
                    )
                    key = feeding = name
                case Norm(name=name):
                    x = _norm(
                        x, layer, parameters.get(f"{name}.gain"), parameters.get(f"{name}.offset")
                    )
                    key = name
                case Activation():
                    x = torch.relu(x) if layer.kind == "relu" else torch.tanh(x)
                    key = f"{feeding}_activation"
                case Flatten():
                    x = x.flatten(2)
                    continue
            if trace is not None:
                trace[key] = x[:, :batch]
        return x[:, :batch]


def _output_shape(layer: Layer, shape: tuple[int, ...]) -> tuple[int, ...]:
    match layer:
        case Linear():
            if shape != (layer.inputs,):
                raise ValueError(
                    f"layer {layer.name!r} takes shape {(layer.inputs,)}, is given {shape}"
                )
            return (layer.outputs,)
        case Convolution():
            height, width, channels = shape
            if channels != layer.in_channels:
                raise ValueError(
                    f"layer {layer.name!r} takes {layer.in_channels} channels in the last axis, "
                    f"is given {shape}"
                )
            sizes = ((size - layer.kernel) // layer.stride + 1 for size in (height, width))
            return (*sizes, layer.out_channels)
        case Norm():
            if shape != layer.shape:
                raise ValueError(
                    f"norm {layer.name!r} is over {layer.shape}, is given {shape}; "
                    "Network.output_shapes tells the shape after each layer"
                )
            return shape
        case Activation():
            return shape
        case Flatten():
            return (math.prod(shape),)


def _tensors(layer: Layer) -> list[tuple[str, ParameterKind, tuple[int, ...]]]:
    """Layer name, kind and shape for one seed of each tensor of a layer."""
    weight: tuple[int, ...]
    match layer:
        case Linear():
            weight, outputs = (layer.inputs, layer.outputs), layer.outputs
        case Convolution():
            outputs = layer.out_channels
            weight = (outputs, layer.in_channels, layer.kernel, layer.kernel)
        case Norm():
            size = (1, math.prod(layer.shape))
            both: tuple[ParameterKind, ...] = ("gain", "offset") if layer.affine else ()
            return [(layer.name, kind, size) for kind in both]
        case _:
            return []
    if not layer.bias:
        return [(layer.name, "weight", weight)]
    return [(layer.name, "weight", weight), (layer.name, "bias", (1, outputs))]


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if x.shape[0] == 1 and 1 in weight.shape:
        # A lone product with one column takes another kernel than a stacked one: run it twice.
        pair = None if bias is None else bias.expand(2, -1, -1)
        return _linear(x.expand(2, -1, -1), weight.expand(2, -1, -1), pair)[:1]
    return torch.bmm(x, weight) if bias is None else torch.baddbmm(bias, x, weight)


def _convolution(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    """Patches times kernels: on MinAtar sizes faster than a grouped conv2d at every stack size."""
    stack, batch = x.shape[:2]
    outputs, channels, kernel = weight.shape[1:4]
    patches = x.unfold(2, kernel, stride).unfold(3, kernel, stride).permute(0, 1, 2, 3, 5, 6, 4)
    height, width = patches.shape[2:4]
    columns = kernel * kernel * channels
    y = _linear(
        patches.reshape(stack, batch * height * width, columns),
        weight.permute(0, 3, 4, 2, 1).reshape(stack, columns, outputs),
        bias,
    )
    return y.view(stack, batch, height, width, outputs)


def _norm(x: Tensor, norm: Norm, gain: Tensor | None, offset: Tensor | None) -> Tensor:
    flat = x.flatten(2)
    normalise = F.layer_norm if norm.kind == "layer" else F.rms_norm
    y = normalise(flat, flat.shape[2:], eps=norm.eps)
    if gain is not None and offset is not None:
        y = torch.addcmul(offset, y, gain)
    return y.view(x.shape)
