"""How a process that trains is set up."""

import torch

from suite.stacked.memory import keep_freed_memory


def configure() -> None:
    """One thread, denormals flushed to zero, freed memory kept for the next step.

    Bits depend on the number of threads, and optimiser moments fill with denormals that cost a
    multiple of ordinary numbers.
    """
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    keep_freed_memory()
