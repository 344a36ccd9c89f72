"""Blobs as files of one folder: ``b3/ab/cd/<hex>``, and ``incoming/`` for those on their way.

Write to ``incoming``, fsync, rename, fsync the folder: a blob that is there is whole, whatever is switched off when.
Only digests become paths, and they are 64 hex digits. ``incoming`` lies in the same file system, so that the rename is
one step; what a crash leaves in it is swept at the next start.
"""

import asyncio
import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from blake3 import blake3

from safelight.blobs.hashing import hash_file_twice
from safelight.blobs.store import BlobMissing, WrongDigest
from safelight.core.digest import Digest, Sha256Digest, parse_digest
from safelight.core.errors import StorageFull

_CHUNK = 1024 * 1024
_SMALL = 64 * 1024
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class LocalBlobStore:
    """One process owns the folder."""

    def __init__(self, root: Path) -> None:
        """Make the folder and sweep what a stopped process left half-written."""
        self._root = root
        self._incoming = root / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)
        for left in self._incoming.iterdir():
            left.unlink(missing_ok=True)
        if not (root / "b3" / "ff").exists():
            for number in range(256):
                (root / "b3" / f"{number:02x}").mkdir(parents=True, exist_ok=True)
            for folder in (root / "b3", root, root.parent):
                _sync_folder(folder)

    async def stat(self, digest: Digest) -> int | None:
        return await asyncio.to_thread(self._size, digest)

    async def adopt(self, path: Path, digest: Digest) -> Sha256Digest:
        with _in_our_words():
            other, changed = await asyncio.to_thread(self._adopt, path, digest)
            await _sync_folders(changed)
        return other

    def writer(self) -> "_LocalWriter":
        return _LocalWriter(self)

    async def read(self, digest: Digest, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        file = await asyncio.to_thread(self._open, digest, start)
        try:
            left = None if end is None else max(0, end - start)
            while left is None or left > 0:
                chunk = await asyncio.to_thread(file.read, _CHUNK if left is None else min(_CHUNK, left))
                if not chunk:
                    break
                left = None if left is None else left - len(chunk)
                yield chunk
        finally:
            file.close()

    def local_path(self, digest: Digest) -> Path | None:
        path = self._path(digest)
        return path if path.exists() else None

    async def delete(self, digest: Digest) -> None:
        await asyncio.to_thread(self._path(digest).unlink, missing_ok=True)

    def _path(self, digest: Digest) -> Path:
        name = parse_digest(digest)
        return self._root / "b3" / name[:2] / name[2:4] / name

    def _size(self, digest: Digest) -> int | None:
        try:
            return self._path(digest).stat().st_size
        except FileNotFoundError:
            return None

    def _open(self, digest: Digest, start: int) -> BinaryIO:
        try:
            file = self._path(digest).open("rb", buffering=0)
        except FileNotFoundError:
            raise BlobMissing(f"there is no blob {digest}") from None
        file.seek(start)
        return file

    def _adopt(self, path: Path, digest: Digest) -> tuple[Sha256Digest, list[Path]]:
        actual, other = hash_file_twice(path)
        if actual != digest:
            raise WrongDigest(f"{path.name} is not {digest}")
        if self._path(digest).exists():
            path.unlink()
            return other, []
        if path.stat().st_dev != self._incoming.stat().st_dev:
            path = self._bring_in(path)
        with path.open("rb") as file:
            os.fsync(file.fileno())
        return other, self.keep(path, digest)

    def _bring_in(self, path: Path) -> Path:
        """Copy from another file system, so that the rename is one step."""
        handle, name = tempfile.mkstemp(dir=self._incoming)
        with os.fdopen(handle, "wb") as to, path.open("rb") as source:
            shutil.copyfileobj(source, to, _CHUNK)
        path.unlink()
        return Path(name)

    def new_file(self) -> tuple[BinaryIO, Path]:
        handle, name = tempfile.mkstemp(dir=self._incoming)
        return os.fdopen(handle, "wb", buffering=0), Path(name)

    def keep(self, path: Path, digest: Digest) -> list[Path]:
        """Rename a synced file to its digest. Returns the folders that must be synced before it counts. Blocks."""
        target = self._path(digest)
        changed = [target.parent]
        try:
            target.parent.mkdir()
            changed.append(target.parent.parent)
        except FileExistsError:
            pass
        os.chmod(path, 0o444)
        os.replace(path, target)
        return changed


class _LocalWriter:
    """Hashes what it writes, in a thread; small chunks gather first."""

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
            with _in_our_words():
                await asyncio.to_thread(self._flush)

    async def finish(self) -> tuple[Digest, int]:
        with _in_our_words():
            digest, changed = await asyncio.to_thread(self._finish)
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

    def _finish(self) -> tuple[Digest, list[Path]]:
        try:
            self._flush()
            assert self._file is not None
            assert self._path is not None
            os.fsync(self._file.fileno())
            self._file.close()
            digest = Digest(self._hasher.hexdigest())
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
def _in_our_words() -> Iterator[None]:
    """Raise what the disk says of its size as :class:`StorageFull`."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull(f"there is no room for files: {error.strerror}") from error
        raise


async def _sync_folders(paths: Sequence[Path]) -> None:
    """At once, because a file system commits what waits together in one go."""
    await asyncio.gather(*(asyncio.to_thread(_sync_folder, path) for path in paths))


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
