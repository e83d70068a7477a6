"""The folder for what can be found out again."""

import os
from pathlib import Path


def folder() -> Path:
    """SUITE_CACHE, or rl-claims in the user's cache."""
    chosen = os.environ.get("SUITE_CACHE")
    if chosen:
        return Path(chosen)
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "rl-claims"
