"""Where, with what and how a run was trained: what its key leaves out."""

import hashlib
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import torch
from threadpoolctl import threadpool_info

from suite import extensions

LIBRARIES = (
    *("torch", "numpy", "scipy", "mujoco", "dm-control", "gymnasium", "minatar"),
    *("safetensors", "dask"),
)


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
        "libraries": {name: _version(name) for name in LIBRARIES},
        "extensions": extensions.versions(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "torch_threads": torch.get_num_threads(),
        "blas": _blas(),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "flush_denormal": _flushes_denormals(),
        "device": _device(device),
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


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def _cpu() -> str | None:
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or None


def _blas() -> list[str]:
    """NumPy's and SciPy's products: library, version, kernels and threads."""
    keys = ("internal_api", "version", "architecture", "num_threads")
    libraries = [library for library in threadpool_info() if library["user_api"] == "blas"]
    return sorted(" ".join(str(x.get(key)) for key in keys) for x in libraries)


def _flushes_denormals() -> bool:
    # torch can set the mode and not tell it: a denormal number times one is zero when it is on.
    return bool((torch.tensor([1e-40]) * 1.0).item() == 0.0)


def _device(device: str) -> str:
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device
