"""Whether a plug-in keeps the laws that every plug-in has to keep: `suite conform NAME`."""

import os
from pathlib import Path

from suite.plugins.protocol import Plugin


class ConformanceError(Exception):
    """The conformance tests cannot be run; the message says what to do."""


def conform(plugin: type[Plugin]) -> int:
    """Run the conformance tests on a plug-in; pytest's exit code, 0 when every law holds.

    Raises ConformanceError where pytest is not installed.
    """
    try:
        import pytest
    except ImportError:
        raise ConformanceError(
            "the conformance tests need pytest: pip install rl-claims[test]"
        ) from None

    class Chosen:
        """Gives the tests their plug-in."""

        @pytest.fixture
        def plugin(self) -> type[Plugin]:
            return plugin

    # Settings of the project around, such as markers or a test folder, are none of these tests'.
    arguments = ["-c", os.devnull, "-p", "no:cacheprovider", "-rfs", "--tb=short"]
    folder = Path(__file__).parent
    return int(pytest.main([*arguments, "--rootdir", str(folder), str(folder)], [Chosen()]))
