"""The documentation's packages, as they are once installed."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def install(example: Path, folder: Path) -> Path:
    """Copy an example into a folder of its own, with the entry points of its pyproject.toml."""
    shutil.copytree(example, folder / "own", ignore=shutil.ignore_patterns("runs", "__*"))
    project = tomllib.loads((example / "pyproject.toml").read_text())["project"]
    info = folder / "installed" / f"{project['name']}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(head)
    lines = [
        line
        for group, points in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in points.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    return folder / "own"


def run(package: Path, code: str) -> str:
    """What a process in the package's folder prints that runs this code; it has to succeed."""
    path = os.pathsep.join(map(str, (ROOT, package, package.parent / "installed")))
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=package,
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files(example: Path) -> set[str]:
    """The files of an example by their place in it, without what running it leaves."""
    found = {path.relative_to(example).as_posix() for path in example.rglob("*.*")}
    return {name for name in found if "runs" not in name and "__" not in name}
