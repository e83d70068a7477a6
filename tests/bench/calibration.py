"""How fast this machine is now, as the time of one fixed piece of work."""

import statistics
import time
from collections.abc import Callable

import torch


def calibration_work() -> Callable[[], None]:
    """The piece of work: ten batched products of [6, 256, 256] float32."""
    left, right = torch.ones(6, 256, 256), torch.ones(6, 256, 256)

    def work() -> None:
        for _ in range(10):
            torch.bmm(left, right)

    return work


def calibration_seconds(repeats: int = 20) -> float:
    """Median seconds of the piece of work, with one thread.

    Ratios of timings to this number can be compared between machines; plain timings can't.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    work = calibration_work()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    torch.set_num_threads(threads)
    return statistics.median(times)
