"""What a process that trains computes with."""

import torch
from threadpoolctl import threadpool_info, threadpool_limits

from suite.training.process import configure


def test_every_library_has_one_thread():
    with threadpool_limits(2):
        torch.set_num_threads(2)
        configure()
        libraries = [library for library in threadpool_info() if library["user_api"] == "blas"]
        assert libraries and all(library["num_threads"] == 1 for library in libraries)
        assert torch.get_num_threads() == 1
