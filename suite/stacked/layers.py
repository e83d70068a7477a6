"""Networks as data, and their forward pass over a stack of seeds.

Tensors are [N, B, *features] and parameters [N, ...], where N = S * copies counts the networks of
the stack, seed by seed.

A network's bits must not depend on the size of the stack (CPU, one thread). The products of
`suite.stacked.products` keep that promise; PyTorch's kernels (norms, large convolutions) keep it
for operands on the same memory alignment, which every network of a stack has here.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from suite.stacked.activations import ActivationKind, activation
from suite.stacked.convolution import convolution, is_large
from suite.stacked.perceptron import DenseLayer, perceptron
from suite.stacked.products import affine

# Float32 numbers in 64 bytes, the alignment at which CPU kernels take the same path.
ALIGNMENT = 16

ParameterKind = Literal["weight", "bias", "gain", "offset", "constant"]
Affine = Literal["both", "gain", "none"]
LEARNED: dict[Affine, tuple[ParameterKind, ...]] = {
    "both": ("gain", "offset"),
    "gain": ("gain",),
    "none": (),
}


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
    """Valid square convolution, [N, B, in, H, W] to [N, B, out, H', W'].

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

    After a convolution `shape` is (C, H, W); `Network.output_shapes` tells it.
    gain and offset, as far as `affine` has them, are [N, 1, prod(shape)].
    """

    name: str
    kind: Literal["layer", "rms"]
    shape: tuple[int, ...]
    affine: Affine = "both"
    eps: float = 1e-5


@dataclass(frozen=True)
class Activation:
    """An elementwise nonlinearity."""

    kind: ActivationKind


@dataclass(frozen=True)
class Mirrored:
    """Features, and behind them the same with their signs turned."""


@dataclass(frozen=True)
class Flatten:
    """All features of an input in one axis."""


@dataclass(frozen=True)
class ChannelsFirst:
    """Images (height, width, channels) as (channels, height, width)."""


@dataclass(frozen=True)
class LearnedConstant:
    """Learned numbers that are the same for every input, and no feature of it: an agent takes them
    from the parameters.

    constant [N, 1, size] starts as `value`.
    """

    name: str
    size: int
    value: float


Layer = (
    Linear | Convolution | Norm | Activation | Mirrored | Flatten | ChannelsFirst | LearnedConstant
)
Run = tuple[tuple[Linear | Convolution, ActivationKind | None], ...]


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


class Tapped(dict[str, Tensor]):
    """Parameters of a network that give its outputs as a leaf of their own, so that what a loss
    does with outputs can be differentiated alone.

    `inputs` and `outputs` are those of the one pass that a loss differentiates.
    """

    inputs: Tensor | None = None
    outputs: Tensor | None = None


@dataclass(frozen=True)
class Network:
    """A sequence of layers. `copies` networks per seed are trained as one stack (twin critics).

    Raises ValueError where a layer cannot take what the layer before it gives.
    """

    name: str
    role: Literal["actor", "critic", "q", "encoder", "classifier"]
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
        """Batches of a multiple of this size fill whole 64-byte blocks between all layers; 1 where
        no layer needs that."""
        inputs = (self.input_shape, *self.output_shapes())
        if not any(
            isinstance(layer, Norm) or (isinstance(layer, Convolution) and is_large(shape))
            for layer, shape in zip(self.layers, inputs, strict=False)
        ):
            return 1
        sizes = [math.prod(shape) for shape in self.output_shapes()[:-1]]
        return max((2, *(ALIGNMENT // math.gcd(ALIGNMENT, size) for size in sizes)))

    @cached_property
    def _runs(self) -> tuple[Layer | Run, ...]:
        """The layers, those that `perceptron` takes at once as one: Linears that follow each other,
        and a convolution of small images before them, each with its activation."""
        runs: list[Layer | Run] = []
        inputs = (self.input_shape, *self.output_shapes())
        for index, layer in enumerate(self.layers):
            run = runs[-1] if runs and isinstance(runs[-1], tuple) else ()
            match layer:
                case LearnedConstant():
                    pass
                case Convolution() if self._begins_run(index) and not is_large(inputs[index]):
                    runs.append(((layer, None),))
                case Linear():
                    runs[len(runs) - bool(run) :] = [(*run, (layer, None))]
                case Activation(kind=kind) if run and run[-1][1] is None:
                    runs[-1] = (*run[:-1], (run[-1][0], kind))
                case Flatten() if run and isinstance(run[-1][0], Convolution):
                    pass
                case _:
                    runs.append(layer)
        return tuple(runs)

    def _tapped(self, parameters: Tapped, x: Tensor) -> Tensor:
        if parameters.outputs is not None:
            raise ValueError(f"the loss passes network {self.name!r} twice")
        with torch.no_grad():
            outputs = self.forward(parameters, x)
        parameters.inputs, parameters.outputs = x.detach(), outputs.requires_grad_()
        return parameters.outputs

    def _begins_run(self, index: int) -> bool:
        """Whether nothing is learned before that convolution and a Linear takes its outputs."""
        before, after = self.layers[:index], self.layers[index + 1 :]
        kinds = [type(layer) for layer in after if not isinstance(layer, Activation)]
        return all(isinstance(x, ChannelsFirst) for x in before) and kinds[:2] == [Flatten, Linear]

    def forward(
        self,
        parameters: Mapping[str, Tensor],
        x: Tensor,
        trace: dict[str, Tensor] | None = None,
    ) -> Tensor:
        """Outputs [N, B, outputs] for inputs [N, B, *input_shape].

        `trace` receives each named layer's output under its name, and the result of an activation
        as "<layer>_activation", where layer is the Linear or Convolution that feeds it.

        Raises ValueError for a second pass with gradients through `Tapped` parameters.
        """
        if isinstance(parameters, Tapped) and torch.is_grad_enabled():
            return self._tapped(parameters, x)
        batch = x.shape[1]
        if self._batch_multiple > 1:
            x = _padded(x, self._batch_multiple)
        feeding = ""
        # A run begins with images that need no gradient.
        one_by_one = trace is not None or (x.requires_grad and len(self.input_shape) == 3)
        for layer in self.layers if one_by_one else self._runs:
            match layer:
                case tuple():
                    first = layer[0][0]
                    stride = first.stride if isinstance(first, Convolution) else 1
                    x = perceptron(x, [_dense(parameters, *pair) for pair in layer], stride)
                    continue
                case Linear(name=name):
                    x = affine(x, parameters[f"{name}.weight"], parameters.get(f"{name}.bias"))
                    key = feeding = name
                case Convolution(name=name):
                    x = convolution(
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
                    x = activation(layer.kind, x)
                    key = f"{feeding}_activation"
                case LearnedConstant():
                    continue
                case Mirrored():
                    x = torch.cat((x, -x), dim=2)
                    continue
                case Flatten():
                    x = x.flatten(2)
                    continue
                case ChannelsFirst():
                    x = x.movedim(-1, -3)
                    continue
            if trace is not None:
                trace[key] = x[:, :batch]
        return x if x.shape[1] == batch else x[:, :batch]


def _dense(
    parameters: Mapping[str, Tensor],
    layer: Linear | Convolution,
    activation: ActivationKind | None,
) -> DenseLayer:
    name = layer.name
    return parameters[f"{name}.weight"], parameters.get(f"{name}.bias"), activation


def _padded(x: Tensor, multiple: int) -> Tensor:
    """Inputs [N, B, ...] with rows repeated up to a multiple of that many, so that all that lies
    between layers keeps one alignment; and each network's inputs on a 64-byte boundary."""
    if x.shape[1] % multiple:
        spare = x[:, :1].expand(-1, -x.shape[1] % multiple, *x.shape[2:])
        x = torch.cat((x, spare), dim=1)
    size = math.prod(x.shape[1:])
    if size % ALIGNMENT == 0:
        return x
    rows = x.new_zeros(x.shape[0], size + -size % ALIGNMENT)
    rows[:, :size] = x.flatten(1)
    return rows[:, :size].view(x.shape)


def _output_shape(layer: Layer, shape: tuple[int, ...]) -> tuple[int, ...]:
    match layer:
        case Linear():
            if shape != (layer.inputs,):
                raise ValueError(
                    f"layer {layer.name!r} takes shape {(layer.inputs,)}, is given {shape}"
                )
            return (layer.outputs,)
        case Convolution():
            channels, *image = shape
            if channels != layer.in_channels or len(image) != 2:
                raise ValueError(
                    f"layer {layer.name!r} takes shape ({layer.in_channels}, height, width), "
                    f"is given {shape}"
                )
            sizes = ((size - layer.kernel) // layer.stride + 1 for size in image)
            return (layer.out_channels, *sizes)
        case Norm():
            if shape != layer.shape:
                raise ValueError(
                    f"norm {layer.name!r} is over {layer.shape}, is given {shape}; "
                    "Network.output_shapes tells the shape after each layer"
                )
            return shape
        case Activation() | LearnedConstant():
            return shape
        case Mirrored():
            return (2 * shape[0], *shape[1:])
        case Flatten():
            return (math.prod(shape),)
        case ChannelsFirst():
            height, width, channels = shape
            return (channels, height, width)


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
            return [(layer.name, kind, size) for kind in LEARNED[layer.affine]]
        case LearnedConstant():
            return [(layer.name, "constant", (1, layer.size))]
        case _:
            return []
    if not layer.bias:
        return [(layer.name, "weight", weight)]
    return [(layer.name, "weight", weight), (layer.name, "bias", (1, outputs))]


def _norm(x: Tensor, norm: Norm, gain: Tensor | None, offset: Tensor | None) -> Tensor:
    flat = x.flatten(2)
    normalise = F.layer_norm if norm.kind == "layer" else F.rms_norm
    y = normalise(flat, flat.shape[2:], eps=norm.eps)
    if gain is not None:
        y = y * gain if offset is None else torch.addcmul(offset, y, gain)
    return y.view(x.shape)
