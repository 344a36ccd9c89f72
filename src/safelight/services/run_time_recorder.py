"""Keeps the run times of completed jobs, a second later and without an fsync, so that no job waits for it. The server
that leads does this."""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from functools import partial
from itertools import zip_longest

from safelight.bus.bus import Bus
from safelight.core.errors import SafelightError
from safelight.core.event import Event, JobTimed
from safelight.core.ids import UserId, shown_job_id
from safelight.core.user import Principal
from safelight.db.engine import Database
from safelight.db.transaction import Transaction
from safelight.services import estimate as estimates
from safelight.services import job as jobs
from safelight.services.catalogue import LiveCatalogue

log = logging.getLogger(__name__)

PAUSE_S = 1.0
AT_ONCE = 8
"""Jobs whose run times are kept after one pause: the newest of each owner, in turn. What many small jobs take is known
from some of them; to keep the times of each would cost as many statements as half of the job."""
MOST_WAITING = 1000


class RunTimeRecorder:
    """Mutable: the run times that wait, and the task that keeps them while this server leads."""

    def __init__(self, db: Database, bus: Bus, catalogue: LiveCatalogue) -> None:
        self._db = db
        self._catalogue = catalogue
        self._waiting: deque[JobTimed] = deque(maxlen=MOST_WAITING)
        self._has_some = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        bus.subscribe(self._on_event)

    def start(self) -> None:
        self._task = self._task or asyncio.create_task(self._run())

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def keep_some(self) -> None:
        """Keep the run times of :data:`AT_ONCE` of the jobs that wait for it, and drop the others."""
        chosen = newest_of_each(self._waiting, most=AT_ONCE)
        self._waiting.clear()
        for timed in chosen:
            try:
                await self._db.write(partial(self._keep, timed=timed), is_durable=False)
            except SafelightError as error:
                log.info("the run times of job %s are not kept: %s", timed.job_id, error)

    def _keep(self, tx: Transaction, timed: JobTimed) -> None:
        job = jobs.get(tx, Principal(timed.owner_id), job_id=shown_job_id(timed.job_id))
        estimates.record(
            tx,
            device=timed.device,
            prompt=job.prompt,
            targets=job.targets,
            catalogue=self._catalogue.current,
            seconds=timed.seconds,
            total_s=timed.total_s,
        )

    async def _run(self) -> None:
        while True:
            await self._has_some.wait()
            await asyncio.sleep(PAUSE_S)
            self._has_some.clear()
            await self.keep_some()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, JobTimed):
            self._waiting.append(event)
            self._has_some.set()


def newest_of_each(waiting: Iterable[JobTimed], *, most: int) -> list[JobTimed]:
    """The newest of each owner, then the second of each, and so on; the oldest of them first."""
    by_owner: dict[UserId, list[JobTimed]] = {}
    for timed in waiting:
        by_owner.setdefault(timed.owner_id, []).append(timed)
    in_turn = [each for row in zip_longest(*(reversed(own) for own in by_owner.values())) for each in row if each]
    return in_turn[:most][::-1]
