"""How a process that trains is set up."""

import torch
from threadpoolctl import threadpool_limits

from suite.stacked.memory import keep_freed_memory


def configure() -> None:
    """One thread, PyTorch's and NumPy's; denormals flushed to zero; freed memory kept for the next
    step.

    Bits depend on the number of threads, and optimiser moments fill with denormals that cost a
    multiple of ordinary numbers.
    """
    torch.set_num_threads(1)
    threadpool_limits(1, "blas")
    torch.set_flush_denormal(True)
    keep_freed_memory()
