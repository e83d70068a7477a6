"""Actions in (-1, 1) drawn as tanh of a normal number, and their densities (Haarnoja et al. 2018,
Soft Actor-Critic, appendix C)."""

import math

import torch
from torch import Tensor


def tanh_gaussian(mean: Tensor, log_std: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Actions [S, B, size] and the logarithms of their densities [S, B].

    mean, log_std: [S, B, size], of the number before the tanh. noise: the same, standard normal.
    """
    before = mean + log_std.exp() * noise
    gaussian = -0.5 * noise.square() - log_std - 0.5 * math.log(2 * math.pi)
    # log(1 - tanh(x)^2) without cancellation. Not softplus: its bits depend on place in memory.
    size = before.abs()
    log_slope = 2 * (math.log(2) - size - torch.log1p(torch.exp(-2 * size)))
    return torch.tanh(before), (gaussian - log_slope).sum(dim=-1)
