"""Numbers for output files: ``<prefix>_00001_.png``, ``<prefix>_00002_.png`` ... never given twice.

While a job that asked for a prefix runs, the last number is kept here, because files of running jobs may not be rows
yet; otherwise the owner's rows know it.
"""

import asyncio
from dataclasses import dataclass, field

from safelight.core.asset import Folder
from safelight.core.ids import JobId, UserId
from safelight.db.engine import Database
from safelight.services import asset as assets


@dataclass(frozen=True, slots=True)
class Series:
    """Where the numbers of a prefix count."""

    owner_id: UserId
    folder: Folder
    subfolder: str
    prefix: str


@dataclass(slots=True)
class _Counter:
    last: int
    jobs: set[JobId] = field(default_factory=set)


class NameCounters:
    """Mutable: the last number of each series that a running job uses."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._counters: dict[Series, _Counter] = {}
        self._reading = asyncio.Lock()

    async def reserve(self, series: Series, *, job_id: JobId, count: int) -> int:
        """The first of ``count`` numbers that follow one another."""
        counter = await self._counter(series, job_id)
        first = counter.last + 1
        counter.last += count
        return first

    async def remember(self, series: Series, *, job_id: JobId, last: int) -> None:
        """An earlier server gave the job numbers up to ``last``."""
        counter = await self._counter(series, job_id)
        counter.last = max(counter.last, last)

    def release(self, job_id: JobId) -> None:
        """The job has ended, and its files are rows."""
        for series, counter in list(self._counters.items()):
            counter.jobs.discard(job_id)
            if not counter.jobs:
                del self._counters[series]

    async def _counter(self, series: Series, job_id: JobId) -> _Counter:
        async with self._reading:
            counter = self._counters.get(series)
            if counter is None:
                counter = self._counters[series] = _Counter(await self._last(series))
        counter.jobs.add(job_id)
        return counter

    async def _last(self, series: Series) -> int:
        return await self._db.read(
            lambda tx: assets.last_number(
                tx, series.owner_id, folder=series.folder, subfolder=series.subfolder, prefix=series.prefix
            )
        )
