"""A pytest plug-in that slows one of our plug-ins by a quarter; see `test_gate_catches.py`.

`PLANTED_SLOWDOWN=kind:update` lets a learn call with plug-ins of this kind take 25 % longer,
`kind:own` the plug-in's own code.
"""

import os
import time
from collections.abc import Callable
from typing import Any

from suite.plugins.registry import PLUGINS
from suite.training.learner import Learner

SHARE = 0.25
KIND, _, WHAT = os.environ["PLANTED_SLOWDOWN"].partition(":")


def burn(seconds: float) -> None:
    """Use CPU time for nothing."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def slow_update() -> None:
    started = 0.0
    update, after_update = Learner.update, PLUGINS[KIND].after_update

    def timed_update(self: Learner, batch: Any) -> None:
        nonlocal started
        started = time.process_time()
        update(self, batch)

    def slow_after_update(self: Any, agent: Any) -> None:
        after_update(self, agent)
        burn(SHARE * (time.process_time() - started))

    Learner.update = timed_update  # type: ignore[method-assign]
    PLUGINS[KIND].after_update = slow_after_update  # type: ignore[method-assign]


def slow_own(name: str) -> None:
    hook: Callable[[Any, Any], None] = getattr(PLUGINS[KIND], name)

    def slow_hook(self: Any, argument: Any) -> None:
        started = time.process_time()
        hook(self, argument)
        burn(SHARE * (time.process_time() - started))

    setattr(PLUGINS[KIND], name, slow_hook)


if WHAT == "update":
    slow_update()
else:
    for name in ("after_step", "after_update"):
        if hasattr(PLUGINS[KIND], name):
            slow_own(name)
