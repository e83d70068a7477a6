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
) -> Network:
    """`hidden_layers` ReLU layers of `hidden_units` and a linear output layer."""
    layers: list[Layer] = []
    size = inputs
    for number in range(1, hidden_layers + 1):
        layers += [
            Linear(f"hidden{number}", size, hidden_units, bias, initialiser),
            Activation("relu"),
        ]
        size = hidden_units
    layers.append(Linear("output", size, outputs, bias, initialiser))
    return Network(name, role, tuple(layers), (inputs,), copies)


def minatar_q_network(
    observation_shape: tuple[int, int, int], filters: int, hidden_units: int, actions: int
) -> Network:
    """One 3x3 convolution and one hidden layer, ReLU (kenjyoung/MinAtar examples/dqn.py QNetwork).

    `observation_shape` is (height, width, channels).
    """
    height, width, channels = observation_shape
    features = (height - 2) * (width - 2) * filters
    layers = (
        ChannelsFirst(),
        Convolution("conv1", channels, filters, kernel=3),
        Activation("relu"),
        Flatten(),
        Linear("hidden1", features, hidden_units),
        Activation("relu"),
        Linear("output", hidden_units, actions),
    )
    return Network("q", "q", layers, observation_shape)


def pixel_convolutions(image_size: int, channels: int, filters: int) -> Network:
    """Four 3x3 convolutions, strides 2, 1, 1, 1, ReLU (MishaLaskin/rad encoder.py)."""
    layers: list[Layer] = [ChannelsFirst()]
    observed = channels
    for number, stride in enumerate((2, 1, 1, 1), 1):
        initialiser = "delta_orthogonal_relu"
        name = f"conv{number}"
        layers.append(Convolution(name, channels, filters, 3, stride, True, initialiser))
        layers.append(Activation("relu"))
        channels = filters
    layers.append(Flatten())
    shape = (image_size, image_size, observed)
    return Network("convolutions", "encoder", tuple(layers), shape)


def pixel_features(name: str, inputs: int, features: int) -> Network:
    """One linear layer and a layer norm, on flattened convolutions (encoder.py)."""
    linear = Linear("features", inputs, features, initialiser="orthogonal")
    norm = Norm("features_norm", "layer", (features,))
    return Network(name, "encoder", (linear, norm), (inputs,))
