import subprocess
import sys

import pytest

PAGES_OF_A_STEP = 6 * 4_000_000 / 4096
FRESH_PAGES = """
import resource, torch
from suite.stacked.memory import keep_freed_memory
keep_freed_memory()

def steps(count):
    for _ in range(count):
        [torch.ones(1_000_000) for _ in range(6)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

print((-steps(20) + steps(100)) / 100)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_the_tensors_of_a_step_do_not_come_from_fresh_pages():
    command = [sys.executable, "-c", FRESH_PAGES]
    pages = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert float(pages) < 0.2 * PAGES_OF_A_STEP
