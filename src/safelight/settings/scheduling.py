"""Which worker runs which job, and for how long."""

from dataclasses import dataclass
from typing import Annotated

from safelight.settings.declare import Seconds, doc


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulingSettings:
    """Scheduling"""

    pools: Annotated[
        tuple[str, ...],
        doc(
            "Labels of the workers, in order: `large+fast=2` gives two workers both labels; the rest have none: "
            "[scheduling.md](scheduling.md)."
        ),
    ] = ()
    pool_sizes: Annotated[
        tuple[str, ...],
        doc("`large=17179869184`: jobs whose models have at least this many bytes run on workers with that label."),
    ] = ()
    affinity_wait_s: Annotated[
        Seconds,
        doc(
            "How long others may go first on a worker that has their models loaded, and how long a job may wait for "
            "the worker that has its models loaded."
        ),
    ] = 5.0
    run_limit_s: Annotated[
        Seconds,
        doc(
            "A job that runs longer than this fails. A pool's limit replaces it, and a user's own limit replaces both.",
            default="no limit",
        ),
    ] = 0.0
    pool_run_limits: Annotated[
        tuple[str, ...], doc("`large=7200`: the run limit in seconds for the jobs of a pool.")
    ] = ()
    silent_node_s: Annotated[
        Seconds, doc("A job fails if one of its nodes reports no progress for this long; 0: no limit.")
    ] = 3600.0
