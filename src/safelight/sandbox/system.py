"""Linux calls that Python's library lacks. Each raises :class:`OSError` if the system refuses, or is not Linux."""

import ctypes
import errno
import os
import signal
import sys
from collections.abc import Callable

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NAME = 15
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION_3 = 0x20080522
_LAST_CAPABILITY = 63
_EINVAL = 22

IS_LINUX = sys.platform == "linux"


class _NoLibrary:
    """The C library of a system without Linux's calls: each fails as an unknown system call does."""

    def __getattr__(self, name: str) -> Callable[..., int]:
        def refuse(*arguments: object) -> int:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), name)

        return refuse


_libc = ctypes.CDLL(None, use_errno=True) if IS_LINUX else _NoLibrary()
_prctl = _libc.prctl  # looked up now: a child between fork and exec must not wait for the linker's lock


def die_with_parent(how: int = signal.SIGKILL) -> None:
    """Have the kernel send this process a signal when its parent dies, stopped or not. A change of user undoes it."""
    _check(_prctl(_PR_SET_PDEATHSIG, int(how), 0, 0, 0))


def adopt_orphans() -> None:
    """Make descendants whose parents end children of this process."""
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))


def name_process(name: bytes) -> None:
    """Set the name that ``/proc/PID/comm`` shows; at most 15 bytes."""
    _check(_libc.prctl(_PR_SET_NAME, ctypes.c_char_p(name), 0, 0, 0))


def control(option: int, argument: int, address: int) -> None:
    """Call ``prctl`` with an address."""
    _check(_libc.prctl(option, argument, ctypes.c_void_p(address), 0, 0))


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    _check(_libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode()))


def unshare(flags: int) -> None:
    """Enter new namespaces. The process must have one thread."""
    _check(_libc.unshare(flags))


def allow_no_new_privileges() -> None:
    """From now on, no program that this process starts gets more rights than it has, not even a setuid program."""
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def stay_dumpable() -> None:
    """Make ``/proc/self`` accessible again, which a change of user hides from the process itself."""
    _check(_libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0))


def keep_capabilities(mask: int) -> None:
    """Drop all capabilities but those in ``mask`` (one bit each), permanently."""
    for number in range(_LAST_CAPABILITY + 1):
        if not mask >> number & 1 and _libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) and ctypes.get_errno() == _EINVAL:
            break  # the kernel has no further capabilities
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    data = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)  # effective, permitted, inheritable
    _check(_libc.capset(header, data))


def call(number: int, *arguments: object) -> int:
    """Make a system call by its number, and return its result."""
    return _check(_libc.syscall(number, *arguments))


def _check(result: int) -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result
