"""Ends this process when the server is silent for longer than the lease: the server may have replaced it already."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable

_CHECKS_PER_LEASE = 10


class Lease:
    """Mutable: when the server was last heard from. Unread bytes count too: while a node holds Python's lock, nothing
    here can read them."""

    def __init__(self, lease_s: float, sock: socket.socket, *, end: Callable[[str], None]) -> None:
        self._lease_s = lease_s
        self._sock = sock
        self._end = end
        self._renewed_at = time.monotonic()

    def start(self) -> None:
        threading.Thread(target=self._watch, name="safelight-lease", daemon=True).start()

    def renew(self) -> None:
        self._renewed_at = time.monotonic()

    def _watch(self) -> None:
        while True:
            time.sleep(self._lease_s / _CHECKS_PER_LEASE)
            silence = time.monotonic() - self._renewed_at
            if silence > self._lease_s and not self._has_unread():
                self._end(f"the server has been silent for {silence:.1f} s")

    def _has_unread(self) -> bool:
        try:
            return bool(self._sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except OSError:
            return False


def end_group(reason: str) -> None:
    """Kill this process and every process that it has started, immediately."""
    os.write(2, f"the worker process is stopping: {reason}\n".encode())
    os.killpg(0, signal.SIGKILL)
