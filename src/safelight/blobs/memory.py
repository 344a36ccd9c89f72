"""A blob store in memory, for tests."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from safelight.blobs.hashing import hash_bytes
from safelight.blobs.store import BlobCorrupt, BlobMissing, StoredBlob, WrongDigest, check_digest
from safelight.core.digest import Digest, Sha256Digest

_CHUNK = 256 * 1024


class MemoryBlobStore:
    """Mutable: the blobs; in the caller's ``dict``, if one is given."""

    def __init__(self, blobs: dict[Digest, bytes] | None = None) -> None:
        self._blobs: dict[Digest, bytes] = {} if blobs is None else blobs
        self._kept_at: dict[Digest, datetime] = {}

    async def stat(self, digest: Digest) -> int | None:
        data = self._blobs.get(digest)
        return None if data is None else len(data)

    async def adopt(self, path: Path, digest: Digest) -> Sha256Digest:
        data = await asyncio.to_thread(path.read_bytes)
        if hash_bytes(data) != digest:
            raise WrongDigest(f"{path.name} does not match its digest {digest}")
        self.keep(digest, data)
        await asyncio.to_thread(path.unlink)
        return Sha256Digest(sha256(data).hexdigest())

    def writer(self) -> "_MemoryWriter":
        return _MemoryWriter(self)

    async def read(self, digest: Digest, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        data = self._blobs.get(digest)
        if data is None:
            raise BlobMissing(f"there is no blob {digest}")
        if hash_bytes(data) != digest:
            raise BlobCorrupt(digest)
        wanted = memoryview(data)[start:end]
        for at in range(0, len(wanted), _CHUNK):
            yield bytes(wanted[at : at + _CHUNK])

    def local_path(self, digest: Digest) -> Path | None:
        return None

    async def scan(self) -> AsyncIterator[StoredBlob]:
        for digest, data in list(self._blobs.items()):
            yield StoredBlob(digest, len(data), self._kept_at[digest])

    async def delete(self, digest: Digest, *, kept_before: datetime | None = None) -> bool:
        if digest not in self._blobs or (kept_before is not None and self._kept_at[digest] >= kept_before):
            return False
        del self._blobs[digest], self._kept_at[digest]
        return True

    def keep(self, digest: Digest, data: bytes) -> None:
        self._blobs[digest] = data
        self._kept_at[digest] = datetime.now(UTC)


class _MemoryWriter:
    def __init__(self, store: MemoryBlobStore) -> None:
        self._store = store
        self._data = bytearray()

    @property
    def size(self) -> int:
        return len(self._data)

    @property
    def sha256(self) -> Sha256Digest:
        return Sha256Digest(sha256(self._data).hexdigest())

    async def write(self, chunk: bytes) -> None:
        self._data += chunk

    async def finish(self, expected: Digest | None = None) -> tuple[Digest, int]:
        data = bytes(self._data)
        digest = hash_bytes(data)
        check_digest(digest, expected)
        self._store.keep(digest, data)
        return digest, len(data)

    async def abort(self) -> None:
        self._data.clear()
