"""Copying all blobs of one store to another. Each is hashed on the way; blobs that the target has are skipped, so an
interrupted copy continues where it stopped."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from safelight.blobs.store import BlobCorrupt, BlobMissing, BlobStore, StoredBlob
from safelight.core.digest import Digest

_CONCURRENCY = 8


@dataclass(slots=True)
class CopyProgress:
    """Mutable: counts during the copy. ``size``: bytes copied. ``skipped``: blobs that the target had already.
    ``damaged``: blobs that do not match their digest, and were not copied."""

    blobs: int = 0
    size: int = 0
    skipped: int = 0
    damaged: list[Digest] = field(default_factory=list)


async def copy_all(
    source: BlobStore, target: BlobStore, *, on_progress: Callable[[CopyProgress], None]
) -> CopyProgress:
    """Copy every blob that ``source`` lists. ``on_progress`` is called after each."""
    progress, free = CopyProgress(), asyncio.Semaphore(_CONCURRENCY)

    async def copy(blob: StoredBlob) -> None:
        try:
            if await target.stat(blob.digest) == blob.size:
                progress.skipped += 1
            elif await copy_blob(blob.digest, source, target):
                progress.blobs, progress.size = progress.blobs + 1, progress.size + blob.size
            elif await source.stat(blob.digest) is not None:  # otherwise gc removed it meanwhile
                progress.damaged.append(blob.digest)
            on_progress(progress)
        finally:
            free.release()

    try:
        async with asyncio.TaskGroup() as group:
            async for blob in source.scan():
                await free.acquire()
                group.create_task(copy(blob))
    except ExceptionGroup as errors:  # the rest have the same cause, or were cancelled
        raise errors.exceptions[0] from None
    return progress


async def copy_blob(digest: Digest, source: BlobStore, target: BlobStore) -> bool:
    """Copy one blob. Returns ``False`` if the source does not have it, or has damaged bytes."""
    writer = target.writer()
    try:
        async for chunk in source.read(digest):
            await writer.write(chunk)
        await writer.finish()
    except (BlobMissing, BlobCorrupt):
        return False
    finally:
        await writer.abort()
    return True
