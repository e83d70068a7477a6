"""Analyses of training: policy paths and their null models, plasticity models and diagnostics."""
