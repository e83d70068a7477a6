"""Numerics: everything that decides bits beyond the spec changes them, and nothing else does."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from suite.stacked import products
from suite.store import evidence, numerics, provenance
from suite.training.process import configure

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def process():
    threads = torch.get_num_threads()
    configure()
    yield
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)
    torch.set_float32_matmul_precision("highest")


def entries(first, second):
    return [difference.partition(":")[0] for difference in numerics.differences(first, second)]


def test_numerics_are_words_in_an_order_of_their_own():
    found = numerics.present()
    assert json.loads(json.dumps(found)) == found == numerics.present()
    assert list(found) == list(numerics.of({})), "recorded ones or not, the entries are the same"
    assert all(isinstance(value, str) and value for value in found.values())
    assert found["numpy"] == np.__version__ and found["threads"] == found["blas_threads"] == "1"


CHANGES = {
    "a version of the arithmetic": (["products"], lambda m: m.setattr(products, "KERNELS", 1000)),
    "who multiplies large matrices": (
        ["products"],
        lambda m: m.setattr(products, "_ONEDNN", not products._ONEDNN),
    ),
    "threads": (["threads"], lambda m: torch.set_num_threads(2)),
    "precision": (["precision"], lambda m: torch.set_float32_matmul_precision("medium")),
    "denormals": (["flush_denormal"], lambda m: torch.set_flush_denormal(False)),
    "SciPy, with a BLAS of its own": ([], lambda m: __import__("scipy.linalg")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_decides_bits_changes_numerics(change, monkeypatch):
    expected, act = CHANGES[change]
    before = numerics.present()
    act(monkeypatch)
    after = numerics.present()
    assert entries(before, after) == expected
    assert (numerics.digest(before) == numerics.digest(after)) == (not expected)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the variables name x86 processors")
def test_kernels_chosen_by_the_environment_change_numerics():
    simd = [name for name in numerics.present()["simd"].split() if name != "X86_V2"]
    chosen = {
        "OPENBLAS_CORETYPE": "Nehalem",
        "ATEN_CPU_CAPABILITY": "default",
        "NPY_DISABLE_CPU_FEATURES": " ".join(simd),
    }
    script = """
import json
from suite.store.numerics import present
from suite.training.process import configure
configure()
print(json.dumps(present()))
"""
    told = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **chosen, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    )
    changed = entries(numerics.present(), json.loads(told.stdout))
    assert {"blas", "cpu_capability", "simd"} <= set(changed)
    assert set(changed) <= {"blas", "cpu_capability", "simd", "products"}


def test_recorded_numerics_are_those_of_the_run():
    recorded = numerics.present() | {"blas": "another"}
    assert numerics.of(provenance.collect() | {"numerics": recorded}) == recorded


def test_a_run_from_before_they_were_recorded_never_equals_a_present_one():
    earlier = {name: x for name, x in provenance.collect().items() if name != "numerics"}
    told = numerics.of(earlier)
    assert told["products"] == "not recorded"
    assert told["threads"] == "1" and told["flush_denormal"] == "yes" and told["torch"]
    assert "products" in entries(told, numerics.present())
    assert not numerics.differences(told, numerics.of(dict(earlier)))
    assert "threads" in entries(told, numerics.of(earlier | {"torch_threads": 2}))


def test_all_evidence_of_the_project_tells_numerics():
    records, _ = evidence.load(ROOT / "reports" / "evidence")
    assert records
    for record in records:
        told = numerics.of(record.provenance)
        assert told["torch"].startswith("2.") and told["device"] != "not recorded"


def test_differences_are_told_in_words():
    first = numerics.present() | {"blas": "OpenBLAS 0.3.31 Haswell"}
    second = first | {"blas": "OpenBLAS 0.3.31 SkylakeX", "renderer": "gl"}
    assert numerics.differences(first, dict(first)) == []
    assert numerics.differences(first, second) == [
        "blas: OpenBLAS 0.3.31 Haswell | OpenBLAS 0.3.31 SkylakeX",
        "renderer: not recorded | gl",
    ]
    assert numerics.digest(first) != numerics.digest(second)
    assert numerics.digest(first) == numerics.digest(dict(reversed(first.items())))
