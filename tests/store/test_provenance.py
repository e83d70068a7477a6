"""Provenance of a run."""

import json
import subprocess
from pathlib import Path

import torch

from suite.store.provenance import collect

ROOT = Path(__file__).parents[2]


def test_provenance_names_what_decides_bits():
    provenance = collect()
    json.dumps(provenance, allow_nan=False)
    assert provenance["libraries"]["torch"].startswith("2.")
    assert provenance["torch_threads"] == torch.get_num_threads()
    assert all("openblas" in library for library in provenance["blas"]) and provenance["blas"]
    assert provenance["device"] == "cpu"
    assert all(provenance["libraries"].values())
    assert provenance["cpu"] and provenance["cores"] >= 1


def test_flushing_of_denormals_is_seen():
    try:
        torch.set_flush_denormal(True)
        assert collect()["flush_denormal"] is True
        torch.set_flush_denormal(False)
        assert collect()["flush_denormal"] is False
    finally:
        torch.set_flush_denormal(False)


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_commit_and_changes_are_recorded(tmp_path):
    assert collect(root=tmp_path)["git"] is None
    git(tmp_path, "init")
    (tmp_path / "file").write_text("a")
    (tmp_path / "constraints.txt").write_text("numpy==2\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    commit = git(tmp_path, "rev-parse", "HEAD")
    provenance = collect(root=tmp_path)
    assert provenance["git"] == {"commit": commit, "changed": False}
    assert len(provenance["constraints_sha256"]) == 64
    (tmp_path / "file").write_text("b")
    assert collect(root=tmp_path)["git"] == {"commit": commit, "changed": True}
    (tmp_path / "installed").mkdir()
    assert collect(root=tmp_path / "installed")["git"] is None, "another project's commit"
