"""The run store: run folders, atomic completion, checkpoints, provenance, evidence."""
