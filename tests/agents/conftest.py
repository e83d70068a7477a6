import pytest

from suite.training.process import configure


@pytest.fixture(autouse=True)
def one_thread():
    configure()
