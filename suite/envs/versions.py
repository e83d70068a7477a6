"""Behaviour versions of task families and renderers; part of the run key.

Raise a number when the same seed and actions give another observation, reward or episode end.
"""

VERSIONS: dict[str, int] = {
    "mujoco": 1,
    "dmc": 1,
    "dmc_pixels": 1,
    "minatar": 1,
    "classic": 1,
    "gymnasium": 1,
    "synthetic": 1,
}
RENDERERS: dict[str, int] = {"raycast": 1, "gl": 1}
