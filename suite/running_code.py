"""What code a process runs."""

import functools
import hashlib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import baselines
import suite
from suite import extensions

PACKAGES = (suite, baselines)
LIBRARIES = ("torch", "numpy", "mujoco", "gymnasium", "dm-control", "minatar", "pydantic")


@functools.cache
def running_code() -> Mapping[str, str]:
    """The code that this process runs, by name: a digest of the source of `suite` and `baselines`,
    and the versions of the libraries and extensions that it depends on."""
    source = hashlib.sha256()
    for package in PACKAGES:
        for folder in sorted(package.__path__):
            for path in sorted(Path(folder).rglob("*.py")):
                name = path.relative_to(folder).as_posix()
                source.update(f"{package.__name__}/{name}\0".encode())
                source.update(hashlib.sha256(path.read_bytes()).digest())
    libraries = {name: _installed(name) for name in LIBRARIES}
    return {"source": source.hexdigest()[:12], **libraries, **extensions.versions()}


def _installed(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"
