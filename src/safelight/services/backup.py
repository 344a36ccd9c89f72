"""Backups of a running installation, and restoring them.

A backup is a folder in the layout of a data folder: a snapshot of the database (a SQLite file, also of PostgreSQL),
every blob that the snapshot names, wherever blobs are stored, and ``backup.json``, which is written last: a folder
without it is not a backup. The snapshot is made before the blobs are copied: a row's bytes are in the store before the
row, and what removes blobs waits meanwhile (``services/maintenance_lock.py``). Bytes are hashed in both directions.
"""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from safelight.blobs.copying import copy_blob
from safelight.blobs.local import LocalBlobStore
from safelight.blobs.store import BlobStore
from safelight.core.clock import whole_ms
from safelight.core.digest import Digest
from safelight.core.errors import Conflict, Invalid
from safelight.db import snapshot
from safelight.db.copying import copy as copy_rows
from safelight.db.engine import Database
from safelight.services import blob_check as blob_service

DATABASE, BLOBS, MANIFEST = "safelight.db", "blobs", "backup.json"
_PART = f"{DATABASE}.part"
_FORMAT = 1


class Manifest(msgspec.Struct, frozen=True):
    """``lost``: blobs that were damaged or missing already when the backup was made, so it does not contain them."""

    format: int
    made_at: datetime
    blobs: int
    size: int
    lost: list[Digest] = []


@dataclass(frozen=True, slots=True)
class CopyResult:
    blobs: int
    size: int
    lost: Sequence[Digest]


async def back_up(
    database: str, blobs: BlobStore, *, folder: Path, now: datetime, like: Path | None = None
) -> Manifest:
    """Write a backup, or update the one in ``folder``. It contains everything that was committed before the call.

    ``like``: an earlier backup; bytes that it has are linked and not copied, where both are in one file system.
    """
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    ours = (BLOBS, DATABASE, MANIFEST)  # maybe of a backup that was interrupted
    if not all(path.name.startswith(ours) for path in folder.iterdir()):
        raise Conflict(f"{folder} is neither empty nor a backup")
    part = folder / _PART
    await asyncio.to_thread(_snapshot, database, part)
    kept = LocalBlobStore(folder / BLOBS)
    kept.clean_up()
    db = await Database.open(f"sqlite:///{part.resolve()}", on_commit=lambda events: None)
    try:
        if like is None:
            copied = await _copy(db, blobs, kept)
        else:
            copied = await _copy_linked(db, blobs, kept, like=LocalBlobStore(like / BLOBS))
    finally:
        await db.close()
    manifest = Manifest(_FORMAT, whole_ms(now), copied.blobs, copied.size, [*copied.lost])
    await asyncio.to_thread(_put_in_place, part, folder / DATABASE)
    await asyncio.to_thread(_write, folder / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
    await _prune(folder, kept)
    return manifest


async def restore(folder: Path, *, database: Path, blobs: BlobStore, postgres: str = "") -> CopyResult:
    """Restore a backup into a new database and a blob store. ``database``: the file of a SQLite database;
    ``postgres``: the URL of an empty PostgreSQL database that is used instead.

    The rows are put in place last, all or none, so an installation is complete or does not exist. Raises
    :class:`Invalid` for an incomplete backup, and :class:`Conflict` for a database that exists.
    """
    manifest = read_manifest(folder)
    if database.exists():
        raise Conflict(f"{database} exists already; restore into a new data folder")
    part = database.with_name(f"{database.name}.part")
    await asyncio.to_thread(database.parent.mkdir, parents=True, exist_ok=True)
    await asyncio.to_thread(_snapshot, f"sqlite:///{(folder / DATABASE).resolve()}", part)
    db = await Database.open(f"sqlite:///{part.resolve()}", on_commit=lambda events: None)
    try:
        copied = await _copy(db, LocalBlobStore(folder / BLOBS), blobs)
    finally:
        await db.close()
    if missing := set(copied.lost) - set(manifest.lost):
        raise Invalid(
            f"the backup {folder} is damaged: {len(missing)} blobs have changed or are missing, such as {missing.pop()}"
        )
    if postgres:
        await copy_rows(f"sqlite:///{part.resolve()}", postgres)
        await asyncio.to_thread(_remove, part)
    else:
        await asyncio.to_thread(_put_in_place, part, database)
    return copied


def read_manifest(folder: Path) -> Manifest:
    """Raises :class:`Invalid`."""
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise Invalid(f"{folder} is not a complete backup: {error}") from None
    if manifest.format != _FORMAT:
        raise Invalid(f"{folder} was made by a newer Safelight (its format is {manifest.format})")
    return manifest


async def _copy_linked(db: Database, source: BlobStore, target: LocalBlobStore, *, like: LocalBlobStore) -> CopyResult:
    """:func:`_copy`, with links to the blobs of ``like``."""
    async for row in blob_service.all_rows(db):
        if await target.stat(row.digest) != row.size and await like.stat(row.digest) == row.size:
            await target.link(row.digest, like)
    return await _copy(db, source, target)


async def _copy(db: Database, source: BlobStore, target: BlobStore) -> CopyResult:
    """Copy and hash every blob that ``db`` names; skip those that ``target`` has already."""
    number = size = 0
    lost: list[Digest] = []
    async for row in blob_service.all_rows(db):
        if await target.stat(row.digest) != row.size and not await copy_blob(row.digest, source, target):
            if not await blob_service.is_scanned_file(db, row.digest):
                lost.append(row.digest)
            continue
        number, size = number + 1, size + row.size
    return CopyResult(number, size, lost)


async def _prune(folder: Path, kept: LocalBlobStore) -> None:
    """Delete the blobs that only an earlier backup in this folder needed."""
    db = await Database.open(f"sqlite:///{(folder / DATABASE).resolve()}", on_commit=lambda events: None)
    try:
        async for blob in blob_service.without_rows(db, kept, before=datetime.max.replace(tzinfo=UTC)):
            await kept.delete(blob.digest)
    finally:
        await db.close()


def _snapshot(database: str, to: Path) -> None:
    _remove(to)
    snapshot.take(database, to)


def _remove(file: Path) -> None:
    for left in (file, *(file.with_name(file.name + end) for end in ("-wal", "-shm"))):
        left.unlink(missing_ok=True)


def _put_in_place(part: Path, target: Path) -> None:
    with part.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(part, target)
    _sync(target.parent)


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        file.write(content + b"\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
