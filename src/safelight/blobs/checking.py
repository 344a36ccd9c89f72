"""Verified reading: bytes are hashed as they are read, and the last chunk is returned only if the digest is right, so
that damaged bytes are never mistaken for a complete blob.

A range of a file cannot be verified by itself. So before a range is read, the whole file is hashed, once; after that it
is trusted for a while, as long as its size and modification time stay the same.
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
"""How long ranges of a verified file are read without hashing it again."""
_MOST_TRUSTED = 10_000


@dataclass(frozen=True, slots=True)
class _Verification:
    """The state of a file when its bytes last matched their digest."""

    mtime_ns: int
    size: int
    at_s: float


class CheckedFiles:
    """Mutable: which files were verified lately, and which are being verified."""

    def __init__(self) -> None:
        self._verified: OrderedDict[Digest, _Verification] = OrderedDict()
        self._verifying: dict[Digest, asyncio.Task[None]] = {}

    async def read(self, path: Path, digest: Digest, *, start: int, end: int | None) -> AsyncIterator[bytes]:
        """The chunks of a file. Raises :class:`FileNotFoundError` at the first, :class:`BlobCorrupt` instead of the
        last."""
        file = await open_file(path)
        try:
            size = os.fstat(file.fileno()).st_size
            end = size if end is None else min(end, size)
            if start == 0 and end == size:
                chunks = self._read_whole(file, digest, size)
            else:
                await self._verify_once(path, file, digest)
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

    async def _verify_once(self, path: Path, file: BinaryIO, digest: Digest) -> None:
        """Return once the whole file is known to be right. Concurrent callers share one pass over the file."""
        if self._is_trusted(file, digest):
            return
        if (verifying := self._verifying.get(digest)) is None:
            verifying = self._verifying[digest] = asyncio.create_task(self._verify(path, digest))
            verifying.add_done_callback(lambda _: self._verifying.pop(digest, None))
        await asyncio.shield(verifying)

    def _is_trusted(self, file: BinaryIO, digest: Digest) -> bool:
        status, last = os.fstat(file.fileno()), self._verified.get(digest)
        is_same = last is not None and (last.mtime_ns, last.size) == (status.st_mtime_ns, status.st_size)
        return is_same and last is not None and time.monotonic() - last.at_s < TRUSTED_S

    async def _verify(self, path: Path, digest: Digest) -> None:
        file = await open_file(path)
        try:
            async for _ in self._read_whole(file, digest, os.fstat(file.fileno()).st_size):
                pass
        finally:
            file.close()

    def _remember(self, file: BinaryIO, digest: Digest) -> None:
        status = os.fstat(file.fileno())
        self._verified[digest] = _Verification(status.st_mtime_ns, status.st_size, time.monotonic())
        self._verified.move_to_end(digest)
        if len(self._verified) > _MOST_TRUSTED:
            self._verified.popitem(last=False)


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


async def verified(chunks: AsyncIterator[bytes], digest: Digest, size: int) -> AsyncIterator[bytes]:
    """The chunks of a blob of ``size`` bytes. Raises :class:`BlobCorrupt` instead of the last if they do not match."""
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
