"""What all tests share."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def _denormals_are_kept_between_tests() -> Iterator[None]:
    """Training flushes denormals for its whole process; hypothesis refuses to draw floats then."""
    yield
    torch.set_flush_denormal(False)
