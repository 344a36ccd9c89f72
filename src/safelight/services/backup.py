"""Copies of an installation, made while it works, and their way back.

A backup is a folder laid out like a data folder: a snapshot of the database, every blob that the snapshot names, and
``backup.json``, which is written last: without it the folder is no backup. The snapshot comes first and the blobs after
it: a row's bytes are in the store before the row, and whoever removes blobs waits meanwhile
(``cli/maintenance.py: alone``). Bytes are hashed on every way.
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
from safelight.db import sqlite
from safelight.db.engine import Database
from safelight.services import blob as blob_service

DATABASE, BLOBS, MANIFEST = "safelight.db", "blobs", "backup.json"
_PART = f"{DATABASE}.part"
_FORMAT = 1


class Manifest(msgspec.Struct, frozen=True):
    """``lost``: blobs that were damaged or missing by then already; a backup cannot bring them back."""

    format: int
    made_at: datetime
    blobs: int
    size: int
    lost: list[Digest] = []


@dataclass(frozen=True, slots=True)
class Copied:
    blobs: int
    size: int
    lost: Sequence[Digest]


async def back_up(database: str, blobs: BlobStore, *, folder: Path, now: datetime) -> Manifest:
    """Write a backup, or bring the one in ``folder`` up to date. What was committed before the call is in it."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    ours = (BLOBS, DATABASE, MANIFEST)  # perhaps of a backup that was cut off
    if not all(path.name.startswith(ours) for path in folder.iterdir()):
        raise Conflict(f"{folder} is neither empty nor a backup")
    part = folder / _PART
    await asyncio.to_thread(_snapshot, database, part)
    kept = LocalBlobStore(folder / BLOBS)
    kept.clean_up()
    db = await Database.open(f"sqlite:///{part.resolve()}", on_commit=lambda events: None)
    try:
        copied = await _copy(db, blobs, kept)
    finally:
        await db.close()
    manifest = Manifest(_FORMAT, whole_ms(now), copied.blobs, copied.size, [*copied.lost])
    await asyncio.to_thread(_put_in_place, part, folder / DATABASE)
    await asyncio.to_thread(_write, folder / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
    await _prune(folder, kept)
    return manifest


async def restore(folder: Path, *, database: Path, blobs: BlobStore) -> Copied:
    """Read a backup into a new database file and a blob store. The database comes last: an installation is there whole
    or not at all. Raises :class:`Invalid` for what is no whole backup, :class:`Conflict` for a database in the way."""
    manifest = read_manifest(folder)
    if database.exists():
        raise Conflict(f"{database} is there already; a backup is restored into a new data folder")
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
            f"the backup {folder} is damaged: {len(missing)} blobs are not what they were, such as {missing.pop()}"
        )
    await asyncio.to_thread(_put_in_place, part, database)
    return copied


def read_manifest(folder: Path) -> Manifest:
    """Raises :class:`Invalid`."""
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise Invalid(f"{folder} is not a whole backup: {error}") from None
    if manifest.format != _FORMAT:
        raise Invalid(f"{folder} was made by a newer Safelight (its format is {manifest.format})")
    return manifest


async def _copy(db: Database, source: BlobStore, target: BlobStore) -> Copied:
    """Every blob that ``db`` names, hashed on its way; those that ``target`` has are left as they are."""
    number = size = 0
    lost: list[Digest] = []
    async for row in blob_service.all_rows(db):
        if await target.stat(row.digest) != row.size and not await copy_blob(row.digest, source, target):
            if not await blob_service.is_elsewhere(db, row.digest):
                lost.append(row.digest)
            continue
        number, size = number + 1, size + row.size
    return Copied(number, size, lost)


async def _prune(folder: Path, kept: LocalBlobStore) -> None:
    """Drop the blobs that an earlier backup in this folder had, and this one has not."""
    db = await Database.open(f"sqlite:///{(folder / DATABASE).resolve()}", on_commit=lambda events: None)
    try:
        async for blob in blob_service.without_rows(db, kept, before=datetime.max.replace(tzinfo=UTC)):
            await kept.delete(blob.digest)
    finally:
        await db.close()


def _snapshot(database: str, to: Path) -> None:
    for left in (to, *(to.with_name(to.name + end) for end in ("-wal", "-shm"))):
        left.unlink(missing_ok=True)
    sqlite.copy(database, to)


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
