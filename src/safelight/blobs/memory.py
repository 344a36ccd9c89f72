"""A blob store that forgets at its end: for tests of what needs one."""

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

from safelight.blobs.hashing import hash_bytes
from safelight.blobs.store import BlobMissing, WrongDigest
from safelight.core.digest import Digest, Sha256Digest

_CHUNK = 256 * 1024


class MemoryBlobStore:
    """Mutable: the blobs."""

    def __init__(self) -> None:
        self._blobs: dict[Digest, bytes] = {}

    async def stat(self, digest: Digest) -> int | None:
        data = self._blobs.get(digest)
        return None if data is None else len(data)

    async def adopt(self, path: Path, digest: Digest) -> Sha256Digest:
        data = await asyncio.to_thread(path.read_bytes)
        if hash_bytes(data) != digest:
            raise WrongDigest(f"{path.name} is not {digest}")
        self._blobs[digest] = data
        await asyncio.to_thread(path.unlink)
        return Sha256Digest(sha256(data).hexdigest())

    def writer(self) -> "_MemoryWriter":
        return _MemoryWriter(self._blobs)

    async def read(self, digest: Digest, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        data = self._blobs.get(digest)
        if data is None:
            raise BlobMissing(f"there is no blob {digest}")
        wanted = memoryview(data)[start:end]
        for at in range(0, len(wanted), _CHUNK):
            yield bytes(wanted[at : at + _CHUNK])

    def local_path(self, digest: Digest) -> Path | None:
        return None

    async def delete(self, digest: Digest) -> None:
        self._blobs.pop(digest, None)


class _MemoryWriter:
    def __init__(self, blobs: dict[Digest, bytes]) -> None:
        self._blobs = blobs
        self._data = bytearray()

    @property
    def size(self) -> int:
        return len(self._data)

    @property
    def sha256(self) -> Sha256Digest:
        return Sha256Digest(sha256(self._data).hexdigest())

    async def write(self, chunk: bytes) -> None:
        self._data += chunk

    async def finish(self) -> tuple[Digest, int]:
        data = bytes(self._data)
        digest = hash_bytes(data)
        self._blobs[digest] = data
        return digest, len(data)

    async def abort(self) -> None:
        self._data.clear()
