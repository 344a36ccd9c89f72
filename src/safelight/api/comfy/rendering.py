"""Pictures that ``/api/view`` makes of stored ones, off the event loop and few at a time: decoding takes memory."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from safelight.blobs.store import BlobStore
from safelight.core.digest import Digest

if TYPE_CHECKING:
    from safelight.media.header import Source
    from safelight.media.thumbnail import Rendered

AT_ONCE = 2


class Renderer:
    """Mutable: counts the renderings under way."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self._free = asyncio.Semaphore(AT_ONCE)

    async def render(self, digest: Digest, make: "Callable[[Source], Rendered]") -> "Rendered":
        async with self._free:
            source = await self.source(digest)
            return await asyncio.to_thread(make, source)

    async def source(self, digest: Digest) -> "Source":
        """The file itself where the store has files, else its bytes."""
        path = self._blobs.local_path(digest)
        return path or b"".join([chunk async for chunk in self._blobs.read(digest)])
