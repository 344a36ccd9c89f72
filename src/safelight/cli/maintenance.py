"""Shared by ``verify``, ``gc``, ``backup`` and ``restore``: opening the database and the blob store of an installation
(beside a running server, if there is one)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

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


def size_text(size: int) -> str:
    """A size for display, in decimal units: ``3.4 MB``."""
    amount, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
