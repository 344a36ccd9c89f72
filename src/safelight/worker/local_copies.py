"""Model files on a shared network folder, copied to the machine's own disk when they are first read.

A copy is named by the digest of its bytes, so that a model under two names is stored once; a note per file (its path,
size and time) records the digest. One process copies, and others that need the same file wait for it. A copy that is
being read is never deleted; of the others, the least recently used is deleted first. A file that cannot be copied is
read in place.
"""

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

from blake3 import blake3

from safelight.sandbox.file_lock import lock

log = logging.getLogger(__name__)

_CHUNK = 8 * 1024 * 1024
_COPIES, _NOTES = "copies", "notes"


class LocalCopies:
    """At most ``max_bytes`` of copies in ``folder``, which the processes of this machine share."""

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        self._copies, self._notes = folder / _COPIES, folder / _NOTES
        self._max_bytes = max_bytes
        for each in (self._copies, self._notes):
            each.mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def reading(self, path: Path) -> Iterator[Path]:
        """Yield the path to read the file from; the copy is kept until the context ends. Raises :class:`OSError` if
        there is no such file."""
        stat = path.stat()
        with contextlib.ExitStack() as stack:
            readable = path
            try:
                if stat.st_size <= self._max_bytes:
                    readable = stack.enter_context(self._locked_copy(path, stat))
            except OSError as error:
                log.warning("reading %s in place, because it cannot be copied to this machine: %s", path.name, error)
            yield readable

    @contextlib.contextmanager
    def _locked_copy(self, path: Path, stat: os.stat_result) -> Iterator[Path]:
        name = blake2b(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}".encode(), digest_size=20).hexdigest()
        note = self._notes / name
        with contextlib.ExitStack() as stack:
            with _locked(note.with_suffix(".lock")):
                copy = self._copies / (note.read_text("ascii") if note.exists() else "none")
                while not stack.enter_context(_locked_if_whole(copy, stat.st_size)):
                    copy = self._copies / self._copy(path, stat.st_size)
                    note.write_text(copy.name, "ascii")
            os.utime(copy)
            yield copy

    def _copy(self, path: Path, size: int) -> str:
        """The name of the new copy. Raises :class:`OSError`, also if there is no space."""
        self._make_room(size)
        hasher = blake3()
        with path.open("rb") as source, tempfile.NamedTemporaryFile(dir=self._copies.parent, delete=False) as target:
            try:
                while chunk := source.read(_CHUNK):
                    hasher.update(chunk)
                    target.write(chunk)
                target.flush()
                if target.tell() != size:
                    raise OSError(f"the file changed from {size} to {target.tell()} bytes while it was being copied")
                os.replace(target.name, self._copies / hasher.hexdigest())
            except BaseException:
                os.unlink(target.name)
                raise
        return hasher.hexdigest()

    def _make_room(self, size: int) -> None:
        """Delete the least recently used copies, but none that is being read."""
        with _locked(self._notes / "room.lock"):
            copies = sorted(((file.stat(), file) for file in self._copies.iterdir()), key=lambda pair: pair[0].st_mtime)
            excess = sum(stat.st_size for stat, _ in copies) + size - self._max_bytes
            for stat, file in copies:
                if excess <= 0:
                    return
                with contextlib.suppress(BlockingIOError), _locked(file, wait=False):
                    file.unlink()
                    excess -= stat.st_size
            if excess > 0:
                raise OSError(f"no space for the copy: all {self._max_bytes} bytes allowed for copies are being read")


@contextlib.contextmanager
def _locked(file: Path, *, wait: bool = True) -> Iterator[None]:
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        lock(descriptor, wait=wait)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _locked_if_whole(copy: Path, size: int) -> Iterator[bool]:
    """False if there is no copy, it is truncated, or another process is deleting it."""
    try:
        descriptor = os.open(copy, os.O_RDONLY)
    except FileNotFoundError:
        yield False
        return
    try:
        lock(descriptor, shared=True)
        stat = os.fstat(descriptor)
        yield stat.st_size == size and stat.st_nlink > 0
    finally:
        os.close(descriptor)
