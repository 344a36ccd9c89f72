"""What ``verify``, ``gc``, ``backup`` and ``restore`` share: the database and the blob store of an installation, opened
beside whatever server runs on them, and a lock for those of them that must be alone."""

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
async def opened(settings: Settings) -> AsyncIterator[Installation]:
    """Raises :class:`Unavailable` where there is no installation: a typing error must not make one."""
    if not settings.storage.database_url and not (settings.server.data_dir / "safelight.db").exists():
        raise Unavailable(f"there is no Safelight in {settings.server.data_dir.resolve()}")
    db = await Database.open(settings.database, on_commit=lambda events: None)
    try:
        yield Installation(db, open_store(settings.blobs).blobs)
    finally:
        await db.close()


@contextmanager
def alone(data_dir: Path) -> Iterator[None]:
    """What removes blobs and what copies them must not run at the same time. Raises :class:`Unavailable`."""
    handle = os.open(data_dir / "maintenance.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise Unavailable(f"a gc or a backup of {data_dir.resolve()} is running; try again after it") from None
    else:
        yield
    finally:
        os.close(handle)


def shown_size(size: int) -> str:
    """``3.4 MB``: sizes as disks are sold."""
    amount, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
