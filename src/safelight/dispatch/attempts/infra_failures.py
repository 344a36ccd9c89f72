"""Infrastructure failures: files that cannot be copied, a folder that is gone, a disk that is full. Pure.

Such a failure is the fault of neither the job nor its node, so the job waits again and keeps its retry. A slot with
three such failures in a row, without a job that completes, is shut: it would fail the whole queue.
"""

from collections import Counter

from safelight.blobs.store import StoreUnavailable
from safelight.core.errors import StorageFull
from safelight.core.ids import JobId

FAILURES_TO_SHUT = 3
SHUT_S = 600.0
"""A shut slot is tried again with one job after this long."""
_FREE_PER_SLOT = FAILURES_TO_SHUT


class FreeRetries:
    """Mutable: the infrastructure failures of each job, on slots that were in order. ``slots``: the number of slots.

    A failure costs the job no retry until it has had ``FAILURES_TO_SHUT`` for each slot; every later one costs a retry,
    so that a job too large for every machine ends. Only the first failure in a row on a slot counts for the job: after
    that the slot is suspect.
    """

    def __init__(self, *, slots: int) -> None:
        self._limit = _FREE_PER_SLOT * slots
        self._counts: Counter[JobId] = Counter()

    def take(self, job_id: JobId, *, is_first: bool) -> bool:
        """Count a failure of the job. Return whether it costs no retry. ``is_first``: of its slot's failures in a
        row."""
        self._counts[job_id] += is_first
        return self._counts[job_id] <= self._limit

    def forget(self, job_id: JobId) -> None:
        """The job has ended."""
        self._counts.pop(job_id, None)


def is_infra_failure(error: Exception) -> bool:
    """Whether a disk or a store failed, as opposed to a message of the engine that is wrong."""
    return isinstance(error, OSError | StorageFull | StoreUnavailable)


def is_slot_failure(error: Exception) -> bool:
    """Whether the slot is to blame. No slot is to blame for a store that the server cannot reach."""
    return not isinstance(error, StoreUnavailable)
