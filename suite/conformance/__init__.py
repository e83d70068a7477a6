"""Whether a plug-in or an environment keeps the laws that each has to keep: `suite conform`."""

import os
from pathlib import Path
from typing import Any

import pytest

from suite.plugins.protocol import Plugin
from suite.specs.models import TaskSpec


def conform(plugin: type[Plugin]) -> int:
    """Run the conformance tests on a plug-in; pytest's exit code, 0 when every law holds."""

    class Chosen:
        """Gives the tests their plug-in."""

        @pytest.fixture
        def plugin(self) -> type[Plugin]:
            return plugin

    return _tested("test_plugin.py", Chosen())


def conform_environment(task: TaskSpec) -> int:
    """Run the conformance tests on the environment of a task; pytest's exit code, as `conform`."""

    class Chosen:
        """Gives the tests their task."""

        @pytest.fixture
        def task(self) -> TaskSpec:
            return task

    return _tested("test_environment.py", Chosen())


def _tested(file: str, chosen: Any) -> int:
    # Settings of the project around, such as markers or a test folder, are none of these tests'.
    arguments = ["-c", os.devnull, "-p", "no:cacheprovider", "-rfs", "--tb=short"]
    folder = Path(__file__).parent
    return int(pytest.main([*arguments, "--rootdir", str(folder), str(folder / file)], [chosen]))
