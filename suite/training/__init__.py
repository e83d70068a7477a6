"""Training: the loops, evaluation, checkpoint and exact resume of stacked seeds."""
