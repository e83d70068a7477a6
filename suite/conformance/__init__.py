"""Whether a plug-in keeps the laws that every plug-in has to keep: `suite conform NAME`."""

import os
from pathlib import Path

import pytest

from suite.plugins.protocol import Plugin


def conform(plugin: type[Plugin]) -> int:
    """Run the conformance tests on a plug-in; pytest's exit code, 0 when every law holds."""

    class Chosen:
        """Gives the tests their plug-in."""

        @pytest.fixture
        def plugin(self) -> type[Plugin]:
            return plugin

    # Settings of the project around, such as markers or a test folder, are none of these tests'.
    arguments = ["-c", os.devnull, "-p", "no:cacheprovider", "-rfs", "--tb=short"]
    folder = Path(__file__).parent
    return int(pytest.main([*arguments, "--rootdir", str(folder), str(folder)], [Chosen()]))
