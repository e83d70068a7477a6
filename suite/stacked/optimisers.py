"""PyTorch's optimisers on one flat [S, m] tensor: one call steps every seed.

All are elementwise, so seeds cannot influence each other. `learning_rate` may be set at any time.
"""

import numpy as np
import torch
from torch import Tensor
from torch.optim.rmsprop import rmsprop

from suite.stacked.streams import State


class Adam:
    """torch.optim.Adam, fused, of `flat` [S, m]."""

    def __init__(
        self,
        flat: Tensor,
        learning_rate: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        self.learning_rate = learning_rate
        self.betas = betas
        self.eps = eps
        self._flat = flat
        self._mean = torch.zeros_like(self._flat)
        self._square = torch.zeros_like(self._flat)
        self._steps = torch.zeros((), device=self._flat.device)

    def step(self, gradient: Tensor) -> None:
        """flat <- flat - step for the gradient [S, m]."""
        self._steps += 1
        # The kernel itself: torch.optim takes longer to reach it than it takes on PPO's networks.
        torch._fused_adam_(
            [self._flat],
            [gradient],
            [self._mean],
            [self._square],
            [],
            [self._steps],
            amsgrad=False,
            beta1=self.betas[0],
            beta2=self.betas[1],
            lr=self.learning_rate,
            weight_decay=0.0,
            eps=self.eps,
            maximize=False,
        )

    def restart(self) -> None:
        """Moments and step count as at the start."""
        for moment in (self._mean, self._square, self._steps):
            moment.zero_()

    def state(self) -> State:
        """Both moments [S, m], the step count and the learning rate."""
        seeds = self._flat.shape[0]
        return {
            "mean": self._mean,
            "square": self._square,
            "steps": np.full(seeds, int(self._steps)),
            "learning_rate": np.full(seeds, self.learning_rate),
        }

    def load_state(self, state: State) -> None:
        """Continue from what `state` returned."""
        self._mean.copy_(torch.as_tensor(state["mean"]))
        self._square.copy_(torch.as_tensor(state["square"]))
        self._steps.fill_(int(state["steps"][0]))
        self.learning_rate = float(state["learning_rate"][0])


class RMSprop:
    """torch.optim.RMSprop of `flat` [S, m]; when `centred`, the step is
    gradient / (sqrt(variance) + eps)."""

    def __init__(
        self,
        flat: Tensor,
        learning_rate: float,
        alpha: float = 0.99,
        eps: float = 1e-8,
        centred: bool = False,
        momentum: float = 0.0,
    ) -> None:
        self.learning_rate = learning_rate
        self.alpha = alpha
        self.eps = eps
        self.centred = centred
        self.momentum = momentum
        self._flat = flat
        self._steps = torch.zeros(())
        self._square = torch.zeros_like(self._flat)
        self._mean = torch.zeros_like(self._flat) if centred else None
        self._momentum = torch.zeros_like(self._flat) if momentum else None

    def step(self, gradient: Tensor) -> None:
        """flat <- flat - step for the gradient [S, m]."""
        rmsprop(
            [self._flat],
            [gradient],
            [self._square],
            [] if self._mean is None else [self._mean],
            [] if self._momentum is None else [self._momentum],
            [self._steps],
            foreach=False,
            lr=self.learning_rate,
            alpha=self.alpha,
            eps=self.eps,
            weight_decay=0.0,
            momentum=self.momentum,
            centered=self.centred,
        )

    def restart(self) -> None:
        """Running averages and step count as at the start."""
        for moment in (self._square, self._steps, self._mean, self._momentum):
            if moment is not None:
                moment.zero_()

    def state(self) -> State:
        """The running averages [S, m], the step count and the learning rate."""
        seeds = self._flat.shape[0]
        state: State = {
            "square": self._square,
            "steps": np.full(seeds, int(self._steps)),
            "learning_rate": np.full(seeds, self.learning_rate),
        }
        if self._mean is not None:
            state["mean"] = self._mean
        if self._momentum is not None:
            state["momentum"] = self._momentum
        return state

    def load_state(self, state: State) -> None:
        """Continue from what `state` returned."""
        self._square.copy_(torch.as_tensor(state["square"]))
        if self._mean is not None:
            self._mean.copy_(torch.as_tensor(state["mean"]))
        if self._momentum is not None:
            self._momentum.copy_(torch.as_tensor(state["momentum"]))
        self._steps.fill_(int(state["steps"][0]))
        self.learning_rate = float(state["learning_rate"][0])


class SGD:
    """torch.optim.SGD of `flat` [S, m], without momentum."""

    def __init__(self, flat: Tensor, learning_rate: float) -> None:
        self.learning_rate = learning_rate
        self._flat = flat

    def step(self, gradient: Tensor) -> None:
        """flat <- flat - learning_rate * gradient [S, m]."""
        self._flat.sub_(gradient, alpha=self.learning_rate)

    def restart(self) -> None:
        """There is nothing that steps leave."""

    def state(self) -> State:
        """The learning rate."""
        return {"learning_rate": np.full(self._flat.shape[0], self.learning_rate)}

    def load_state(self, state: State) -> None:
        """Continue from what `state` returned."""
        self.learning_rate = float(state["learning_rate"][0])
