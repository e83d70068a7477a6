"""Where, with what and how a run was trained: what its key leaves out."""

import hashlib
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import psutil
import torch
from threadpoolctl import threadpool_info

from suite import extensions
from suite.store import numerics, processor

LIBRARIES = (*numerics.LIBRARIES, "scipy", "safetensors", "dask")


def collect(device: str = "cpu", root: Path | None = None) -> dict[str, Any]:
    """JSON-able provenance of this process; call it after threads and precision are set.

    `root`: the project's folder, by default the one that holds the `suite` package. What is not
    known (no git, no checkout, no constraints) is None.
    """
    root = root or Path(__file__).parents[2]
    return {
        "git": _git(root),
        "constraints_sha256": _constraints(root),
        "python": platform.python_version(),
        "libraries": {name: numerics.installed(name) for name in LIBRARIES},
        "extensions": extensions.versions(),
        "system": numerics.system(),
        "cpu": processor.name(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "torch_threads": torch.get_num_threads(),
        "blas": _blas(),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "flush_denormal": numerics.flushes_denormals(),
        "device": numerics.device_name(device),
    }


def _git(root: Path) -> dict[str, Any] | None:
    """Commit and whether tracked files differ from it."""

    def run(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False
            )
        except FileNotFoundError:  # no git on this machine
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit = run("rev-parse", "HEAD")
    # A checkout further up, around an installed package, says nothing about the package.
    if commit is None or run("rev-parse", "--show-prefix") != "":
        return None
    return {"commit": commit, "changed": run("status", "--porcelain", "-uno") != ""}


def _constraints(root: Path) -> str | None:
    path = root / "constraints.txt"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


def _blas() -> list[str]:
    """NumPy's and SciPy's products: library, version, kernels and threads."""
    keys = ("internal_api", "version", "architecture", "num_threads")
    libraries = [library for library in threadpool_info() if library["user_api"] == "blas"]
    return sorted(" ".join(str(x.get(key)) for key in keys) for x in libraries)
