"""Ends this process when the server has been silent for the lease: it may have been given up, and must not go on.

By the monotonic clock, in a thread. Bytes that wait in the pipe are a sign of life too: while a node holds Python's
lock, nobody here can read them.
"""

import threading
import time
from collections.abc import Callable

_CHECKS_PER_LEASE = 10


class LeaseWatchdog:
    """Mutable: when the server was last heard."""

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
        self._heard_at = clock()

    def start(self) -> None:
        threading.Thread(target=self._watch, name="lease-watchdog", daemon=True).start()

    def heard(self) -> None:
        self._heard_at = self._clock()

    def check(self) -> None:
        """End if the lease is over."""
        silence = self._clock() - self._heard_at
        if silence > self._lease_s and not self._has_unread():
            self._end(f"nothing was heard of the server for {silence:.1f} s")

    def _watch(self) -> None:
        while True:
            time.sleep(self._lease_s / _CHECKS_PER_LEASE)
            self.check()
