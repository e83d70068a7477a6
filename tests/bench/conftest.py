"""Options of the regression gate, and what it found, told at the end."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from gate import hardware, read_reference, write_reference

TOLD = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("regression gate")
    default = Path(__file__).with_name("reference.json")
    group.addoption("--reference", type=Path, default=default, help="ratios to compare with")
    group.addoption(
        "--write-reference",
        action="store_true",
        help="write the ratios of this machine instead of comparing",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TOLD] = []


@pytest.fixture(scope="session")
def reference(pytestconfig: pytest.Config) -> dict[str, float] | None:
    """Reference ratios for a machine like this one; None when there are none."""
    path: Path = pytestconfig.getoption("reference")
    found = read_reference(path)
    if found is None:
        pytestconfig.stash[TOLD].append(f"{path} has nothing for {json.dumps(hardware())}")
    return found


@pytest.fixture(scope="session")
def written(pytestconfig: pytest.Config) -> Iterator[dict[str, float] | None]:
    """Ratios that become the reference when all is timed; None when nothing is to be written."""
    if not pytestconfig.getoption("write_reference"):
        yield None
        return
    ratios: dict[str, float] = {}
    yield ratios
    write_reference(pytestconfig.getoption("reference"), ratios)


@pytest.fixture
def tell(pytestconfig: pytest.Config):
    """Lines to show after all tests."""
    return pytestconfig.stash[TOLD].append


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if config.stash[TOLD]:
        terminalreporter.section("regression gate")
        for line in config.stash[TOLD]:
            terminalreporter.line(line)
