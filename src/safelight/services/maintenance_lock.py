"""The lock of an installation that keeps what removes blobs from running beside what copies them."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from safelight.core.errors import Unavailable
from safelight.db.engine import is_postgres, take_maintenance_lock
from safelight.sandbox.file_lock import lock


@asynccontextmanager
async def maintenance_lock(data_dir: Path, *, database: str) -> AsyncIterator[None]:
    """Hold the lock: of the data folder, and of a PostgreSQL database, whose servers may have different folders. Raises
    :class:`Unavailable` if another command or the server's housekeeping holds it."""
    handle = os.open(data_dir / "maintenance.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            lock(handle, wait=False)
        except OSError:
            raise Unavailable(
                f"a gc or backup of {data_dir.resolve()} is running; try again when it has ended"
            ) from None
        if not is_postgres(database):
            yield
            return
        of_database = await take_maintenance_lock(database)
        try:
            yield
        finally:
            await of_database.release()
    finally:
        os.close(handle)
