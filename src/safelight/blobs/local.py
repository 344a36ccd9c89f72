"""Blobs as files of one folder: ``b3/ab/cd/<hex>``, ``incoming/`` for those on their way in, ``leaving/`` for those on
their way out.

Write to ``incoming``, fsync, rename, fsync the folder: a blob that is there is whole, whatever is switched off when.
Only digests become paths, and they are 64 hex digits. All three lie in the same file system, so that a rename is one
step; what a crash leaves in ``incoming`` is swept at the next start, and what it leaves in ``leaving`` is put back.

Whoever collects garbage races with uploads of the same bytes: between a look at a file's time and its removal, an
upload may have renamed a fresh one into its place. So a file is first moved to ``leaving``, which is one step, and only
then looked at: what turns out to be fresh is put back, and readers find it in either place.
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
from safelight.blobs.store import BlobMissing, StoredBlob, WrongDigest
from safelight.core.digest import Digest, Sha256Digest, parse_digest
from safelight.core.errors import InvalidDigest, StorageFull

_SMALL = 64 * 1024
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class LocalBlobStore:
    """Several processes may have the folder open, of which one at most is its server."""

    def __init__(self, root: Path) -> None:
        """Make the folder where it is missing, and put back what was left on its way out."""
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
        with _in_our_words():
            other, changed = await asyncio.to_thread(self._adopt, path, digest)
            await _sync_folders(changed)
        return other

    def writer(self) -> "_LocalWriter":
        return _LocalWriter(self)

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
        """Where to look for a file, in turn: it may be moved aside and back meanwhile."""
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
            self._put_back(aside, digest)  # kept again, between the look and the move
        except FileNotFoundError:  # it was not there, or whoever opened the folder just now has put it back
            pass
        return False

    def _put_back(self, aside: Path, digest: Digest) -> None:
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            os.link(aside, self._path(digest))
        aside.unlink(missing_ok=True)

    def _adopt(self, path: Path, digest: Digest) -> tuple[Sha256Digest, list[Path]]:
        if path.stat().st_uid != os.geteuid():  # its owner may hold it open, and write to it later
            path = self._bring_in(path)
        actual, other = hash_file_twice(path)
        if actual != digest:
            raise WrongDigest(f"{path.name} is not {digest}")
        if path.stat().st_dev != self._incoming.stat().st_dev:
            path = self._bring_in(path)
        with path.open("rb") as file:
            os.fsync(file.fileno())
        return other, self.keep(path, digest)

    def _bring_in(self, path: Path) -> Path:
        """Copy: from another file system, so that the rename is one step; of another user, so that it is ours alone."""
        handle, name = tempfile.mkstemp(dir=self._incoming)
        with os.fdopen(handle, "wb") as to, path.open("rb") as source:
            shutil.copyfileobj(source, to, CHUNK)
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
        os.utime(path)  # whoever collects garbage goes by when bytes were kept, not by when they were written
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


def _blobs_in(folder: Path) -> list[StoredBlob]:
    """Those of one of the 256 folders; what is no blob is passed over."""
    found = []
    for path in folder.glob("*/*"):
        with contextlib.suppress(FileNotFoundError, InvalidDigest):
            status = path.stat()
            found.append(StoredBlob(parse_digest(path.name), status.st_size, _kept_at(status)))
    return found


def _kept_at(status: os.stat_result) -> datetime:
    return datetime.fromtimestamp(status.st_mtime, UTC)


async def _sync_folders(paths: Sequence[Path]) -> None:
    """At once, because a file system commits what waits together in one go."""
    await asyncio.gather(*(asyncio.to_thread(_sync_folder, path) for path in paths))


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
