"""Registering the server's own model files as public assets: a background scan that hashes new files and marks missing
ones. One scan runs at a time; unchanged files are not read again.
"""

import asyncio
import logging
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from safelight.blobs.hashing import hash_file_twice
from safelight.core.asset import PUBLIC_OWNER, Asset
from safelight.core.clock import Clock
from safelight.core.digest import Digest, Sha256Digest
from safelight.core.ids import AssetId, new_asset_id
from safelight.core.model_folders import MODEL_FOLDERS
from safelight.db import scanned_file as rows
from safelight.db import user
from safelight.db.engine import Database
from safelight.db.scanned_file import ScannedFile
from safelight.db.transaction import Transaction
from safelight.services.model import ModelFiles

log = logging.getLogger(__name__)

_BATCH_FILES = 64
_BATCH_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Progress:
    """``status``: idle, running, completed, cancelled or failed."""

    status: str = "idle"
    scanned: int = 0
    total: int = 0
    hashed_bytes: int = 0
    total_bytes: int = 0
    registered: int = 0
    unchanged: int = 0
    errors: int = 0


@dataclass(frozen=True, slots=True)
class _Found:
    folder: str
    name: str
    path: Path
    size: int
    mtime_ns: int


@dataclass(slots=True)
class _Batch:
    """Mutable: hashed files that are not in the database yet."""

    files: list[tuple[_Found, Digest, Sha256Digest]] = field(default_factory=list)
    size: int = 0


class ModelIndexer:
    """Mutable: the running scan and its progress."""

    def __init__(self, db: Database, models: ModelFiles, clock: Clock) -> None:
        self._db = db
        self._models = models
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self.progress = Progress()

    def start(self, roots: Collection[str] | None) -> bool:
        """Start a scan of ``roots`` (names of model folders, ``models`` for all, or paths).

        Return ``False`` if one is running already.
        """
        if self._task is not None and not self._task.done():
            return False
        self.progress = Progress("running")
        self._task = asyncio.create_task(self._run(roots))
        return True

    def cancel(self) -> bool:
        """Return ``False`` if no scan was running."""
        return self._task is not None and self._task.cancel()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def join(self) -> None:
        """Wait for the running scan to end."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def prune(self) -> int:
        """Mark assets whose files no longer exist. Return how many were marked."""
        known = await self._db.read(lambda tx: rows.all_files(tx.conn))
        gone = await asyncio.to_thread(_gone, list(known.values()))
        return await self._db.write(lambda tx: rows.mark(tx.conn, asset_ids=gone, is_missing=True))

    async def _run(self, roots: Collection[str] | None) -> None:
        try:
            await self._scan(roots)
            self.progress = replace(self.progress, status="completed")
        except asyncio.CancelledError:
            self.progress = replace(self.progress, status="cancelled")
            raise
        except Exception:
            log.exception("the scan of the model folders failed")
            self.progress = replace(self.progress, status="failed")

    async def _scan(self, roots: Collection[str] | None) -> None:
        now = self._clock.now()
        await self._db.write(lambda tx: user.ensure(tx.conn, PUBLIC_OWNER, name=PUBLIC_OWNER, is_admin=False, now=now))
        await asyncio.to_thread(self._models.refresh)
        found = await asyncio.to_thread(lambda: list(_files(self._models, roots)))
        known = await self._db.read(lambda tx: rows.all_files(tx.conn))
        fresh = [file for file in found if not _is_known(file, known)]
        there = [known[str(file.path)].asset_id for file in found if _is_known(file, known)]
        await self._db.write(lambda tx: rows.mark(tx.conn, asset_ids=there, is_missing=False))
        self.progress = replace(
            self.progress,
            scanned=len(there),
            unchanged=len(there),
            total=len(found),
            total_bytes=sum(file.size for file in fresh),
        )
        batch = _Batch()
        for file in fresh:
            try:
                digest, sha256 = await asyncio.to_thread(hash_file_twice, file.path)
            except OSError as error:
                log.warning("the model file %s cannot be read: %s", file.path, error)
                self.progress = replace(
                    self.progress, scanned=self.progress.scanned + 1, errors=self.progress.errors + 1
                )
                continue
            batch.files.append((file, digest, sha256))
            batch.size += file.size
            self.progress = replace(self.progress, hashed_bytes=self.progress.hashed_bytes + file.size)
            if len(batch.files) >= _BATCH_FILES or batch.size >= _BATCH_BYTES:
                batch = await self._keep(batch, known)
        await self._keep(batch, known)

    async def _keep(self, batch: _Batch, known: dict[str, ScannedFile]) -> _Batch:
        now = self._clock.now()

        def register(tx: Transaction) -> None:
            for file, digest, sha256 in batch.files:
                before = known.get(str(file.path))
                asset = Asset(
                    id=new_asset_id(),
                    owner_id=PUBLIC_OWNER,
                    name=file.name,
                    digest=digest,
                    size=file.size,
                    mime_type="application/octet-stream",
                    created_at=now,
                    updated_at=now,
                    tags=tuple(sorted({"models", file.folder, f"model_type:{file.folder}"})),
                    loader_path=file.name,
                )
                row = ScannedFile(str(file.path), file.size, file.mtime_ns, asset.id)
                rows.register(
                    tx.conn, file=row, asset=asset, sha256=sha256, replaces=before.asset_id if before else None
                )

        await self._db.write(register)
        count = len(batch.files)
        self.progress = replace(
            self.progress, scanned=self.progress.scanned + count, registered=self.progress.registered + count
        )
        return _Batch()


def progress_json(progress: Progress) -> dict[str, Any]:
    return {name: getattr(progress, name) for name in Progress.__dataclass_fields__}


def _files(models: ModelFiles, roots: Collection[str] | None) -> Iterator[_Found]:
    for folder in MODEL_FOLDERS:
        for model in models.files(folder):
            if not _is_in(folder, model.path, roots):
                continue
            try:
                status = model.path.stat()
            except OSError:
                continue
            if model.path.is_file():
                yield _Found(folder, model.name, model.path, status.st_size, status.st_mtime_ns)


def _is_in(folder: str, path: Path, roots: Collection[str] | None) -> bool:
    return not roots or folder in roots or "models" in roots or any(path.is_relative_to(root) for root in roots if root)


def _is_known(file: _Found, known: dict[str, ScannedFile]) -> bool:
    before = known.get(str(file.path))
    return before is not None and (before.size, before.mtime_ns) == (file.size, file.mtime_ns)


def _gone(files: Sequence[ScannedFile]) -> list[AssetId]:
    return [file.asset_id for file in files if not os.path.exists(file.path)]
