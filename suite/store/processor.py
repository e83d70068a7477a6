"""Which processor this is."""

import platform
from pathlib import Path


def name() -> str | None:
    """The model, as the system tells it; None when it tells none."""
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or None
