"""Blobs as files of this machine, for workers and for programs that read paths.

A store of files shows its own. Of any other the bytes are fetched into a folder: once, however many ask at the same
time; checked by their digest, also when a start finds them there; and kept, the most recently used, within a number of
bytes. What is held is not removed, even if that is more.
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
class Held:
    """``let_go``: to be called once."""

    path: Path
    let_go: Callable[[], None]


@dataclass(slots=True)
class _Kept:
    size: int
    is_checked: bool
    holders: int = 0


class Source(Protocol):
    """Where bytes come from: of :class:`~safelight.blobs.store.BlobStore` what a cache needs."""

    def read(self, digest: Digest) -> AsyncIterator[bytes]: ...

    def local_path(self, digest: Digest) -> Path | None: ...


class FileCache:
    """Mutable: which files there are, who holds them, and which are on their way. One event loop."""

    def __init__(self, store: Source, folder: Path, *, max_bytes: int) -> None:
        """Nobody else may use the folder. It is made when something is fetched."""
        self._store = store
        self._folder = folder
        self._max_bytes = max_bytes
        self._kept: OrderedDict[Digest, _Kept] | None = None  # until somebody asks; the longest unused first
        self._looking = asyncio.Lock()
        self._fetching: dict[Digest, asyncio.Task[None]] = {}
        self._wanted: Counter[Digest] = Counter()  # by those who wait for it

    def local_path(self, digest: Digest) -> Path | None:
        """The store's own file, which needs no holding; ``None`` where it has none."""
        return self._store.local_path(digest)

    async def hold(self, digest: Digest) -> Held:
        """A file that stays until it is let go, to be read only. Raises what the store raises, and
        :class:`StorageFull`."""
        path = self._store.local_path(digest)
        if path is not None:
            return Held(path, lambda: None)
        kept = await self._hold(digest)
        return Held(self._folder / digest, partial(self._let_go, digest, kept))

    @contextlib.asynccontextmanager
    async def held(self, digest: Digest) -> AsyncIterator[Path]:
        """The same, for a block."""
        held = await self.hold(digest)
        try:
            yield held.path
        finally:
            held.let_go()

    async def close(self) -> None:
        """Give up what is on its way."""
        tasks = list(self._fetching.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _hold(self, digest: Digest) -> _Kept:
        all_kept = await self._all()
        self._wanted[digest] += 1
        try:
            while (kept := all_kept.get(digest)) is None or not kept.is_checked:
                if (fetching := self._fetching.get(digest)) is None:
                    fetching = self._fetching[digest] = asyncio.create_task(self._bring(digest))
                    fetching.add_done_callback(lambda task: self._brought(digest, task))
                await asyncio.shield(fetching)
        finally:
            self._wanted[digest] -= 1
            if not self._wanted[digest]:
                del self._wanted[digest]
        kept.holders += 1
        all_kept.move_to_end(digest)
        return kept

    def _let_go(self, digest: Digest, kept: _Kept) -> None:
        kept.holders -= 1
        with contextlib.suppress(FileNotFoundError):
            os.utime(self._folder / digest)  # a later start learns the order from it
        self._make_room()

    async def _all(self) -> OrderedDict[Digest, _Kept]:
        async with self._looking:
            if self._kept is None:
                self._kept = await asyncio.to_thread(self._look)
        return self._kept

    def _look(self) -> OrderedDict[Digest, _Kept]:
        """What an earlier server left. Blocks."""
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
        return OrderedDict((digest, _Kept(size, is_checked=False)) for _, digest, size in sorted(found))

    async def _bring(self, digest: Digest) -> None:
        """Make the file right and known to be so."""
        all_kept, path = await self._all(), self._folder / digest
        kept = all_kept.get(digest)
        if kept is not None:
            if await asyncio.to_thread(_is, path, digest):
                kept.is_checked = True
                return
            log.warning("the file %s of the cache is damaged and fetched again", path)
            del all_kept[digest]
        size = await self._fetch(digest, path)
        all_kept[digest] = _Kept(size, is_checked=True)
        self._make_room()

    def _brought(self, digest: Digest, task: "asyncio.Task[None]") -> None:
        del self._fetching[digest]
        if not task.cancelled():
            task.exception()  # those who wait for it are told; there may be none any more

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
                raise StorageFull(f"there is no room for files to work with: {error.strerror}") from error
            raise
        except BaseException:
            _unlink(name)
            raise
        return size

    def _make_room(self) -> None:
        all_kept: OrderedDict[Digest, _Kept] = self._kept or OrderedDict()
        total = sum(kept.size for kept in all_kept.values())
        for digest, kept in list(all_kept.items()):
            if total <= self._max_bytes:
                break
            if not kept.holders and not self._wanted[digest] and digest not in self._fetching:
                del all_kept[digest]
                total -= kept.size
                _unlink(self._folder / digest)


def _is(path: Path, digest: Digest) -> bool:
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
