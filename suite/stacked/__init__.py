"""Layers, parameters, optimisers, replay and random streams with a leading seed axis."""
