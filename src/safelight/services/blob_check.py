"""Verifying all blobs, and removing those that are not used.

Both are safe while a server runs: a row's bytes are in the store before the row, and blobs that were stored recently
are never removed.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from safelight.blobs.hashing import hash_file
from safelight.blobs.store import BlobCorrupt, BlobMissing, BlobStore, StoredBlob
from safelight.core.digest import Digest
from safelight.db import blob as rows
from safelight.db.blob import BlobRow
from safelight.db.engine import Database

_PAGE = 400


class Condition(StrEnum):
    WHOLE = "whole"
    CORRUPT = "corrupt"
    MISSING = "missing"
    """A row without bytes, neither in the store nor in a scanned file."""
    UNKNOWN = "unknown"
    """Bytes without a row: an interrupted upload, which ``collect`` removes."""


@dataclass(frozen=True, slots=True)
class Finding:
    """``names``: of the affected assets."""

    condition: Condition
    digest: Digest
    size: int
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Collected:
    blobs: int = 0
    size: int = 0


async def all_rows(db: Database) -> AsyncIterator[BlobRow]:
    last: Digest | None = None
    while page := await db.read(lambda tx, last=last: rows.after(tx.conn, last, limit=_PAGE)):  # type: ignore[misc]
        for row in page:
            yield row
        last = page[-1].digest


async def verify(db: Database, blobs: BlobStore, *, before: datetime) -> AsyncIterator[Finding]:
    """Read every blob and report its condition. Bytes that were stored after ``before`` need no row yet."""
    async for row in all_rows(db):
        condition = await _condition(db, blobs, row)
        is_good = condition is Condition.WHOLE
        named = () if is_good else await db.read(lambda tx, row=row: rows.names(tx.conn, row.digest))  # type: ignore[misc]
        yield Finding(condition, row.digest, row.size, tuple(named))
    async for blob in without_rows(db, blobs, before=before):
        yield Finding(Condition.UNKNOWN, blob.digest, blob.size)


async def collect(db: Database, blobs: BlobStore, *, before: datetime) -> Collected:
    """Remove the blobs that nothing refers to and that were not stored again after ``before``."""
    while unused := await db.read(lambda tx: rows.unused(tx.conn, before=before, limit=_PAGE)):
        await db.write(lambda tx, unused=unused: rows.forget(tx.conn, unused))  # type: ignore[misc]
    number = size = 0
    async for blob in without_rows(db, blobs, before=before):
        if await blobs.delete(blob.digest, kept_before=before):
            number, size = number + 1, size + blob.size
    return Collected(number, size)


async def is_scanned_file(db: Database, digest: Digest) -> bool:
    """Whether a scanned file in the server's own folders has these bytes; such bytes are not in the store."""
    paths = await db.read(lambda tx: rows.scanned_paths(tx.conn, digest))
    return any([await asyncio.to_thread(_has_bytes, Path(path), digest) for path in paths])


async def _condition(db: Database, blobs: BlobStore, row: BlobRow) -> Condition:
    size = 0
    try:
        async for chunk in blobs.read(row.digest):
            size += len(chunk)
    except BlobCorrupt:
        return Condition.CORRUPT
    except BlobMissing:
        if await is_scanned_file(db, row.digest) or not await db.read(lambda tx: rows.known(tx.conn, [row.digest])):
            return Condition.WHOLE  # or removed after the row was read
        return Condition.MISSING
    return Condition.WHOLE if size == row.size else Condition.CORRUPT


async def without_rows(db: Database, blobs: BlobStore, *, before: datetime) -> AsyncIterator[StoredBlob]:
    """Stored blobs without a row. They are listed first and looked up second, so an upload in between is not
    reported."""
    page: list[StoredBlob] = []
    async for blob in blobs.scan():
        if blob.kept_at < before:
            page.append(blob)
        if len(page) == _PAGE:
            for unknown in await _unknown(db, page):
                yield unknown
            page = []
    for unknown in await _unknown(db, page):
        yield unknown


async def _unknown(db: Database, page: list[StoredBlob]) -> list[StoredBlob]:
    digests = [blob.digest for blob in page]
    known = await db.read(lambda tx: rows.known(tx.conn, digests))
    return [blob for blob in page if blob.digest not in known]


def _has_bytes(path: Path, digest: Digest) -> bool:
    try:
        return hash_file(path) == digest
    except OSError:
        return False
