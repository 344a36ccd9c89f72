"""Attempts that are lost beside the node: files that cannot be brought, a folder that is gone, a disk without room.

Such a loss is neither the job's fault nor its node's, so the job waits again and loses no retry. A slot that loses
three in a row without one job that completes is shut: it would eat the queue.
"""

from collections import Counter

from safelight.blobs.store import StoreUnavailable
from safelight.core.errors import StorageFull
from safelight.core.ids import JobId

LOSSES_TO_SHUT = 3
SHUT_S = 600.0
"""A slot that is shut is tried again with one job after so long."""
_FREE_PER_SLOT = LOSSES_TO_SHUT


class FreeRetries:
    """Mutable: how often each job was lost beside its node on a slot that was in order. ``slots``: how many there are.

    A job that no machine has room for would go round for ever, while other jobs complete: after as many such losses as
    shut every slot, each costs it a retry. A loss on a slot that lost its last attempt as well is the slot's.
    """

    def __init__(self, *, slots: int) -> None:
        self._limit = _FREE_PER_SLOT * slots
        self._counts: Counter[JobId] = Counter()

    def may_be_free(self, job_id: JobId, *, is_first: bool) -> bool:
        """Whether a loss of the job costs no retry. ``is_first``: of those that its slot had in a row."""
        self._counts[job_id] += is_first
        return self._counts[job_id] <= self._limit

    def forget(self, job_id: JobId) -> None:
        """The job has ended."""
        self._counts.pop(job_id, None)


def is_infra_failure(error: Exception) -> bool:
    """Whether it is the fault of a place for files, and not of what an engine says."""
    return isinstance(error, OSError | StorageFull | StoreUnavailable)


def is_slot_failure(error: Exception) -> bool:
    """A store that does not answer the server is the fault of no slot."""
    return not isinstance(error, StoreUnavailable)
