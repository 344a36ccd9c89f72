"""An upload into an object store: hashed as it arrives, and sent in parts if it is large."""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import TYPE_CHECKING

from blake3 import blake3

from safelight.blobs.store import StoreUnavailable, WrongDigest, check_digest
from safelight.core.digest import Digest, Sha256Digest

if TYPE_CHECKING:
    from safelight.blobs.object import ObjectBlobStore

log = logging.getLogger(__name__)

SMALL = 8 * 1024 * 1024
"""Smaller uploads are kept in memory until their digest is known, and then stored with one request."""
CHUNK = 1024 * 1024


class _Aborted(Exception):
    """The upload was aborted."""


class ObjectWriter:
    """Mutable: the bytes written and not yet sent."""

    def __init__(self, store: "ObjectBlobStore") -> None:
        self._store = store
        self._name = uuid.uuid4().hex
        self._hasher = blake3()
        self._other = sha256()
        self._pending = bytearray()
        self._size = 0
        self._chunks: asyncio.Queue[bytes | _Aborted | None] = asyncio.Queue(1)
        self._upload: asyncio.Task[None] | None = None

    @property
    def size(self) -> int:
        return self._size

    @property
    def sha256(self) -> Sha256Digest:
        return Sha256Digest(self._other.hexdigest())

    async def write(self, chunk: bytes) -> None:
        self._pending += chunk
        self._size += len(chunk)
        if len(self._pending) >= (SMALL if self._upload is None else CHUNK):
            data = await self._hashed()
            if self._upload is None:
                self._upload = asyncio.create_task(self._store.put_incoming(self._name, self._queued_chunks()))
            for at in range(0, len(data), CHUNK):
                await self._send(data[at : at + CHUNK])

    async def finish(self, expected: Digest | None = None) -> tuple[Digest, int]:
        data = await self._hashed()
        digest = Digest(self._hasher.hexdigest())
        try:
            check_digest(digest, expected)
        except WrongDigest:
            await self.abort()
            raise
        if self._upload is None:
            await self._store.put_small(digest, data)
            return digest, self._size
        if data:
            await self._send(data)
        await self._send(None)
        await self._upload
        self._upload = None
        await self._store.move_incoming(self._name, digest, size=self._size)
        return digest, self._size

    async def abort(self) -> None:
        self._pending.clear()
        upload, self._upload = self._upload, None
        if upload is None:
            return
        try:
            if not upload.done():
                await self._send(_Aborted(), to=upload)
            await upload
        except _Aborted:
            return
        except StoreUnavailable as error:
            log.warning("the object store did not confirm that an upload was aborted: %s", error)
        await self._store.drop_incoming(self._name)

    async def _hashed(self) -> bytes:
        data = bytes(self._pending)
        self._pending.clear()
        await asyncio.to_thread(self._hash, data)
        return data

    def _hash(self, data: bytes) -> None:
        self._hasher.update(data)
        self._other.update(data)

    async def _send(self, chunk: bytes | _Aborted | None, *, to: asyncio.Task[None] | None = None) -> None:
        """Queue a chunk for the upload. Raises the error of an upload that has failed."""
        upload = to or self._upload
        assert upload is not None
        putting = asyncio.create_task(self._chunks.put(chunk))
        try:
            await asyncio.wait({putting, upload}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not putting.done():
                putting.cancel()
        if upload.done():
            await upload

    async def _queued_chunks(self) -> AsyncIterator[bytes]:
        while (chunk := await self._chunks.get()) is not None:
            if isinstance(chunk, _Aborted):
                raise chunk
            yield chunk
