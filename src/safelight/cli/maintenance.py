"""Shared by ``verify``, ``gc``, ``backup`` and ``restore``: opening the database and the blob store of an installation
(beside a running server, if there is one), and a lock that keeps two of these commands from running together."""

import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from safelight.blobs.store import BlobStore
from safelight.blobs.stores import open_store
from safelight.core.errors import Unavailable
from safelight.db.engine import Database
from safelight.settings import Settings


@dataclass(frozen=True, slots=True)
class Installation:
    db: Database
    blobs: BlobStore


@asynccontextmanager
async def open_installation(settings: Settings) -> AsyncIterator[Installation]:
    """Open an installation that exists.

    Raises :class:`Unavailable` if there is none: a mistyped folder must not create one.
    """
    if not settings.storage.database_url and not (settings.server.data_dir / "safelight.db").exists():
        raise Unavailable(f"there is no Safelight installation in {settings.server.data_dir.resolve()}")
    db = await Database.open(settings.database, on_commit=lambda events: None)
    try:
        yield Installation(db, open_store(settings.blobs).blobs)
    finally:
        await db.close()


@contextmanager
def maintenance_lock(data_dir: Path) -> Iterator[None]:
    """Hold the lock that keeps a command that removes blobs from running beside one that copies them.

    Raises :class:`Unavailable` if another command holds it.
    """
    handle = os.open(data_dir / "maintenance.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise Unavailable(f"a gc or backup of {data_dir.resolve()} is running; try again when it has ended") from None
    else:
        yield
    finally:
        os.close(handle)


def size_text(size: int) -> str:
    """A size for display, in decimal units: ``3.4 MB``."""
    amount, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
