"""Blobs as local files, for workers and for programs that read paths.

A store of files serves its own. Blobs of any other store are fetched into a folder: once, however many callers request
them at the same time; checked against their digest, also when they are left from an earlier run; and evicted, the least
recently used first, to stay within a number of bytes. Pinned files are never evicted, even above that limit.
"""

import asyncio
import contextlib
import errno
import logging
import os
import tempfile
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from safelight.blobs.hashing import hash_file
from safelight.core.digest import Digest, parse_digest
from safelight.core.errors import InvalidDigest, StorageFull

log = logging.getLogger(__name__)

_PART = ".part-"


@dataclass(frozen=True, slots=True)
class PinnedFile:
    """A file that is not evicted before ``unpin`` is called, once."""

    path: Path
    unpin: Callable[[], None]


@dataclass(slots=True)
class _Entry:
    size: int
    is_checked: bool
    pins: int = 0


class Source(Protocol):
    """The part of :class:`~safelight.blobs.store.BlobStore` that a cache needs."""

    def read(self, digest: Digest) -> AsyncIterator[bytes]: ...

    def local_path(self, digest: Digest) -> Path | None: ...


class FileCache:
    """Mutable: the cached files, their pins, and the fetches in progress. One event loop."""

    def __init__(self, store: Source, folder: Path, *, max_bytes: int) -> None:
        """``folder`` must belong to this cache alone. It is made when the first file is fetched."""
        self._store = store
        self._folder = folder
        self._max_bytes = max_bytes
        self._entries: OrderedDict[Digest, _Entry] | None = None  # least recently used first; None until needed
        self._loading = asyncio.Lock()
        self._fetching: dict[Digest, asyncio.Task[None]] = {}
        self._waiting: Counter[Digest] = Counter()  # callers that wait for a file

    async def pin(self, digest: Digest) -> PinnedFile:
        """A file, for reading only, that stays until it is unpinned.

        Raises what the store raises, and :class:`StorageFull`.
        """
        path = await asyncio.to_thread(self._store.local_path, digest)
        if path is not None:
            return PinnedFile(path, lambda: None)
        entry = await self._pin(digest)
        return PinnedFile(self._folder / digest, partial(self._unpin, digest, entry))

    @contextlib.asynccontextmanager
    async def pinned(self, digest: Digest) -> AsyncIterator[Path]:
        """The path of a file that is pinned for the block."""
        file = await self.pin(digest)
        try:
            yield file.path
        finally:
            file.unpin()

    async def close(self) -> None:
        """Cancel the fetches in progress."""
        tasks = list(self._fetching.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _pin(self, digest: Digest) -> _Entry:
        entries = await self._loaded()
        self._waiting[digest] += 1
        try:
            while (entry := entries.get(digest)) is None or not entry.is_checked:
                if (fetching := self._fetching.get(digest)) is None:
                    fetching = self._fetching[digest] = asyncio.create_task(self._check_or_fetch(digest))
                    fetching.add_done_callback(lambda task: self._fetched(digest, task))
                await asyncio.shield(fetching)
        finally:
            self._waiting[digest] -= 1
            if not self._waiting[digest]:
                del self._waiting[digest]
        entry.pins += 1
        entries.move_to_end(digest)
        return entry

    def _unpin(self, digest: Digest, entry: _Entry) -> None:
        entry.pins -= 1
        with contextlib.suppress(FileNotFoundError):
            os.utime(self._folder / digest)  # the order of use, for the next start
        self._evict()

    async def _loaded(self) -> OrderedDict[Digest, _Entry]:
        async with self._loading:
            if self._entries is None:
                self._entries = await asyncio.to_thread(self._load)
        return self._entries

    def _load(self) -> OrderedDict[Digest, _Entry]:
        """The files that an earlier run left. Blocks."""
        self._folder.mkdir(parents=True, exist_ok=True)
        found: list[tuple[int, Digest, int]] = []
        for entry in os.scandir(self._folder):
            try:
                digest = parse_digest(entry.name)
            except InvalidDigest:
                if entry.name.startswith(_PART):
                    os.unlink(entry.path)
                continue
            status = entry.stat()
            found.append((status.st_mtime_ns, digest, status.st_size))
        return OrderedDict((digest, _Entry(size, is_checked=False)) for _, digest, size in sorted(found))

    async def _check_or_fetch(self, digest: Digest) -> None:
        entries, path = await self._loaded(), self._folder / digest
        entry = entries.get(digest)
        if entry is not None:
            if await asyncio.to_thread(_matches, path, digest):
                entry.is_checked = True
                return
            log.warning("the cached file %s is damaged; fetching it again", path)
            del entries[digest]
        size = await self._fetch(digest, path)
        entries[digest] = _Entry(size, is_checked=True)
        self._evict()

    def _fetched(self, digest: Digest, task: "asyncio.Task[None]") -> None:
        del self._fetching[digest]
        if not task.cancelled():
            task.exception()  # mark as retrieved: the callers that wait get it, but there may be none left

    async def _fetch(self, digest: Digest, path: Path) -> int:
        handle, name = await asyncio.to_thread(tempfile.mkstemp, prefix=_PART, dir=self._folder)
        size = 0
        try:
            with os.fdopen(handle, "wb", buffering=0) as file:
                async for chunk in self._store.read(digest):
                    await asyncio.to_thread(_write, file.fileno(), chunk)
                    size += len(chunk)
            os.chmod(name, 0o444)
            os.replace(name, path)
        except OSError as error:
            _unlink(name)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StorageFull(f"no space left for cached files: {error.strerror}") from error
            raise
        except BaseException:
            _unlink(name)
            raise
        return size

    def _evict(self) -> None:
        entries: OrderedDict[Digest, _Entry] = self._entries or OrderedDict()
        total = sum(entry.size for entry in entries.values())
        for digest, entry in list(entries.items()):
            if total <= self._max_bytes:
                break
            if not entry.pins and not self._waiting[digest] and digest not in self._fetching:
                del entries[digest]
                total -= entry.size
                _unlink(self._folder / digest)


def _matches(path: Path, digest: Digest) -> bool:
    try:
        return hash_file(path) == digest
    except OSError:
        return False


def _write(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _unlink(path: Path | str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
