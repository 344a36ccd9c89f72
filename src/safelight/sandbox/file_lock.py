"""Locks of open files between processes, on every system. A lock ends when its file is closed, or its process ends."""

import os

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


def lock(descriptor: int, *, shared: bool = False, wait: bool = True) -> None:
    """Take the lock of an open file. ``shared``: several processes may have it so (on Windows only one).

    Raises :class:`BlockingIOError` if another process has it and this one does not wait.
    """
    if fcntl is not None:
        how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        fcntl.flock(descriptor, how if wait else how | fcntl.LOCK_NB)
        return
    _lock_byte(descriptor, wait=wait)


def _lock_byte(descriptor: int, *, wait: bool) -> None:
    """Lock the first byte, which need not exist."""
    import msvcrt

    while True:
        try:
            os.lseek(descriptor, 0, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
            return
        except OSError as error:  # after ten seconds, if it waits
            if not wait:
                raise BlockingIOError(error.errno, error.strerror) from error
