"""Linux's network namespaces: a network of a process's own, with nothing but a loopback interface."""

import os
import socket
import struct
from pathlib import Path

from safelight.sandbox.system import CLONE_NEWNET, CLONE_NEWUSER, unshare

_GET_FLAGS, _SET_FLAGS = 0x8913, 0x8914
_UP = 1
_REQUEST = "16sH14x"


def isolate() -> None:
    """Enter an empty network namespace with its loopback up. Needs root, and a process with one thread.

    Raises :class:`OSError` if the system forbids it.
    """
    unshare(CLONE_NEWNET)
    _raise_loopback()


def isolate_as_user() -> None:
    """Like :func:`isolate`, without root: in a user namespace that maps only this account."""
    uid, gid = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER | CLONE_NEWNET)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    _raise_loopback()


def _raise_loopback() -> None:
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        response = fcntl.ioctl(any_socket, _GET_FLAGS, struct.pack(_REQUEST, b"lo", 0))
        name, flags = struct.unpack(_REQUEST, response)
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack(_REQUEST, name, flags | _UP))
