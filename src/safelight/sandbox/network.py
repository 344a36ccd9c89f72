"""A network of a process's own, in which there is nothing but its loopback: Linux's network namespaces."""

import fcntl
import os
import socket
import struct
from pathlib import Path

from safelight.sandbox.system import CLONE_NEWNET, CLONE_NEWUSER, unshare

_GET_FLAGS, _SET_FLAGS = 0x8913, 0x8914
_UP = 1
_REQUEST = "16sH14x"


def leave() -> None:
    """Enter an empty network, with its loopback up, as root may. Raises :class:`OSError` where the system forbids it.

    This and :func:`leave_as_user` are for a process of one thread.
    """
    unshare(CLONE_NEWNET)
    _raise_loopback()


def leave_as_user() -> None:
    """The same by way of a user namespace, in which the account is itself, knows no other, and may do this."""
    uid, gid = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER | CLONE_NEWNET)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    _raise_loopback()


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, _GET_FLAGS, struct.pack(_REQUEST, b"lo", 0))
        name, flags = struct.unpack(_REQUEST, answer)
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack(_REQUEST, name, flags | _UP))
