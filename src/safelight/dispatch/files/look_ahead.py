"""Fetches the input files of jobs that will start soon, while their slots still run others.

Of use where files come from an object store. It changes nothing but the cache of files on this machine, so that there
is nothing to give back: whichever job starts next finds its files there, or fetches them itself.
"""

import logging
from collections.abc import Sequence

from safelight.blobs.cache import FileCache
from safelight.core.errors import SafelightError
from safelight.core.pool import QueueKey
from safelight.db.engine import Database
from safelight.dispatch.tasks import Tasks
from safelight.services import attempt as attempts

log = logging.getLogger(__name__)

MOST_KEYS = 4
"""Keys whose first job is looked at: those that are next in the queue."""
MOST_BYTES = 2 << 30
"""Of the files of one job; larger ones would push out what running jobs may need again."""


class LookAhead:
    """Mutable: whether it is looking, and whether to look again."""

    def __init__(self, db: Database, files: FileCache, tasks: Tasks) -> None:
        self._db = db
        self._files = files
        self._tasks = tasks
        self._keys: Sequence[QueueKey] = ()
        self._is_looking = False

    def look(self, keys: Sequence[QueueKey]) -> None:
        """``keys``: those with waiting jobs, the next first. Returns at once."""
        self._keys = keys[:MOST_KEYS]
        if self._keys and not self._is_looking:
            self._is_looking = True
            self._tasks.spawn(self._look())

    async def _look(self) -> None:
        try:
            while self._keys:
                keys, self._keys = self._keys, ()
                await self._fetch(keys)
        except SafelightError as error:
            log.info("the files of the next jobs could not be fetched yet: %s", error)
        finally:
            self._is_looking = False

    async def _fetch(self, keys: Sequence[QueueKey]) -> None:
        for files in await self._db.read(lambda tx: attempts.files_of_next(tx, keys=keys)):
            if sum(file.size for file in files) <= MOST_BYTES:
                for file in files:
                    async with self._files.pinned(file.digest):
                        pass
