"""DQN that explores by its values: actions are drawn from their softmax (Boltzmann exploration)."""

import numpy as np
import torch
from pydantic import Field

from baselines.dqn import DQN, DQNSettings


class BoltzmannSettings(DQNSettings):
    temperature: float = Field(gt=0, description="0.1: nearly greedy for values of about 1")


class BoltzmannDQN(DQN):
    VERSION = 1
    Settings = BoltzmannSettings
    kind = "boltzmann_dqn"

    @torch.no_grad()
    def act(self, observations: np.ndarray, step: int) -> np.ndarray:
        """Actions [S] for [S, *obs]; at random in the warm-up."""
        if step < self.settings.warmup_steps:
            return self.streams["random_action"].integers([self.action_count] * len(self.seeds))
        x = torch.tensor(observations[:, None], dtype=torch.float32, device=self.device)
        values = self.network.forward(self.groups["q"].parameters.leaves, x)[:, 0]
        shares = torch.softmax(values / self.settings.temperature, dim=-1).cpu().numpy()
        drawn = self.streams["exploration"].uniform()[:, None]
        return (drawn > shares.cumsum(axis=1)[:, :-1]).sum(axis=1)
