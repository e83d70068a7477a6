"""Plug-ins: what changes learning without touching an agent's file."""
