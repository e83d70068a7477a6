"""Behaviour version of each task family; part of the run key.

Raise a number when the same seed and actions give another observation, reward or episode end.
"""

VERSIONS: dict[str, int] = {"mujoco": 1, "minatar": 1, "synthetic": 1}
