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
