import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from suite.stacked.memory import keep_freed_memory
keep_freed_memory()
for _ in range(3):
    torch.ones(1_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    torch.ones(1_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_a_tensor_of_each_step_no_longer_comes_from_fresh_pages():
    command = [sys.executable, "-c", FAULTS]
    assert int(subprocess.run(command, capture_output=True, check=True, text=True).stdout) < 500
