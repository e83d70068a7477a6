"""Initial values of one tensor of one seed, drawn from that seed's own stream.

`shape` is the tensor's shape for one seed; `fan_in` the number of inputs that one output sums over.
"""

import math
from collections.abc import Callable

import numpy as np

Initialiser = Callable[[np.random.Generator, str, tuple[int, ...], int], np.ndarray]


def torch_default(
    generator: np.random.Generator, kind: str, shape: tuple[int, ...], fan_in: int
) -> np.ndarray:
    """PyTorch's default for Linear and Conv2d: kaiming_uniform(a=sqrt(5)) is U(±1/sqrt(fan_in)),
    for weights and biases alike (torch.nn.Linear.reset_parameters)."""
    bound = np.float32(1 / np.sqrt(fan_in))
    return generator.random(shape, np.float32) * (2 * bound) - bound


def he_normal(
    generator: np.random.Generator, kind: str, shape: tuple[int, ...], fan_in: int
) -> np.ndarray:
    """Weights N(0, 2 / fan_in), biases zero (He et al. 2015, for ReLU)."""
    if kind == "bias":
        return np.zeros(shape, np.float32)
    return generator.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / fan_in))


def orthogonal(gain: float) -> Initialiser:
    """Weights: `gain` times a uniformly drawn matrix with orthonormal rows or columns; biases zero
    (Saxe et al. 2014; torch.nn.init.orthogonal_ as Stable-Baselines3's policies use it)."""

    def initialise(
        generator: np.random.Generator, kind: str, shape: tuple[int, ...], fan_in: int
    ) -> np.ndarray:
        if kind == "bias":
            return np.zeros(shape, np.float32)
        rows, columns = shape[0], math.prod(shape[1:])
        normal = generator.standard_normal((max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(normal)
        # The signs make the distribution uniform (Mezzadri 2007).
        q *= np.sign(np.diag(r))
        wide = q if rows >= columns else q.T
        return (gain * wide).reshape(shape).astype(np.float32)

    return initialise


def delta_orthogonal_relu(
    generator: np.random.Generator, kind: str, shape: tuple[int, ...], fan_in: int
) -> np.ndarray:
    """Kernels that are zero but for the centre, orthogonal there, times sqrt(2), ReLU's gain
    (Xiao et al. 2018); biases zero."""
    weight = np.zeros(shape, np.float32)
    if kind == "weight":
        centre = orthogonal(math.sqrt(2))(generator, kind, shape[:2], fan_in)
        weight[:, :, shape[2] // 2, shape[3] // 2] = centre
    return weight


INITIALISERS: dict[str, Initialiser] = {
    "torch_default": torch_default,
    "he_normal": he_normal,
    "orthogonal_sqrt2": orthogonal(math.sqrt(2)),
    "orthogonal_1": orthogonal(1.0),
    "orthogonal_0.01": orthogonal(0.01),
    "delta_orthogonal_relu": delta_orthogonal_relu,
}
