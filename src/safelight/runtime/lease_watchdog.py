"""Ends this process when the server is silent for longer than the lease: the server may have replaced it already.

Measured by the monotonic clock, in a thread. Unread bytes in the pipe are a sign of life too: while a node holds
Python's lock, the reader cannot run.
"""

import threading
import time
from collections.abc import Callable

_CHECKS_PER_LEASE = 10


class LeaseWatchdog:
    """Mutable: when the server was last heard from."""

    def __init__(
        self,
        lease_s: float,
        *,
        has_unread: Callable[[], bool],
        end: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lease_s = lease_s
        self._has_unread = has_unread
        self._end = end
        self._clock = clock
        self._renewed_at = clock()

    def start(self) -> None:
        threading.Thread(target=self._watch, name="lease-watchdog", daemon=True).start()

    def renew(self) -> None:
        self._renewed_at = self._clock()

    def check(self) -> None:
        """Call ``end`` if the lease has expired."""
        silence = self._clock() - self._renewed_at
        if silence > self._lease_s and not self._has_unread():
            self._end(f"the server has been silent for {silence:.1f} s")

    def _watch(self) -> None:
        while True:
            time.sleep(self._lease_s / _CHECKS_PER_LEASE)
            self.check()
