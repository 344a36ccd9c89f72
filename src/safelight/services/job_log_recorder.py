"""Keeps what jobs log, a second later and without an fsync, so that no job waits for it. The server that leads does
this."""

import asyncio
import logging
from functools import partial

from safelight.bus.bus import Bus
from safelight.core.errors import SafelightError
from safelight.core.event import Event, LogWritten
from safelight.core.ids import JobId, UserId
from safelight.core.kept_log import KeptLog, with_break
from safelight.db.engine import Database
from safelight.services import job_log

log = logging.getLogger(__name__)

PAUSE_S = 1.0


class JobLogRecorder:
    """Mutable: the lines that wait, and the task that keeps them while this server leads."""

    def __init__(self, db: Database, bus: Bus) -> None:
        self._db = db
        self._waiting: dict[tuple[UserId, JobId], KeptLog] = {}
        self._has_some = asyncio.Event()
        self._keeping = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        bus.subscribe(self._on_event)

    def start(self) -> None:
        self._task = self._task or asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Keep the lines that wait, then stop."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self.keep_all()

    async def keep_all(self) -> None:
        """Keep the lines that wait; return when all lines of earlier events are kept."""
        async with self._keeping:
            while self._waiting:
                (owner_id, job_id), lines = next(iter(self._waiting.items()))
                del self._waiting[owner_id, job_id]
                append = partial(job_log.append, owner_id=owner_id, job_id=job_id, log=lines)
                try:
                    await self._db.write(append, is_durable=False)
                except SafelightError as error:
                    log.warning("log lines of job %s are not kept: %s", job_id, error)

    async def _run(self) -> None:
        while True:
            await self._has_some.wait()
            await asyncio.sleep(PAUSE_S)
            self._has_some.clear()
            await self.keep_all()

    def _on_event(self, event: Event) -> None:
        if self._task is None or not isinstance(event, LogWritten) or event.job_id is None or event.owner_id is None:
            return
        subject = event.owner_id, event.job_id
        new = KeptLog([with_break(line) for line in event.entries])
        self._waiting[subject] = self._waiting.get(subject, KeptLog()).followed_by(new)
        self._has_some.set()
