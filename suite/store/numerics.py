"""Numerics: what decides the bits of a run beyond its spec.

Runs of one key and one numerics have the same bytes. Those of other numerics are the same
experiment, with other rounding: the same distribution, other bits. Numerics are flat, names to
words.
"""

import functools
import hashlib
import json
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info

LIBRARIES = ("torch", "numpy", "mujoco", "dm-control", "gymnasium", "minatar")

NOT_RECORDED = "not recorded"


def present(device: str = "cpu") -> dict[str, str]:
    """The numerics of this process on a device; call it after threads and precision are set."""
    # Imported here: whoever compares the numerics of finished runs needs no torch.
    import torch

    from suite.stacked import products

    blas = _blas()
    return {
        "products": products.kernels(device),
        "blas": ", ".join(_named(library) for library in blas) or "not known",
        "blas_threads": ", ".join(str(library["num_threads"]) for library in blas) or "not known",
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "simd": _simd(),
        "threads": str(torch.get_num_threads()),
        "precision": torch.get_float32_matmul_precision(),
        "flush_denormal": _told(flushes_denormals()),
        "device": device_name(device),
        "system": system(),
        "libc": " ".join(platform.libc_ver()).strip() or "not known",
        **{name: installed(name) or "not installed" for name in LIBRARIES},
    }


def of(provenance: Mapping[str, Any]) -> dict[str, str]:
    """The numerics of a finished run, from its provenance.

    Of a run from before numerics were recorded, what else its provenance tells; the rest, its
    `products` among it, is "not recorded", so that it never equals recorded numerics.
    """
    if "numerics" in provenance:
        return dict(provenance["numerics"])
    versions = provenance.get("libraries", {})
    known = {
        "products": None,
        "blas": ", ".join(provenance.get("blas", ())) or None,
        "blas_threads": None,
        "cpu_capability": None,
        "simd": None,
        "threads": provenance.get("torch_threads"),
        "precision": provenance.get("float32_matmul_precision"),
        "flush_denormal": provenance.get("flush_denormal"),
        "device": provenance.get("device"),
        "system": provenance.get("system"),
        "libc": None,
        **{name: versions.get(name) for name in LIBRARIES},
    }
    return {name: NOT_RECORDED if x is None else _told(x) for name, x in known.items()}


def differences(first: Mapping[str, str], second: Mapping[str, str]) -> list[str]:
    """What differs between two numerics, `name: first | second` each; empty when they are equal."""
    names = dict.fromkeys([*first, *second])
    sides = [(n, first.get(n, NOT_RECORDED), second.get(n, NOT_RECORDED)) for n in names]
    return [f"{name}: {left} | {right}" for name, left, right in sides if left != right]


def digest(numerics: Mapping[str, str]) -> str:
    """Eight hex digits that name numerics; the same for the same entries in any order."""
    return hashlib.sha256(json.dumps(dict(numerics), sort_keys=True).encode()).hexdigest()[:8]


@functools.cache
def installed(library: str) -> str | None:
    """Version of an installed library, None when it is not installed."""
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def flushes_denormals() -> bool:
    """Whether this thread takes denormal numbers as zero."""
    import torch

    # torch can set the mode and not tell it: a denormal number times one is zero when it is on.
    return bool((torch.tensor([1e-40]) * 1.0).item() == 0.0)


def device_name(device: str) -> str:
    """`cpu`, or the model of a GPU."""
    if not device.startswith("cuda"):
        return device
    import torch

    return torch.cuda.get_device_name(device)


def system() -> str:
    """Operating system and instruction set."""
    return f"{platform.system()} {platform.machine()}"


def _blas() -> list[dict[str, Any]]:
    """The BLAS behind NumPy: SciPy brings one of its own, which no training step calls."""
    libraries = [library for library in threadpool_info() if library["user_api"] == "blas"]
    own = [x for x in libraries if Path(x["filepath"]).parent.name == "numpy.libs"]
    return own or libraries


def _named(library: Mapping[str, Any]) -> str:
    keys = ("internal_api", "version", "architecture")
    return " ".join(str(library[key]) for key in keys if library.get(key))


def _simd() -> str:
    """Instruction sets for which NumPy has kernels and this processor has instructions."""
    configuration: dict[str, Any] = np.show_config(mode="dicts")  # type: ignore[assignment]
    found = configuration.get("SIMD Extensions", {})
    return " ".join([*found.get("baseline", ()), *found.get("found", ())])


def _told(value: Any) -> str:
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)
