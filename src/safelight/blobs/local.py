"""Blobs as files of one folder: ``b3/ab/cd/<hex>``, ``incoming/`` for uploads in progress, ``leaving/`` for removals in
progress.

Write to ``incoming``, fsync, rename, fsync the folder: a blob that exists is complete, even after a power cut at any
moment. Only digests become paths, and they are 64 hex digits. All three folders are on the same file system, so that a
rename is atomic; files that a crash leaves in ``incoming`` are removed at the next start, and those in ``leaving`` are
put back.

Garbage collection races with uploads of the same bytes: between the check of a file's time and its removal, an upload
may rename a new file into its place. So a file is first moved to ``leaving``, which is atomic, and only then checked:
a new one is put back, and readers look in both places.
"""

import asyncio
import contextlib
import errno
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from blake3 import blake3

from safelight.blobs.checking import CHUNK, CheckedFiles
from safelight.blobs.hashing import hash_file_twice
from safelight.blobs.store import BlobMissing, StoredBlob, WrongDigest, check_digest
from safelight.core.digest import Digest, Sha256Digest, parse_digest
from safelight.core.errors import InvalidDigest, StorageFull

_SMALL = 64 * 1024
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class LocalBlobStore:
    """Blobs in a folder. Several processes may have it open, at most one of them a server."""

    def __init__(self, root: Path) -> None:
        """Make the folder if it is missing, and put back files of unfinished removals. Blocks."""
        self._root = root
        self._incoming = root / "incoming"
        self._leaving = root / "leaving"
        self._files = CheckedFiles()
        self._incoming.mkdir(parents=True, exist_ok=True)
        self._leaving.mkdir(exist_ok=True)
        if not (root / "b3" / "ff").exists():
            for number in range(256):
                (root / "b3" / f"{number:02x}").mkdir(parents=True, exist_ok=True)
            for folder in (root / "b3", root, root.parent):
                _sync_folder(folder)
        for left in self._leaving.iterdir():
            self._put_back(left, Digest(left.name))

    def clean_up(self, *, older_than_s: float = 0.0) -> None:
        latest = time.time() - older_than_s
        for left in self._incoming.iterdir():
            with suppress(FileNotFoundError):
                if not older_than_s or left.stat().st_mtime < latest:
                    left.unlink()

    async def stat(self, digest: Digest) -> int | None:
        return await asyncio.to_thread(self._size, digest)

    async def adopt(self, path: Path, digest: Digest) -> Sha256Digest:
        with _translated_errors():
            other, changed = await asyncio.to_thread(self._adopt, path, digest)
            await _sync_folders(changed)
        return other

    def writer(self) -> "_LocalWriter":
        return _LocalWriter(self)

    async def link(self, digest: Digest, other: "LocalBlobStore") -> bool:
        """Take a blob of another folder by a hard link, without reading it. Returns ``False`` if that folder does not
        have it, or if it is in another file system."""
        return await asyncio.to_thread(self._link, digest, other)

    async def read(self, digest: Digest, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        is_found = False
        for place in self._places(digest):
            try:
                async for chunk in self._files.read(place, digest, start=start, end=end):
                    is_found = True
                    yield chunk
                return
            except FileNotFoundError:
                assert not is_found
        raise BlobMissing(f"there is no blob {digest}")

    def local_path(self, digest: Digest) -> Path | None:
        """Blocks: it looks at the file system."""
        path = self._path(digest)
        return path if path.exists() else None

    async def scan(self) -> AsyncIterator[StoredBlob]:
        for first in sorted(await asyncio.to_thread(os.listdir, self._root / "b3")):
            for blob in await asyncio.to_thread(_blobs_in, self._root / "b3" / first):
                yield blob

    async def delete(self, digest: Digest, *, kept_before: datetime | None = None) -> bool:
        if kept_before is None:
            kept_before = datetime.max.replace(tzinfo=UTC)
        return await asyncio.to_thread(self._delete, digest, kept_before)

    def _path(self, digest: Digest) -> Path:
        name = parse_digest(digest)
        return self._root / "b3" / name[:2] / name[2:4] / name

    def _places(self, digest: Digest) -> Sequence[Path]:
        """Where to look for a file, in this order: it may be moved aside and back meanwhile."""
        path = self._path(digest)
        return path, self._leaving / path.name, path

    def _size(self, digest: Digest) -> int | None:
        for place in self._places(digest):
            with contextlib.suppress(FileNotFoundError):
                return place.stat().st_size
        return None

    def _delete(self, digest: Digest, kept_before: datetime) -> bool:
        path = self._path(digest)
        aside = self._leaving / path.name
        try:
            if _kept_at(path.stat()) >= kept_before:
                return False
            os.replace(path, aside)
            if _kept_at(aside.stat()) < kept_before:
                aside.unlink()
                return True
            self._put_back(aside, digest)  # stored again between the check and the move
        except FileNotFoundError:  # it did not exist, or another process has just opened the folder and put it back
            pass
        return False

    def _link(self, digest: Digest, other: "LocalBlobStore") -> bool:
        path = self._path(digest)
        try:
            path.parent.mkdir(exist_ok=True)
            os.link(other._path(digest), path)
        except FileExistsError:
            return True
        except OSError:
            return False
        _sync_folder(path.parent)
        return True

    def _put_back(self, aside: Path, digest: Digest) -> None:
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            os.link(aside, self._path(digest))
        aside.unlink(missing_ok=True)

    def _adopt(self, path: Path, digest: Digest) -> tuple[Sha256Digest, list[Path]]:
        if path.stat().st_uid != os.geteuid():  # its owner may have it open, and write to it later
            path = self._copy_in(path)
        actual, other = hash_file_twice(path)
        if actual != digest:
            raise WrongDigest(f"{path.name} does not match its digest {digest}")
        if path.stat().st_dev != self._incoming.stat().st_dev:
            path = self._copy_in(path)
        with path.open("rb") as file:
            os.fsync(file.fileno())
        return other, self.keep(path, digest)

    def _copy_in(self, path: Path) -> Path:
        """Copy a file of another file system, so that the rename is atomic, or of another user, so that only this
        account can write to it."""
        handle, name = tempfile.mkstemp(dir=self._incoming)
        with os.fdopen(handle, "wb") as to, path.open("rb") as source:
            shutil.copyfileobj(source, to, CHUNK)
        path.unlink()
        return Path(name)

    def new_file(self) -> tuple[BinaryIO, Path]:
        handle, name = tempfile.mkstemp(dir=self._incoming)
        return os.fdopen(handle, "wb", buffering=0), Path(name)

    def keep(self, path: Path, digest: Digest) -> list[Path]:
        """Rename a synced file to its digest. Returns the folders to sync before the blob is durable. Blocks."""
        target = self._path(digest)
        changed = [target.parent]
        try:
            target.parent.mkdir()
            changed.append(target.parent.parent)
        except FileExistsError:
            pass
        os.chmod(path, 0o444)
        os.utime(path)  # garbage collection compares when bytes were stored, not when they were written
        os.replace(path, target)
        return changed


class _LocalWriter:
    """Hashes and writes in a thread; small chunks are collected first."""

    def __init__(self, store: LocalBlobStore) -> None:
        self._store = store
        self._hasher = blake3()
        self._other = sha256()
        self._pending = bytearray()
        self._file: BinaryIO | None = None
        self._path: Path | None = None
        self._size = 0

    @property
    def size(self) -> int:
        return self._size

    @property
    def sha256(self) -> Sha256Digest:
        return Sha256Digest(self._other.hexdigest())

    async def write(self, chunk: bytes) -> None:
        self._pending += chunk
        self._size += len(chunk)
        if len(self._pending) >= _SMALL:
            with _translated_errors():
                await asyncio.to_thread(self._flush)

    async def finish(self, expected: Digest | None = None) -> tuple[Digest, int]:
        with _translated_errors():
            digest, changed = await asyncio.to_thread(self._finish, expected)
            await _sync_folders(changed)
        return digest, self._size

    async def abort(self) -> None:
        await asyncio.to_thread(self._discard)

    def _flush(self) -> None:
        if self._file is None:
            self._file, self._path = self._store.new_file()
        data, self._pending = self._pending, bytearray()
        self._hasher.update(data)
        self._other.update(data)
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]

    def _finish(self, expected: Digest | None) -> tuple[Digest, list[Path]]:
        try:
            self._flush()
            assert self._file is not None
            assert self._path is not None
            digest = Digest(self._hasher.hexdigest())
            check_digest(digest, expected)
            os.fsync(self._file.fileno())
            self._file.close()
            changed = self._store.keep(self._path, digest)
            self._path = None
        except BaseException:
            self._discard()
            raise
        return digest, changed

    def _discard(self) -> None:
        if self._file is not None:
            self._file.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._path = None


@contextlib.contextmanager
def _translated_errors() -> Iterator[None]:
    """Raise errors of a full disk as :class:`StorageFull`."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull(f"no space left for files: {error.strerror}") from error
        raise


def _blobs_in(folder: Path) -> list[StoredBlob]:
    """The blobs in one of the 256 folders; other files are skipped."""
    found = []
    for path in folder.glob("*/*"):
        with contextlib.suppress(FileNotFoundError, InvalidDigest):
            status = path.stat()
            found.append(StoredBlob(parse_digest(path.name), status.st_size, _kept_at(status)))
    return found


def _kept_at(status: os.stat_result) -> datetime:
    return datetime.fromtimestamp(status.st_mtime, UTC)


async def _sync_folders(paths: Sequence[Path]) -> None:
    """Sync folders in parallel: a file system commits concurrent syncs together."""
    await asyncio.gather(*(asyncio.to_thread(_sync_folder, path) for path in paths))


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
