"""Landlock: a process restricts what it and its children can read, write, connect to and signal. Linux 5.13 or newer.

Needs no privilege and no namespace, so it works in containers that forbid both. The numbers are those of
``linux/landlock.h``. Operations that open nothing are not restricted: files can be stat'ed, and their owner can change
their mode.
"""

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Iterable
from contextlib import suppress

from safelight.sandbox.system import call

_CREATE, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION = 1
_PATH_BENEATH = 1

_WRITE_FILE, _READ_FILE, _READ_DIR, _REFER, _TRUNCATE = 1 << 1, 1 << 2, 1 << 3, 1 << 13, 1 << 14
_OF_FILES = _WRITE_FILE | _READ_FILE | _TRUNCATE
_CHANGES = sum(1 << bit for bit in range(4, 13))
"""Rights to remove files and folders, and to create files, folders, links, sockets, pipes and devices."""
_CONNECT_TCP = 1 << 1
_ABSTRACT_SOCKETS, _SIGNALS = 1, 2


def version() -> int:
    """The version of the kernel's Landlock interface; 0 without Landlock. TCP needs 4, signals need 6."""
    try:
        return call(_CREATE, None, ctypes.c_size_t(0), _ASK_VERSION)
    except OSError:
        return 0


def restrict(
    *, folders: Iterable[str] | None, devices: Iterable[str], connects: bool, readable: Iterable[str] | None = None
) -> None:
    """Restrict this thread and everything it starts.

    Writing is allowed only below ``folders`` and to ``devices`` (``None``: anywhere); reading only there and below
    ``readable`` (``None``: anywhere). Signals to other processes are forbidden, and TCP connections too unless
    ``connects``. Rights that the kernel's version does not know are left out. Call :func:`allow_no_new_privileges`
    first. Raises :class:`OSError`.
    """
    known = version()
    reads = 0 if readable is None else _READ_FILE | _READ_DIR
    writes = 0
    if folders is not None:
        writes = _WRITE_FILE | (_TRUNCATE if known >= 3 else 0) | _CHANGES | (_REFER if known >= 2 else 0)
    handled = (
        reads | writes,
        _CONNECT_TCP if not connects and known >= 4 else 0,
        (_SIGNALS | (0 if connects else _ABSTRACT_SOCKETS)) if known >= 6 else 0,
    )
    if not any(handled):
        return
    attributes = struct.pack("<3Q", *handled)[: 8 if known < 4 else 16 if known < 6 else 24]
    rules = call(_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0)
    try:
        if reads or writes:
            for path in readable or ():
                _allow(rules, path, reads)
            for path in (*(folders or ()), *devices):
                _allow(rules, path, reads | writes)
            _allow(rules, "/dev", reads & _READ_DIR)
        call(_RESTRICT_SELF, rules, 0)
    finally:
        os.close(rules)


def _allow(rules: int, path: str, rights: int) -> None:
    """Allow rights below a path. A path that does not exist or cannot be reached is skipped."""
    with suppress(FileNotFoundError, PermissionError, NotADirectoryError):
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not stat.S_ISDIR(os.fstat(handle).st_mode):
                rights &= _OF_FILES
            if rights:
                call(_ADD_RULE, rules, _PATH_BENEATH, struct.pack("<Qi", rights, handle), 0)
        except OSError as error:
            if error.errno != errno.EINVAL:  # a file that cannot be in a rule, such as a pipe
                raise
        finally:
            os.close(handle)
