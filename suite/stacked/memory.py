"""How the C library keeps memory for tensors that live for one step."""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_TRIM_BYTES = 1 << 30
_LARGEST_MMAP_THRESHOLD = 32 << 20


def keep_freed_memory() -> None:
    """Have glibc keep freed blocks of up to 32 MiB for the process instead of returning them.

    By default each step's larger tensors come from fresh pages, which cost more than the work on
    them. Does nothing where the C library is not glibc.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES)
            mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
