"""What this machine can and can't run, with what that means and the command that mends it."""

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from suite.specs.models import SCALES, Cell, Scale
from suite.specs.planning import memory_estimate
from suite.specs.project import Project
from suite.store.atomic import StoreError, replace_bytes

PYTHON = (3, 11)
LIBRARIES = ("torch", "mujoco", "dm-control", "gymnasium", "minatar", "numpy", "dask", "dvc")
INSTALL = "python3.11 -m pip install -c constraints.txt -e ."

# All runs of the smoke scale took 0.2 GiB; a checkpoint is written before the old one goes.
SMOKE_DISK_GIB = 1.0
GIB = 2**30
PROBE_SECONDS = 120

GL_RENDER = """
from suite.envs.dmc import DMC
DMC("cartpole-swingup", None, 1).draws("gl", 16, 16, 0)()
"""
ENVIRONMENT_STEP = """
import sys
from suite.envs.make import make_environment
from suite.specs.models import TaskSpec
make_environment(TaskSpec.model_validate_json(sys.argv[1])).reset(0)
"""
DASK_TASK = """
import logging
from distributed import Client, LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0",
                      scheduler_kwargs={"dashboard": False},
                      silence_logs=logging.CRITICAL) as cluster, Client(cluster) as client:
        assert client.submit(sum, [1, 2]).result(timeout=60) == 3
"""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. What can't be has a meaning, and a remedy where there is one.

    `smoke`: the pipeline at smoke scale needs it.
    """

    name: str
    ok: bool
    found: str
    means: str = ""
    remedy: str = ""
    smoke: bool = True


def examine(project: Project, store: Path) -> Iterator[Check]:
    """All checks, the quick ones first; they write nothing but a file in the store that goes again.

    What could end or hang a process is tried in one of its own.
    """
    yield python(sys.version_info[:2])
    yield libraries(_installed(), pinned((project.root / "constraints.txt").read_text()))
    yield threads()
    yield cuda()
    yield disk(store)
    yield from memory(project.cells, psutil.virtual_memory().total)
    yield dvc(project.root)
    yield from environments(project)
    yield dask()
    yield gl()


def smoke_can_run(checks: list[Check]) -> bool:
    """Whether nothing is missing that the pipeline at smoke scale needs."""
    return all(check.ok for check in checks if check.smoke)


def python(version: tuple[int, int]) -> Check:
    """The interpreter's version, as (major, minor)."""
    found = f"{version[0]}.{version[1]} ({platform.python_implementation()})"
    wanted = f"{PYTHON[0]}.{PYTHON[1]}"
    return Check(
        "Python",
        version == PYTHON,
        found,
        f"the pinned versions are for Python {wanted} and may not install or run on others",
        f"install Python {wanted}, then: python{wanted} -m pip install tox==4.67.13 && "
        f"python{wanted} -m tox run -e repro",
    )


def pinned(constraints: str) -> dict[str, str]:
    """Versions by library name, in lower case with hyphens, from the text of constraints.txt."""
    lines = [line.partition("#")[0].strip() for line in constraints.splitlines()]
    pairs = [line.split("==") for line in lines if "==" in line]
    return {_normal(name): version for name, version in pairs}


def libraries(installed: Mapping[str, str | None], wanted: Mapping[str, str]) -> Check:
    """Versions found against those of constraints.txt; one that is missing ends the pipeline."""
    missing = [name for name, version in installed.items() if version is None]
    other = [
        f"{name} {version} (pinned {wanted[name]})"
        for name, version in installed.items()
        if version is not None and version.partition("+")[0] != wanted[name]
    ]
    if missing or other:
        return Check(
            "libraries",
            False,
            "; ".join([*other, *(f"{name} is missing" for name in missing)]),
            "missing ones end the pipeline; other versions give other numbers, which the run keys "
            "do not tell apart",
            INSTALL,
            smoke=bool(missing),
        )
    told = ", ".join(f"{name} {version}" for name, version in installed.items())
    return Check("libraries", True, f"{told}: as in constraints.txt")


def threads() -> Check:
    """PyTorch's build and what it computes with; every training process takes one thread."""
    return Check(
        "PyTorch",
        True,
        f"{torch.__version__}, {torch.backends.cpu.get_cpu_capability()} kernels, "
        f"{os.cpu_count()} cores; each training process uses one thread",
    )


def cuda() -> Check:
    """Whether `--device cuda` would work."""
    if torch.cuda.is_available():
        return Check("CUDA", True, torch.cuda.get_device_name(), smoke=False)
    built = torch.version.cuda
    return Check(
        "CUDA",
        False,
        "this PyTorch is built without CUDA" if built is None else f"CUDA {built}, no GPU found",
        "`suite run --device cuda` does not work; everything runs on the CPU",
        "python -m pip install -c constraints.txt --force-reinstall torch"
        if built is None
        else "nvidia-smi  # must list a GPU; if it does not, install NVIDIA's driver",
        smoke=False,
    )


def disk(store: Path) -> Check:
    """Whether the store's folder, or where it would be made, can be written and has room."""
    folder = store.resolve()
    while not folder.exists():
        folder = folder.parent
    probe = folder / f".doctor-{os.getpid()}"
    try:
        replace_bytes(probe, b"")
        probe.unlink()
    except (StoreError, OSError) as error:
        return Check(
            "store",
            False,
            f"{store.resolve()}: {error.__cause__ or error}",
            "no run can be kept",
            f"chmod u+rwx {folder}, or run in a copy of the project elsewhere",
        )
    free = shutil.disk_usage(folder).free / GIB
    return Check(
        "store",
        free >= SMOKE_DISK_GIB,
        f"{store.resolve()} can be written, {free:.1f} GiB free",
        f"less than {SMOKE_DISK_GIB:g} GiB: a run could end with a full disk",
        f"du -sh {store.resolve()}  # free some space on this disk, or run in a copy elsewhere",
    )


def memory(cells: Mapping[Scale, tuple[Cell, ...]], total: int) -> Iterator[Check]:
    """For each scale, its largest cell, trained by one process, against all memory, in bytes."""
    for scale in SCALES:
        if not cells[scale]:
            continue
        largest = max(cells[scale], key=memory_estimate)
        needed = memory_estimate(largest)
        yield Check(
            f"memory, {scale}",
            needed <= total,
            f"largest cell {needed / GIB:.1f} GiB ({largest.id}, {len(largest.runs)} seeds "
            f"stacked), {total / GIB:.1f} GiB here",
            "that cell does not fit into memory",
            f"suite plan --scale {scale}  # shows each cell's memory; lower its seeds or "
            "replay_capacity in tasks/studies/, or run it on a larger machine (--scheduler)",
            smoke=scale == "smoke",
        )


def dvc(root: Path) -> Check:
    """Whether the pipeline's two commands are found, and DVC reports nothing to its makers."""
    missing = [name for name in ("dvc", "suite") if shutil.which(name) is None]
    if missing:
        return Check(
            "DVC",
            False,
            f"{' and '.join(missing)} not on the PATH",
            "`dvc repro` cannot start its stages",
            ". .tox/repro/bin/activate, or `python3.11 -m tox run -e repro`",
        )
    asked = _run(["dvc", "config", "core.analytics"], cwd=root)
    off = asked.output.strip() == "false" or bool(os.environ.get("DVC_NO_ANALYTICS"))
    return Check(
        "DVC",
        off,
        f"{importlib.metadata.version('dvc')}, analytics {'off' if off else 'on'}",
        "DVC sends usage reports over the network",
        "dvc config core.analytics false",
        smoke=False,
    )


def environments(project: Project) -> Iterator[Check]:
    """A task of each family of the smoke scale, made and reset."""
    tasks = {
        run.task.family: run.task
        for cell in reversed(project.cells["smoke"])
        for run in cell.runs
        if run.evaluation_episodes  # others have no environment
    }
    for family, task in tasks.items():
        tried = _python(ENVIRONMENT_STEP, task.model_dump_json(), cwd=project.root)
        yield Check(
            f"environments, {family}",
            tried.ok,
            f"{task.name} can be made" if tried.ok else f"{task.name}: {tried.last}",
            f"no cell with a task of family {family} trains",
            INSTALL,
        )


def dask() -> Check:
    """A cluster of one local process that adds two numbers."""
    tried = _python(DASK_TASK)
    return Check(
        "Dask",
        tried.ok,
        "a local cluster works" if tried.ok else tried.last,
        "only one process trains at a time",
        f"SUITE_JOBS=1 suite run, or {INSTALL}",
        smoke=False,
    )


def gl() -> Check:
    """A picture with OpenGL, through each of MuJoCo's ways that need no screen."""
    chosen = os.environ.get("MUJOCO_GL")
    failures = {}
    for name in (chosen,) if chosen else ("egl", "osmesa"):
        tried = _python(GL_RENDER, MUJOCO_GL=name)
        if tried.ok:
            return Check("OpenGL", True, f"MUJOCO_GL={name} draws", smoke=False)
        failures[name] = tried.last
    return Check(
        "OpenGL",
        False,
        "; ".join(f"MUJOCO_GL={name}: {line}" for name, line in failures.items()),
        "tasks and pictures with renderer gl do not work; the ray-cast ones do",
        "apt-get install libegl1 libgl1-mesa-dri && export MUJOCO_GL=egl",
        smoke=False,
    )


@dataclass(frozen=True)
class _Tried:
    ok: bool
    output: str

    @property
    def last(self) -> str:
        """The last line, which says what went wrong."""
        return self.output.strip().rpartition("\n")[2]


def _python(code: str, *arguments: str, cwd: Path | None = None, **environment: str) -> _Tried:
    return _run([sys.executable, "-c", code, *arguments], cwd=cwd, **environment)


def _run(command: list[str], cwd: Path | None = None, **environment: str) -> _Tried:
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=PROBE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return _Tried(False, str(error))
    if done.returncode < 0:
        return _Tried(False, f"{done.stdout}\nended by signal {-done.returncode}")
    return _Tried(done.returncode == 0, done.stdout)


def _installed() -> dict[str, str | None]:
    versions: dict[str, str | None] = {}
    for name in LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
