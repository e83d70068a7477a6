"""Environments: MuJoCo and MinAtar adapters, and stepping several seeds of a task side by side."""
