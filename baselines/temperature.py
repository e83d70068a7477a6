"""The weight of the entropy, trained towards a target entropy (Haarnoja et al. 2018, Soft
Actor-Critic Algorithms and Applications, section 5)."""

import math

import torch
from torch import Tensor

from suite.stacked.layers import ALIGNMENT
from suite.stacked.optimisers import Adam
from suite.stacked.streams import State, add_prefix, take_prefix


class Temperature:
    """alpha of each of `seeds` seeds, kept as its logarithm.

    log_alpha: [S, 16], equal columns: a whole 64-byte block a seed lets the kernels of Adam and exp
    take the same path for every size of the stack.
    """

    def __init__(
        self,
        seeds: int,
        initial: float,
        learning_rate: float,
        betas: tuple[float, float],
        eps: float,
        device: str,
    ) -> None:
        self.log_alpha = torch.full((seeds, ALIGNMENT), math.log(initial), device=device)
        self.optimiser = Adam(self.log_alpha, learning_rate, betas, eps)

    def value(self) -> Tensor:
        """alpha [S, 1], without gradient."""
        return self.log_alpha.exp()[:, :1]

    def step(self, log_prob: Tensor, target_entropy: float) -> None:
        """One step on -log alpha (log pi + target entropy), averaged over log pi [S, B]."""
        gradient = -(log_prob.detach().mean(dim=1, keepdim=True) + target_entropy)
        self.optimiser.step(gradient.expand_as(self.log_alpha).contiguous())

    def state(self) -> State:
        """The logarithm and the optimiser."""
        return {"log_alpha": self.log_alpha, **add_prefix("optimiser", self.optimiser.state())}

    def load_state(self, state: State) -> None:
        """Continue from what `state` returned."""
        self.log_alpha.copy_(torch.as_tensor(state["log_alpha"]))
        self.optimiser.load_state(take_prefix("optimiser", state))
