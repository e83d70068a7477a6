"""Networks as data, and their forward pass over a stack of seeds.

Tensors are [N, B, *features] and parameters [N, ...], where N = S * copies counts the networks of
the stack, seed by seed.

A network's bits must not depend on the size of the stack (CPU, one thread). The products of
`suite.stacked.products` keep that promise for operands on the same memory alignment, which every
network of a stack has here.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from suite.stacked.activations import ACTIVATIONS, ActivationKind
from suite.stacked.perceptron import DenseLayer, perceptron
from suite.stacked.products import affine

# Float32 numbers in 64 bytes, the alignment at which CPU kernels take the same path.
ALIGNMENT = 16

# Numbers in an image, beyond which PyTorch's convolution is taken in place of products of patches:
# above every MinAtar game's (10 x 10 x 10).
LARGE_IMAGE = 1000

ParameterKind = Literal["weight", "bias", "gain", "offset", "constant"]


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

    kind: ActivationKind


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


Layer = Linear | Convolution | Norm | Activation | Flatten | ChannelsFirst | LearnedConstant


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
        """Batches of a multiple of this size fill whole 64-byte blocks between all layers."""
        sizes = [math.prod(shape) for shape in self.output_shapes()[:-1]]
        return max((2, *(ALIGNMENT // math.gcd(ALIGNMENT, size) for size in sizes)))

    @cached_property
    def _runs(self) -> tuple[Layer | tuple[tuple[Linear, ActivationKind | None], ...], ...]:
        """The layers, with Linears that follow each other as one, each with its activation."""
        runs: list[Layer | tuple[tuple[Linear, ActivationKind | None], ...]] = []
        for layer in self.layers:
            run = runs[-1] if runs and isinstance(runs[-1], tuple) else ()
            if isinstance(layer, Linear):
                runs[len(runs) - bool(run) :] = [(*run, (layer, None))]
            elif isinstance(layer, Activation) and run and run[-1][1] is None:
                runs[-1] = (*run[:-1], (run[-1][0], layer.kind))
            else:
                runs.append(layer)
        return tuple(runs)

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
            # Repeated rows keep all that lies between layers on the same alignment.
            spare = x[:, :1].expand(-1, -batch % self._batch_multiple, *x.shape[2:])
            x = torch.cat((x, spare), dim=1)
        x = _aligned(x)
        feeding = ""
        for layer in self.layers if trace is not None else self._runs:
            match layer:
                case tuple():
                    x = perceptron(x, [_dense(parameters, *pair) for pair in layer])
                    continue
                case Linear(name=name):
                    x = affine(x, parameters[f"{name}.weight"], parameters.get(f"{name}.bias"))
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
                    x = ACTIVATIONS[layer.kind].value(x)
                    key = f"{feeding}_activation"
                case LearnedConstant():
                    continue
                case Flatten():
                    x = x.flatten(2)
                    continue
                case ChannelsFirst():
                    x = x.movedim(-1, -3)
                    continue
            if trace is not None:
                trace[key] = x[:, :batch]
        return x[:, :batch]


def _dense(
    parameters: Mapping[str, Tensor], layer: Linear, activation: ActivationKind | None
) -> DenseLayer:
    name = layer.name
    return parameters[f"{name}.weight"], parameters.get(f"{name}.bias"), activation


def _aligned(x: Tensor) -> Tensor:
    """The same inputs [N, B, ...], each network's on a 64-byte boundary."""
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
            both: tuple[ParameterKind, ...] = ("gain", "offset") if layer.affine else ()
            return [(layer.name, kind, size) for kind in both]
        case LearnedConstant():
            return [(layer.name, "constant", (1, layer.size))]
        case _:
            return []
    if not layer.bias:
        return [(layer.name, "weight", weight)]
    return [(layer.name, "weight", weight), (layer.name, "bias", (1, outputs))]


def _convolution(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    """Kernels times patches: on MinAtar sizes faster than a grouped conv2d at every stack size.

    The batch is innermost, so that a patch's element is one run of memory; for the replay's images
    the first permutation copies nothing.
    """
    stack, batch, channels, height, width = x.shape
    if channels * height * width > LARGE_IMAGE:
        # Patches of large images outgrow the caches; one network after the other keeps its bits.
        rows = zip(x, weight, strict=True)
        y = torch.stack([F.conv2d(images, kernels, stride=stride) for images, kernels in rows])
        return y if bias is None else y + bias.view(stack, 1, -1, 1, 1)
    outputs, kernel = weight.shape[1], weight.shape[3]
    elements = x.permute(0, 3, 4, 2, 1).reshape(-1, batch)
    places = _patches(stack, channels, height, width, kernel, stride, x.device)
    patches = elements.index_select(0, places.flatten()).view(stack, places.shape[1], -1)
    y = affine(weight.flatten(2), patches, None if bias is None else bias.mT)
    size = ((height - kernel) // stride + 1, (width - kernel) // stride + 1)
    return y.view(stack, outputs, *size, batch).movedim(-1, 1)


@lru_cache(maxsize=64)
def _patches(
    stack: int,
    channels: int,
    height: int,
    width: int,
    kernel: int,
    stride: int,
    device: torch.device,
) -> Tensor:
    """Places of the patches' elements in stacked images (height, width, channels), counted from
    the first image: [stack, channels * kernel * kernel, positions]."""
    image = torch.arange(stack * height * width * channels, device=device)
    image = image.view(stack, height, width, channels)
    patches = image.unfold(1, kernel, stride).unfold(2, kernel, stride)
    return patches.permute(0, 3, 4, 5, 1, 2).reshape(stack, channels * kernel**2, -1)


def _norm(x: Tensor, norm: Norm, gain: Tensor | None, offset: Tensor | None) -> Tensor:
    flat = x.flatten(2)
    normalise = F.layer_norm if norm.kind == "layer" else F.rms_norm
    y = normalise(flat, flat.shape[2:], eps=norm.eps)
    if gain is not None and offset is not None:
        y = torch.addcmul(offset, y, gain)
    return y.view(x.shape)
