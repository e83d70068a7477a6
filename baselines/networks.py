"""The networks that the agents share."""

from typing import Literal

from suite.stacked.layers import (
    Activation,
    ChannelsFirst,
    Convolution,
    Flatten,
    Layer,
    Linear,
    Network,
    Norm,
)

# A network beyond these sizes fits no machine.
MOST_LAYERS = 1000
MOST_UNITS = 2**20


def mlp(
    name: str,
    role: Literal["actor", "critic", "q", "classifier"],
    inputs: int,
    hidden_layers: int,
    hidden_units: int,
    outputs: int,
    copies: int = 1,
    bias: bool = True,
    initialiser: str = "torch_default",
    output_initialiser: str | None = None,
    activation: Literal["relu", "tanh"] = "relu",
) -> Network:
    """`hidden_layers` layers of `hidden_units` and a linear output layer, which takes
    `initialiser` too unless it has its own."""
    layers: list[Layer] = []
    size = inputs
    for number in range(1, hidden_layers + 1):
        layers += [
            Linear(f"hidden{number}", size, hidden_units, bias, initialiser),
            Activation(activation),
        ]
        size = hidden_units
    layers.append(Linear("output", size, outputs, bias, output_initialiser or initialiser))
    return Network(name, role, tuple(layers), (inputs,), copies)


def minatar_q_network(
    observation_shape: tuple[int, int, int], filters: int, hidden_units: int, actions: int
) -> Network:
    """`minatar_network` with a value per action, as PyTorch initialises it."""
    return minatar_network("q", "q", observation_shape, filters, hidden_units, actions)


def minatar_network(
    name: str,
    role: Literal["actor", "critic", "q"],
    observation_shape: tuple[int, int, int],
    filters: int,
    hidden_units: int,
    outputs: int,
    initialiser: str = "torch_default",
    output_initialiser: str = "torch_default",
    activation: Literal["relu", "tanh"] = "relu",
) -> Network:
    """One 3x3 convolution and one hidden layer (kenjyoung/MinAtar examples/dqn.py QNetwork).

    `observation_shape` is (height, width, channels).
    """
    height, width, channels = observation_shape
    features = (height - 2) * (width - 2) * filters
    layers = (
        ChannelsFirst(),
        Convolution("conv1", channels, filters, kernel=3, initialiser=initialiser),
        Activation(activation),
        Flatten(),
        Linear("hidden1", features, hidden_units, initialiser=initialiser),
        Activation(activation),
        Linear("output", hidden_units, outputs, initialiser=output_initialiser),
    )
    return Network(name, role, layers, observation_shape)


def too_small(observation_shape: tuple[int, ...]) -> str | None:
    """Why `minatar_network` can't take images of this shape; None if it can, or for vectors."""
    if len(observation_shape) == 3 and min(observation_shape[:2]) < 3:
        height, width, _ = observation_shape
        return f"images of {height} x {width} are smaller than the 3 x 3 of a convolution"
    return None


def pixel_convolutions(
    image_size: int, channels: int, filters: int, count: int, initialiser: str
) -> Network:
    """`count` 3x3 convolutions, the first of stride 2, ReLU (MishaLaskin/rad encoder.py)."""
    layers: list[Layer] = [ChannelsFirst()]
    observed = channels
    for number in range(1, count + 1):
        stride = 2 if number == 1 else 1
        name = f"conv{number}"
        layers.append(Convolution(name, channels, filters, 3, stride, True, initialiser))
        layers.append(Activation("relu"))
        channels = filters
    layers.append(Flatten())
    shape = (image_size, image_size, observed)
    return Network("convolutions", "encoder", tuple(layers), shape)


def pixel_features(name: str, inputs: int, features: int) -> Network:
    """One linear layer and a layer norm, on flattened convolutions (encoder.py)."""
    linear = Linear("features", inputs, features, initialiser="orthogonal_1")
    norm = Norm("features_norm", "layer", (features,))
    return Network(name, "encoder", (linear, norm), (inputs,))
