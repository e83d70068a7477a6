"""How a process that trains is set up."""

import torch


def configure() -> None:
    """One thread, denormals flushed to zero.

    Bits depend on the number of threads, and optimiser moments fill with denormals that cost a
    multiple of ordinary numbers.
    """
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
