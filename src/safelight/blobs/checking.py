"""Reading files of the store so that damaged bytes are never taken for whole: hashed as they are read, the last chunk
held back until the digest is known to be right.

A part of a file says nothing of the whole. So before a part is read, the whole is, once; for a while it is then trusted
as long as its size and time of change stay the same.
"""

import asyncio
import os
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from blake3 import blake3

from safelight.blobs.opening import open_file
from safelight.blobs.store import BlobCorrupt
from safelight.core.digest import Digest

CHUNK = 1024 * 1024
TRUSTED_S = 600.0
"""How long a file that was read whole and found right needs no other look before parts of it are read."""
_MOST_TRUSTED = 10_000


@dataclass(frozen=True, slots=True)
class _Look:
    """What a file was like when its bytes were last found to be right."""

    mtime_ns: int
    size: int
    at_s: float


class CheckedFiles:
    """Mutable: which files were found right lately, and which are being looked at."""

    def __init__(self) -> None:
        self._looks: OrderedDict[Digest, _Look] = OrderedDict()
        self._looking: dict[Digest, asyncio.Task[None]] = {}

    async def read(self, path: Path, digest: Digest, *, start: int, end: int | None) -> AsyncIterator[bytes]:
        """Raises :class:`FileNotFoundError` at the first chunk, :class:`BlobCorrupt` in place of the last."""
        file = await open_file(path)
        try:
            size = os.fstat(file.fileno()).st_size
            end = size if end is None else min(end, size)
            if start == 0 and end == size:
                chunks = self._read_whole(file, digest, size)
            else:
                await self._trust(path, file, digest)
                chunks = _read_part(file, start, end)
            async for chunk in chunks:
                yield chunk
        finally:
            file.close()

    async def _read_whole(self, file: BinaryIO, digest: Digest, size: int) -> AsyncIterator[bytes]:
        hasher, left = blake3(), size
        while True:
            chunk = await asyncio.to_thread(_read_and_hash, file, hasher)
            left -= len(chunk)
            if left <= 0 or not chunk:
                break
            yield chunk
        if hasher.hexdigest() != digest:
            raise BlobCorrupt(digest)
        self._remember(file, digest)
        if chunk:
            yield chunk

    async def _trust(self, path: Path, file: BinaryIO, digest: Digest) -> None:
        """Return once the whole file is known to be right; those who ask at the same time wait for one look."""
        if self._is_trusted(file, digest):
            return
        if (looking := self._looking.get(digest)) is None:
            looking = self._looking[digest] = asyncio.create_task(self._look(path, digest))
            looking.add_done_callback(lambda _: self._looking.pop(digest, None))
        await asyncio.shield(looking)

    def _is_trusted(self, file: BinaryIO, digest: Digest) -> bool:
        status, look = os.fstat(file.fileno()), self._looks.get(digest)
        is_same = look is not None and (look.mtime_ns, look.size) == (status.st_mtime_ns, status.st_size)
        return is_same and look is not None and time.monotonic() - look.at_s < TRUSTED_S

    async def _look(self, path: Path, digest: Digest) -> None:
        file = await open_file(path)
        try:
            async for _ in self._read_whole(file, digest, os.fstat(file.fileno()).st_size):
                pass
        finally:
            file.close()

    def _remember(self, file: BinaryIO, digest: Digest) -> None:
        status = os.fstat(file.fileno())
        self._looks[digest] = _Look(status.st_mtime_ns, status.st_size, time.monotonic())
        self._looks.move_to_end(digest)
        if len(self._looks) > _MOST_TRUSTED:
            self._looks.popitem(last=False)


async def _read_part(file: BinaryIO, start: int, end: int) -> AsyncIterator[bytes]:
    await asyncio.to_thread(file.seek, start)
    left = end - start
    while left > 0 and (chunk := await asyncio.to_thread(file.read, min(CHUNK, left))):
        left -= len(chunk)
        yield chunk


def _read_and_hash(file: BinaryIO, hasher: "blake3") -> bytes:
    chunk = file.read(CHUNK)
    hasher.update(chunk)
    return chunk


async def held_back(chunks: AsyncIterator[bytes], digest: Digest, size: int) -> AsyncIterator[bytes]:
    """All chunks of what somebody else sends. Raises :class:`BlobCorrupt` in place of the last."""
    hasher, last, left = blake3(), b"", size
    async for chunk in chunks:
        if last:
            yield last
        last, left = bytes(chunk), left - len(chunk)
        await asyncio.to_thread(hasher.update, last)
    if left or hasher.hexdigest() != digest:
        raise BlobCorrupt(digest)
    if last:
        yield last
