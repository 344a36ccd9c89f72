"""Renders stored pictures for ``/api/view``, off the event loop and few at a time: decoding takes memory."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from safelight.blobs.cache import FileCache
from safelight.core.digest import Digest

if TYPE_CHECKING:
    from safelight.media.image_header import Source
    from safelight.media.thumbnail import Rendered

AT_ONCE = 2


class Renderer:
    """Mutable: the number of renderings in progress."""

    def __init__(self, files: FileCache) -> None:
        self._files = files
        self._free = asyncio.Semaphore(AT_ONCE)

    async def render(self, digest: Digest, make: "Callable[[Source], Rendered]", *, name: str) -> "Rendered":
        """Return what ``make`` renders. ``name``: the owner's name for the picture, used in errors."""
        from safelight.media.media_errors import report_as

        async with self._free, self._files.pinned(digest) as source:
            with report_as(name, source):
                return await asyncio.to_thread(make, source)
