"""Blobs as objects of S3, GCS or Azure: ``blobs/ab/<digest>``; ``incoming/`` for those on their way in.

An object is there whole or not at all, so a blob whose digest is known is put under its name at once. Of a large one
that comes as a stream the digest is known at its end: it is put under a name of chance, copied by the store, and the
first is removed. What a crash leaves in ``incoming`` is swept a day later.

Whoever collects garbage races with uploads of the same bytes, and no store removes an object only if it is old. So a
collector first says in ``leaving/<digest>`` what it is about to remove, then looks at the object's age, removes it, and
takes the note back; who has put an object looks for a note, waits until it is gone, looks for the object, and puts it
again where it is gone too. If the collector looked before the object was put, then its note was there before as well:
the other finds either the note, or the object gone.

What the store does not answer is tried a few times, within seconds; then it is :class:`StoreUnavailable`.
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

from safelight.blobs.checking import held_back
from safelight.blobs.object_writer import CHUNK, SMALL, ObjectWriter
from safelight.blobs.opening import open_file
from safelight.blobs.signing import Signer
from safelight.blobs.store import BlobMissing, StoredBlob, StoreUnavailable, WrongDigest
from safelight.blobs.stores import BlobStoreConfig
from safelight.core.digest import Digest, Sha256Digest, parse_digest
from safelight.core.errors import InvalidDigest

log = logging.getLogger(__name__)

PART = 12 * 1024 * 1024
"""Of a large object. S3 takes 10,000 at most, which makes 117 GiB."""
PARTS_AT_ONCE = 2
MOST_COPIED = 1024**3
"""Stores say nothing while they copy, and S3 copies no more than 5 GiB."""
LEFT_S = 24 * 3600.0
"""What came in for so long will not be finished."""
LEAVING_S = 120.0
"""A collector that has not removed an object after so long is dead."""
_POLL_S = 0.2

_RETRY: Any = {
    "max_retries": 3,
    "retry_timeout": timedelta(seconds=15),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=2), "base": 2},
}
_CLIENT: Any = {
    "connect_timeout": timedelta(seconds=5),
    "read_timeout": timedelta(seconds=30),  # between two pieces
    "timeout": timedelta(days=1),  # of a whole answer, which a slow client takes as slowly
}


class ObjectBlobStore:
    """Several processes may use the same objects."""

    def __init__(self, config: BlobStoreConfig, *, most_copied: int = MOST_COPIED) -> None:
        """Asks the store nothing yet."""
        self._most_copied = most_copied
        self._config = config
        self._store = _open(config)
        self._signer = _signer(config)

    async def check(self) -> None:
        with _in_our_words("listed"):
            async for _ in obstore.list(self._store, "incoming", chunk_size=1):
                break

    async def sweep(self) -> None:
        old = datetime.now(UTC) - timedelta(seconds=LEFT_S)
        for prefix in ("incoming", "leaving"):
            with _in_our_words("listed"):
                async for page in obstore.list(self._store, prefix):
                    for left in page:
                        if left["last_modified"] < old:
                            await self._remove(left["path"])

    async def stat(self, digest: Digest) -> int | None:
        found = await self._head(_key(digest))
        return None if found is None else int(found["size"])

    async def adopt(self, path: Path, digest: Digest) -> Sha256Digest:
        """What is hashed is what is put, whoever writes to the file meanwhile."""
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
        with _in_our_words("read", digest):
            found = await self._get(key, start, end)
            if found is None:
                return
            chunks = found.stream(min_chunk_size=CHUNK)
            if found.range == (0, found.meta["size"]):
                chunks = held_back(chunks, digest, found.meta["size"])
            async for chunk in chunks:
                yield chunk

    def local_path(self, digest: Digest) -> Path | None:
        return None

    async def scan(self) -> AsyncIterator[StoredBlob]:
        with _in_our_words("listed"):
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
            raise StoreUnavailable("an object could not be removed in time") from None
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
        """Return when what ``put`` puts under the digest is there to stay."""
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

    async def settle(self, name: str, digest: Digest, *, size: int) -> None:
        """Give what came in its place."""
        source, key = f"incoming/{name}", _key(digest)

        async def put() -> None:
            with _in_our_words("copied"):
                if size <= self._most_copied:
                    await obstore.copy_async(self._store, source, key)
                else:
                    found = await obstore.get_async(self._store, source)
                    await self._put(key, found.stream(min_chunk_size=CHUNK))

        await self.keep(digest, put)
        await self.drop_incoming(name)

    async def drop_incoming(self, name: str) -> None:
        """A store that is away keeps it until it is swept."""
        try:
            await self._remove(f"incoming/{name}")
        except StoreUnavailable as error:
            log.warning("incoming/%s stays until it is swept: %s", name, error)

    async def _put(self, key: str, data: Any) -> None:
        """``data``: bytes, or an iterator of them, whose exception ends the upload without an object."""
        is_whole = isinstance(data, bytes)
        with _in_our_words("written"):
            await obstore.put_async(
                self._store,
                key,
                data,
                use_multipart=not is_whole,
                chunk_size=PART,
                max_concurrency=PARTS_AT_ONCE,
            )

    async def _head(self, key: str) -> Any:
        with _in_our_words("looked at"):
            try:
                return await obstore.head_async(self._store, key)
            except FileNotFoundError:
                return None

    async def _get(self, key: str, start: int, end: int | None) -> Any:
        """``None`` where the object ends before ``start``."""
        if start == 0 and end is None:
            return await obstore.get_async(self._store, key)
        wanted: Any = {"range": {"offset": start} if end is None else (start, end)}
        try:
            return await obstore.get_async(self._store, key, options=wanted)
        except BaseError:  # each store has its own words for a range that is beyond the object
            found = await self._head(key)
            if found is None or start < found["size"]:
                raise
            return None

    async def _remove(self, key: str) -> None:
        with _in_our_words("removed"), contextlib.suppress(FileNotFoundError):
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
    """A file's bytes. Raises :class:`WrongDigest` in place of their end."""
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
        raise WrongDigest(f"{path.name} is not {digest}")


@contextlib.contextmanager
def _in_our_words(done: str, digest: Digest | None = None) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        if digest is not None:
            raise BlobMissing(f"there is no blob {digest}") from error
        raise StoreUnavailable("the object store has no such bucket") from error
    except (PermissionDeniedError, UnauthenticatedError) as error:
        log.error("the object store refuses this server: %s", _brief(error))
        raise StoreUnavailable("the object store refuses this server's credentials") from error
    except BaseError as error:
        log.warning("an object could not be %s: %s", done, _brief(error))
        raise StoreUnavailable("the object store does not answer") from error


def _brief(error: Exception) -> str:
    return str(error).partition("\n\nDebug source:")[0][:500]


def _open(config: BlobStoreConfig) -> ObjectStore:
    """What :class:`BlobStoreConfig` leaves empty, the library finds in the environment."""
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
    """Only S3 answers with headers that the address names."""
    if config.scheme != "s3" or not (config.access_key and config.secret_key):
        return None
    return Signer(config.access_key, config.secret_key, config.region or "us-east-1", config.session_token)
