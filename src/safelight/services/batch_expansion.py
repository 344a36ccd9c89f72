"""Makes the jobs of batches while there is room: a piece of each batch in turn, so that no batch waits for another and
no transaction is long. The server that leads does this."""

import asyncio
import logging
from functools import partial

from safelight.bus.bus import Bus
from safelight.core.clock import Clock
from safelight.core.errors import SafelightError
from safelight.core.event import BatchChanged, Event, EventsMissed
from safelight.db.engine import Database
from safelight.services import batch as batches

log = logging.getLogger(__name__)

LOOK_S = 30.0
"""Longest time between two looks for what is to be made."""
RETRY_S = 1.0


class BatchExpansion:
    """Mutable: the task that makes jobs while this server leads."""

    def __init__(self, db: Database, clock: Clock, bus: Bus) -> None:
        self._db = db
        self._clock = clock
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        bus.subscribe(self._on_event)

    def start(self) -> None:
        self._task = self._task or asyncio.create_task(self._run())

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def make_some(self) -> int:
        """Make a piece of each batch that has room, and return the number of jobs made."""
        made = 0
        for batch in await self._db.read(batches.unfinished):
            made += await self._db.write(partial(batches.make_jobs, batch=batch, now=self._clock.now()))
        return made

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            try:
                while await self.make_some():
                    pass
            except SafelightError as error:
                log.warning("jobs of batches could not be made: %s", error)
                await asyncio.sleep(RETRY_S)
                continue
            try:
                await asyncio.wait_for(self._changed.wait(), LOOK_S)
            except TimeoutError:
                continue

    def _on_event(self, event: Event) -> None:
        if isinstance(event, BatchChanged | EventsMissed):
            self._changed.set()
