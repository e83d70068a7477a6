import numpy as np

from suite.specs.models import TaskSpec
from suite.stacked.spaces import ActionSpec


class Corridor:
    """Action 1 walks on, 0 back, on a slippery floor; a step costs 1 until the end is reached."""

    VERSION = 1
    observation_shape = (1,)  # the place, 0 to 1
    observation_dtype = "float32"
    action = ActionSpec("discrete", 2)

    def __init__(self, task: TaskSpec, length: int = 6, slip: float = 0.1) -> None:
        if length < 1:
            raise ValueError(f"length is {length}: a corridor has at least 1 step")
        self.limit, self.length, self.slip = task.episode_limit, length, slip

    def reset(self, seed: int) -> np.ndarray:
        self.generator = np.random.default_rng(seed)
        self.place = self.steps = 0
        return self.observation()

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool]:
        if self.generator.random() >= self.slip:
            self.place = max(0, self.place + (1 if action == 1 else -1))
        self.steps += 1
        terminal = self.place == self.length
        return self.observation(), -1.0, terminal, self.steps == self.limit and not terminal

    def observation(self) -> np.ndarray:
        return np.array([self.place / self.length], dtype=np.float32)
