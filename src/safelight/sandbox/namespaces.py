"""Linux's PID and mount namespaces: a process table and mounts of an engine's own.

A process in them sees no process outside, and everything it has started ends with the first process of the namespace,
even in other sessions. Everything that it must not write is mounted read-only, so that not even the owner of a file can
change its mode. Root can create them directly; other accounts need a user namespace, if the system allows that.
"""

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

from safelight.sandbox.system import CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER, call, mount, unshare

_BIND, _REC, _PRIVATE = 4096, 16384, 1 << 18
_NOSUID, _NODEV, _NOEXEC = 2, 4, 8
_MOUNT_SETATTR = 442
_RECURSIVE = 0x8000
_READ_ONLY = 1
_HERE = -100


def enter() -> None:
    """Make the next child of this process the first of a new PID namespace. The process must have one thread.

    Raises :class:`OSError` if the system forbids it.
    """
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        unshare(CLONE_NEWNS | CLONE_NEWPID)
        return
    unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")


def mount_own(writable: Iterable[str] | None) -> None:
    """In the first process after :func:`enter`: mount ``/proc`` of the new namespace, and make everything but
    ``writable`` read-only (``None``: nothing). Raises :class:`OSError`."""
    mount("none", "/", "", _REC | _PRIVATE)
    mount("proc", "/proc", "proc", _NOSUID | _NODEV | _NOEXEC)
    if writable is None:
        return
    kept = [path for path in writable if os.path.exists(path)]
    for path in kept:
        mount(path, path, "", _BIND | _REC)
    _set_read_only("/", True)
    for path in ("/proc", *kept):
        _set_read_only(path, False)
    if os.path.isdir("/dev/shm"):
        mount("tmpfs", "/dev/shm", "tmpfs", _NOSUID | _NODEV, "mode=1777")


def _set_read_only(path: str, is_read_only: bool) -> None:
    change = struct.pack("<4Q", _READ_ONLY if is_read_only else 0, 0 if is_read_only else _READ_ONLY, 0, 0)
    call(_MOUNT_SETATTR, _HERE, ctypes.c_char_p(path.encode()), _RECURSIVE, change, ctypes.c_size_t(len(change)))
