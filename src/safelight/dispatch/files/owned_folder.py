"""Folders that belong to one process: no other process removes them while it lives.

``<parent>/<name>`` has a lock file ``<parent>/<name>.lock`` beside it, which the owner keeps locked (``flock``) until
its process ends, however it ends. A folder whose lock is free has no owner any more, and the next owner in that parent
removes it.
"""

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from safelight.dispatch.files.folders import make_parents
from safelight.sandbox import file_lock

_LOCK = ".lock"


class OwnedFolder:
    """Its owner makes ``path``. Mutable: locked until :meth:`release`."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def claim(cls, parent: Path, *, prefix: str = "") -> "OwnedFolder":
        """A folder with a new name. Raises :class:`OSError`."""
        make_parents(parent / "any")
        while True:
            path = parent / f"{prefix}{uuid.uuid4().hex[:12]}"  # short, because paths of sockets in it must be
            lock = os.open(_lock_of(path), os.O_CREAT | os.O_RDWR, 0o600)
            if _take(lock, _lock_of(path)):
                return cls(path, lock)
            os.close(lock)

    def release(self) -> None:
        """Remove the folder and its lock. Blocks."""
        shutil.rmtree(self.path, ignore_errors=True)
        with suppress(OSError):
            os.unlink(_lock_of(self.path))
        os.close(self._lock)


def sweep(parent: Path, *, before: Callable[[Path], None] = lambda folder: None) -> None:
    """Remove the folders of ``parent`` whose owner has ended. ``before`` is called with each. Blocks."""
    for lock_file in _locks(parent):
        try:
            lock = os.open(lock_file, os.O_RDWR)
        except OSError:
            continue
        try:
            if _take(lock, lock_file):
                folder = lock_file.with_name(lock_file.name.removesuffix(_LOCK))
                before(folder)
                shutil.rmtree(folder, ignore_errors=True)
                lock_file.unlink(missing_ok=True)
        finally:
            os.close(lock)


def _locks(parent: Path) -> Iterator[Path]:
    with suppress(FileNotFoundError):
        yield from [Path(entry.path) for entry in os.scandir(parent) if entry.name.endswith(_LOCK)]


def _lock_of(path: Path) -> Path:
    return path.with_name(path.name + _LOCK)


def _take(lock: int, lock_file: Path) -> bool:
    """Whether this process has the lock now; false if another has it, or has removed the lock file meanwhile."""
    try:
        file_lock.lock(lock, wait=False)
        return os.path.samestat(os.fstat(lock), os.stat(lock_file))
    except OSError:
        return False
