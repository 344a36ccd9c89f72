"""Keeps the run times of completed jobs, a second later and without an fsync, so that no job waits for it. The server
that leads does this."""

import asyncio
import logging
from collections import deque
from functools import partial

from safelight.bus.bus import Bus
from safelight.core.errors import SafelightError
from safelight.core.event import Event, JobTimed
from safelight.core.ids import shown_job_id
from safelight.core.user import Principal
from safelight.db.engine import Database
from safelight.db.transaction import Transaction
from safelight.services import estimate as estimates
from safelight.services import job as jobs
from safelight.services.catalogue import LiveCatalogue

log = logging.getLogger(__name__)

PAUSE_S = 1.0
MOST_WAITING = 1000
"""Jobs whose run times wait to be kept; those of more are dropped."""


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

    async def keep_all(self) -> None:
        """Keep the run times that wait."""
        while self._waiting:
            timed = self._waiting.popleft()
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
            await self.keep_all()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, JobTimed):
            self._waiting.append(event)
            self._has_some.set()
