"""Pictures that ``/api/view`` makes of stored ones, off the event loop and few at a time: decoding takes memory."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from safelight.blobs.cache import FileCache
from safelight.core.digest import Digest

if TYPE_CHECKING:
    from safelight.media.header import Source
    from safelight.media.thumbnail import Rendered

AT_ONCE = 2


class Renderer:
    """Mutable: counts the renderings under way."""

    def __init__(self, files: FileCache) -> None:
        self._files = files
        self._free = asyncio.Semaphore(AT_ONCE)

    async def render(self, digest: Digest, make: "Callable[[Source], Rendered]", *, name: str) -> "Rendered":
        """``name``: what its owner calls the picture, for errors."""
        from safelight.media.errors import told_as

        async with self._free, self._files.held(digest) as source:
            with told_as(name, source):
                return await asyncio.to_thread(make, source)
