"""Blobs as objects of S3, GCS or Azure: ``blobs/ab/<digest>``, and ``incoming/`` for uploads in progress.

An object exists completely or not at all, so a blob whose digest is known is stored directly under its name. The digest
of a large stream is known only at its end: the stream is stored under a random name, copied within the store, and the
first object is removed. Objects that a crash leaves in ``incoming`` are swept a day later.

Garbage collection races with uploads of the same bytes, and no store can remove an object only if it is old. So a
collector first writes a note ``leaving/<digest>``, then looks at the object's age, removes it, and removes the note.
An uploader looks for a note after it has stored an object, waits until the note is gone, looks for the object, and
stores it again if it is gone too. If the collector looked before the object was stored, then its note existed before
that as well: the uploader finds either the note, or that the object is gone.

A request that fails is retried a few times, within seconds; after that, :class:`StoreUnavailable` is raised.
"""

import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import obstore
from blake3 import blake3
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import AzureStore, GCSStore, LocalStore, MemoryStore, ObjectStore, S3Store

from safelight.blobs.checking import verified
from safelight.blobs.object_writer import CHUNK, SMALL, ObjectWriter
from safelight.blobs.opening import open_file
from safelight.blobs.signing import Signer
from safelight.blobs.store import BlobMissing, StoredBlob, StoreUnavailable, WrongDigest
from safelight.blobs.stores import BlobStoreConfig
from safelight.core.digest import Digest, Sha256Digest, parse_digest
from safelight.core.errors import InvalidDigest

log = logging.getLogger(__name__)

PART = 12 * 1024 * 1024
"""Part size of a large object, in bytes. S3 accepts at most 10,000 parts, which makes 117 GiB."""
PARTS_AT_ONCE = 2
MAX_COPIED_BYTES = 1024**3
"""Larger objects are sent again instead of being copied within the store: stores send nothing while they copy, so a
long copy looks like a timeout, and S3 copies at most 5 GiB."""
ABANDONED_S = 24 * 3600.0
"""Age after which an upload in progress counts as abandoned."""
LEAVING_S = 120.0
"""Age after which the note of a collector is ignored: the collector has died."""
_POLL_S = 0.2

_RETRY: Any = {
    "max_retries": 3,
    "retry_timeout": timedelta(seconds=15),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=2), "base": 2},
}
_CLIENT: Any = {
    "connect_timeout": timedelta(seconds=5),
    "read_timeout": timedelta(seconds=30),  # between two pieces
    "timeout": timedelta(days=1),  # of a whole response, which a slow client may take long to read
}


class ObjectBlobStore:
    """Blobs in an object store. Several processes may use the same objects."""

    def __init__(self, config: BlobStoreConfig, *, max_copied_bytes: int = MAX_COPIED_BYTES) -> None:
        """Sends no request yet."""
        self._max_copied_bytes = max_copied_bytes
        self._config = config
        self._store = _open(config)
        self._signer = _signer(config)

    async def check(self) -> None:
        with _translated_errors("listed"):
            async for _ in obstore.list(self._store, "incoming", chunk_size=1):
                break

    async def sweep(self) -> None:
        old = datetime.now(UTC) - timedelta(seconds=ABANDONED_S)
        for prefix in ("incoming", "leaving"):
            with _translated_errors("listed"):
                async for page in obstore.list(self._store, prefix):
                    for left in page:
                        if left["last_modified"] < old:
                            await self._remove(left["path"])

    async def stat(self, digest: Digest) -> int | None:
        found = await self._head(_key(digest))
        return None if found is None else int(found["size"])

    async def adopt(self, path: Path, digest: Digest) -> Sha256Digest:
        """Hashes the bytes as they are sent, so that a file that changes meanwhile is refused."""
        key, other = _key(digest), sha256()

        async def put() -> None:
            nonlocal other
            other = sha256()
            chunks = _checked(path, digest, other)
            if (await asyncio.to_thread(path.stat)).st_size < SMALL:
                await self._put(key, b"".join([chunk async for chunk in chunks]))
            else:
                await self._put(key, chunks)

        await self.keep(digest, put)
        await asyncio.to_thread(path.unlink)
        return Sha256Digest(other.hexdigest())

    def writer(self) -> ObjectWriter:
        return ObjectWriter(self)

    async def read(self, digest: Digest, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        key = _key(digest)
        if end is not None and end <= start:
            if await self._head(key) is None:
                raise BlobMissing(f"there is no blob {digest}")
            return
        with _translated_errors("read", digest):
            found = await self._get(key, start, end)
            if found is None:
                return
            chunks = found.stream(min_chunk_size=CHUNK)
            if found.range == (0, found.meta["size"]):
                chunks = verified(chunks, digest, found.meta["size"])
            async for chunk in chunks:
                yield chunk

    def local_path(self, digest: Digest) -> Path | None:
        return None

    async def scan(self) -> AsyncIterator[StoredBlob]:
        with _translated_errors("listed"):
            async for page in obstore.list(self._store, "blobs", chunk_size=1000):
                for found in page:
                    with contextlib.suppress(InvalidDigest):
                        digest = parse_digest(found["path"].rpartition("/")[2])
                        yield StoredBlob(digest, found["size"], found["last_modified"])

    async def delete(self, digest: Digest, *, kept_before: datetime | None = None) -> bool:
        key = _key(digest)
        if not _is_old(await self._head(key), kept_before):
            return False
        note = f"leaving/{digest}"
        await self._put(note, b"")
        try:
            async with asyncio.timeout(LEAVING_S / 2):
                is_old = _is_old(await self._head(key), kept_before)
                if is_old:
                    await self._remove(key)
        except TimeoutError:
            raise StoreUnavailable("the object store did not remove an object in time") from None
        await self._remove(note)
        return is_old

    async def sign_get(self, digest: Digest, *, content_type: str, disposition: str, expires_s: int) -> str | None:
        headers = {"response-content-type": content_type, "response-content-disposition": disposition}
        headers["response-cache-control"] = "private, no-cache"
        return self._signed("GET", digest, expires_s, headers, self._config.public_endpoint or self._config.endpoint)

    async def sign_transfer(self, method: Literal["GET", "PUT"], digest: Digest, *, expires_s: int) -> str | None:
        return self._signed(method, digest, expires_s, {}, self._config.endpoint)

    async def confirm(self, digest: Digest, *, size: int) -> None:
        async def look() -> None:
            if await self.stat(digest) != size:
                raise BlobMissing(f"there is no blob {digest} of {size} bytes")

        await self.keep(digest, look)

    async def keep(self, digest: Digest, put: Callable[[], Awaitable[None]]) -> None:
        """Store a blob with ``put``, and return once no collector can remove it any more."""
        while True:
            await put()
            since = time.monotonic()
            while (note := await self._head(f"leaving/{digest}")) is not None:
                found = await self._head(_key(digest))
                age = found["last_modified"] - note["last_modified"] if found else timedelta(0)  # by the store's clock
                if age.total_seconds() + time.monotonic() - since > LEAVING_S:
                    break
                await asyncio.sleep(_POLL_S)
            if await self._head(_key(digest)) is not None:
                return

    async def put_small(self, digest: Digest, data: bytes) -> None:
        await self.keep(digest, functools.partial(self._put, _key(digest), data))

    async def put_incoming(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        await self._put(f"incoming/{name}", chunks)

    async def move_incoming(self, name: str, digest: Digest, *, size: int) -> None:
        """Move a finished upload to its place under its digest."""
        source, key = f"incoming/{name}", _key(digest)

        async def put() -> None:
            with _translated_errors("copied"):
                if size <= self._max_copied_bytes:
                    await obstore.copy_async(self._store, source, key)
                else:
                    found = await obstore.get_async(self._store, source)
                    await self._put(key, found.stream(min_chunk_size=CHUNK))

        await self.keep(digest, put)
        await self.drop_incoming(name)

    async def drop_incoming(self, name: str) -> None:
        """Remove an upload in progress. If the store is unreachable, the object stays until it is swept."""
        try:
            await self._remove(f"incoming/{name}")
        except StoreUnavailable as error:
            log.warning("incoming/%s was not removed and stays until it is swept: %s", name, error)

    async def _put(self, key: str, data: Any) -> None:
        """``data``: bytes, or an iterator of chunks; if the iterator raises, no object is created."""
        is_whole = isinstance(data, bytes)
        with _translated_errors("written"):
            await obstore.put_async(
                self._store,
                key,
                data,
                use_multipart=not is_whole,
                chunk_size=PART,
                max_concurrency=PARTS_AT_ONCE,
            )

    async def _head(self, key: str) -> Any:
        with _translated_errors("looked at"):
            try:
                return await obstore.head_async(self._store, key)
            except FileNotFoundError:
                return None

    async def _get(self, key: str, start: int, end: int | None) -> Any:
        """The object's response; ``None`` if the object ends before ``start``."""
        if start == 0 and end is None:
            return await obstore.get_async(self._store, key)
        wanted: Any = {"range": {"offset": start} if end is None else (start, end)}
        try:
            return await obstore.get_async(self._store, key, options=wanted)
        except BaseError:  # each store reports a range beyond the object's end in its own way
            found = await self._head(key)
            if found is None or start < found["size"]:
                raise
            return None

    async def _remove(self, key: str) -> None:
        with _translated_errors("removed"), contextlib.suppress(FileNotFoundError):
            await obstore.delete_async(self._store, key)

    def _signed(
        self, method: str, digest: Digest, expires_s: int, parameters: dict[str, str], endpoint: str
    ) -> str | None:
        if self._signer is None:
            return None
        url = urlsplit(self._config.url)
        path = "/".join(part for part in (url.netloc, url.path.strip("/"), _key(digest)) if part)
        endpoint = endpoint.rstrip("/") or f"https://s3.{self._signer.region}.amazonaws.com"
        address = f"{endpoint}/{quote(path, safe='/-_.~')}"
        return self._signer.sign(method, address, at=datetime.now(UTC), expires_s=expires_s, parameters=parameters)


def _key(digest: Digest) -> str:
    name = parse_digest(digest)
    return f"blobs/{name[:2]}/{name}"


def _is_old(found: Any, kept_before: datetime | None) -> bool:
    return found is not None and (kept_before is None or found["last_modified"] < kept_before)


async def _checked(path: Path, digest: Digest, other: Any) -> AsyncIterator[bytes]:
    """The chunks of a file. Raises :class:`WrongDigest` at the end if they do not match ``digest``."""
    hasher = blake3()

    def read(file: Any) -> bytes:
        chunk: bytes = file.read(CHUNK)
        hasher.update(chunk)
        other.update(chunk)
        return chunk

    with await open_file(path) as file:
        while chunk := await asyncio.to_thread(read, file):
            yield chunk
    if hasher.hexdigest() != digest:
        raise WrongDigest(f"{path.name} does not match its digest {digest}")


@contextlib.contextmanager
def _translated_errors(done: str, digest: Digest | None = None) -> Iterator[None]:
    """Raise the library's errors as :class:`BlobMissing` and :class:`StoreUnavailable`."""
    try:
        yield
    except FileNotFoundError as error:
        if digest is not None:
            raise BlobMissing(f"there is no blob {digest}") from error
        raise StoreUnavailable("the bucket of the object store does not exist") from error
    except (PermissionDeniedError, UnauthenticatedError) as error:
        log.error("the object store refuses this server's credentials: %s", _brief(error))
        raise StoreUnavailable("the object store refuses this server's credentials") from error
    except BaseError as error:
        log.warning("an object could not be %s: %s", done, _brief(error))
        raise StoreUnavailable("the object store does not answer") from error


def _brief(error: Exception) -> str:
    return str(error).partition("\n\nDebug source:")[0][:500]


def _open(config: BlobStoreConfig) -> ObjectStore:
    """The library's store. It takes fields that :class:`BlobStoreConfig` leaves empty from the environment."""
    scheme, url = config.scheme, urlsplit(config.url)
    prefix = url.path.strip("/") or None
    given: dict[str, Any] = {"endpoint": config.endpoint}
    client = _CLIENT | {"allow_http": config.endpoint.startswith("http://")}
    match scheme:
        case "memory":
            return MemoryStore()
        case "file":
            return LocalStore(url.path, mkdir=True)
        case "s3":
            names = {"access_key": "access_key_id", "secret_key": "secret_access_key"}
            given |= {"region": config.region, "session_token": config.session_token}
            kind: Any = S3Store
        case "az":
            names = {"access_key": "account_name", "secret_key": "account_key"}
            kind = AzureStore
        case _:
            names, given, kind = {}, {}, GCSStore
    given |= {theirs: getattr(config, ours) for ours, theirs in names.items()}
    chosen = {name: value for name, value in given.items() if value}
    store: ObjectStore = kind(url.netloc, prefix=prefix, config=chosen, client_options=client, retry_config=_RETRY)
    return store


def _signer(config: BlobStoreConfig) -> Signer | None:
    """The signer of URLs; only for S3, whose URLs can set the headers of the response."""
    if config.scheme != "s3" or not (config.access_key and config.secret_key):
        return None
    return Signer(config.access_key, config.secret_key, config.region or "us-east-1", config.session_token)
