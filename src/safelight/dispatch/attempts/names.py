"""Numbers for output files: ``<prefix>_00001_.png``, ``<prefix>_00002_.png`` ... never used twice.

While a job that has reserved names with a prefix runs, the last number is kept in memory, because its files may not be
rows yet. Otherwise it is read from the owner's rows.
"""

import asyncio
from dataclasses import dataclass, field

from safelight.core.ids import JobId
from safelight.db.engine import Database
from safelight.dispatch.files.outputs import FilenameSequence
from safelight.services import named_files


@dataclass(slots=True)
class _Counter:
    last: int
    jobs: set[JobId] = field(default_factory=set)


class NameCounters:
    """Mutable: the last number of each sequence that a running job uses."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._counters: dict[FilenameSequence, _Counter] = {}
        self._reading = asyncio.Lock()

    async def reserve(self, sequence: FilenameSequence, *, job_id: JobId, count: int) -> int:
        """Reserve ``count`` consecutive numbers. Return the first."""
        counter = await self._counter(sequence, job_id)
        first = counter.last + 1
        counter.last += count
        return first

    async def restore(self, sequence: FilenameSequence, *, job_id: JobId, last: int) -> None:
        """An earlier server reserved the numbers up to ``last`` for the job."""
        counter = await self._counter(sequence, job_id)
        counter.last = max(counter.last, last)

    def release(self, job_id: JobId) -> None:
        """The job has ended, and its files are rows."""
        for sequence, counter in list(self._counters.items()):
            counter.jobs.discard(job_id)
            if not counter.jobs:
                del self._counters[sequence]

    async def _counter(self, sequence: FilenameSequence, job_id: JobId) -> _Counter:
        async with self._reading:
            counter = self._counters.get(sequence)
            if counter is None:
                counter = self._counters[sequence] = _Counter(await self._last(sequence))
        counter.jobs.add(job_id)
        return counter

    async def _last(self, sequence: FilenameSequence) -> int:
        return await self._db.read(
            lambda tx: named_files.last_number(
                tx, sequence.owner_id, folder=sequence.folder, subfolder=sequence.subfolder, prefix=sequence.prefix
            )
        )
