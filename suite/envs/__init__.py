"""Environments: one adapter per family, pictures, and stepping several seeds side by side."""
