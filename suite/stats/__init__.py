"""Scores, intervals and verdicts."""
