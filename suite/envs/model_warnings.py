"""Loading model files of other packages without MuJoCo's remarks about them."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import mujoco


@contextmanager
def no_model_warnings() -> Iterator[None]:
    """Without deprecation warnings about model files: the packages' files are not ours to mend.

    MuJoCo logs to the console and to a file in the working folder, or, once dm_control is imported,
    to absl's logger. A model that cannot be loaded raises anyway.
    """
    log = mujoco.MjLogConfig.get()
    console = log.logto_console
    log.logto_file = log.logto_console = False
    mujoco.MjLogConfig.set(log)
    logger = logging.getLogger("absl")
    disabled = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = disabled
        log.logto_console = console
        mujoco.MjLogConfig.set(log)
