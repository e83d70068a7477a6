"""Whether a plug-in, an environment or an analysis keeps its laws: `suite conform`."""

import os
from pathlib import Path
from typing import Any

import pytest

from suite.analysis.registry import ANALYSES
from suite.plugins.protocol import Plugin
from suite.specs.models import AnalysisSpec, TaskSpec


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


def conform_analysis(kind: str, settings: dict[str, Any]) -> int:
    """Run the conformance tests on an analysis with whole settings; pytest's exit code, as
    `conform`."""
    chosen = AnalysisSpec(kind=kind, settings=settings, version=ANALYSES[kind].VERSION)

    class Chosen:
        """Gives the tests their analysis."""

        @pytest.fixture(scope="session")
        @classmethod
        def analysis(cls) -> AnalysisSpec:
            return chosen

    return _tested("test_analysis.py", Chosen())


def _tested(file: str, chosen: Any) -> int:
    # Settings of the project around, such as markers or a test folder, are none of these tests'.
    arguments = ["-c", os.devnull, "-p", "no:cacheprovider", "-rfs", "--tb=short"]
    folder = Path(__file__).parent
    return int(pytest.main([*arguments, "--rootdir", str(folder), str(folder / file)], [chosen]))
