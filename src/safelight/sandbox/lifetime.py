"""Binds the life of an engine to its server's."""

import logging
import os
import sys
from pathlib import Path

from safelight.sandbox import system

_OOM_SCORE = "500"


def die_with(parent: int) -> None:
    """Have the system kill this process when its parent dies, even while it is busy."""
    if system.IS_LINUX:  # elsewhere its keeper, and its own watch of the lease, do
        system.die_with_parent()
    if os.getppid() != parent:
        sys.exit("the server is gone")


def offer_to_the_oom_killer() -> None:
    """Make the kernel kill a worker rather than the server when the machine runs out of memory."""
    try:
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)
    except OSError:
        logging.getLogger(__name__).info("cannot set the OOM score of the worker; the system may kill the server first")
