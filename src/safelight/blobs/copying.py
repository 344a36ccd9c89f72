"""From one store to another, each blob hashed on its way; what is there already is passed over, so that a copy that was
cut off goes on."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from safelight.blobs.store import BlobCorrupt, BlobMissing, BlobStore, StoredBlob
from safelight.core.digest import Digest

_AT_ONCE = 8


@dataclass(slots=True)
class Copied:
    """Mutable: counts while it goes on. ``damaged``: what is not what its name says, and was not copied."""

    blobs: int = 0
    size: int = 0
    there: int = 0
    damaged: list[Digest] = field(default_factory=list)


async def copy_all(source: BlobStore, target: BlobStore, *, on_step: Callable[[Copied], None]) -> Copied:
    """Every blob that ``source`` lists. ``on_step`` hears after each."""
    copied, free = Copied(), asyncio.Semaphore(_AT_ONCE)

    async def step(blob: StoredBlob) -> None:
        try:
            if await target.stat(blob.digest) == blob.size:
                copied.there += 1
            elif await copy_blob(blob.digest, source, target):
                copied.blobs, copied.size = copied.blobs + 1, copied.size + blob.size
            elif await source.stat(blob.digest) is not None:  # else it was collected meanwhile
                copied.damaged.append(blob.digest)
            on_step(copied)
        finally:
            free.release()

    try:
        async with asyncio.TaskGroup() as group:
            async for blob in source.scan():
                await free.acquire()
                group.create_task(step(blob))
    except ExceptionGroup as errors:  # the first says it all
        raise errors.exceptions[0] from None
    return copied


async def copy_blob(digest: Digest, source: BlobStore, target: BlobStore) -> bool:
    """``False`` where the source has no such bytes, or others."""
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
