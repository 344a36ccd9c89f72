"""Retries with growing pauses: one policy for stores and databases that are unreachable for a while.

Pure: the clock and the sleep are arguments.
"""

import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from safelight.core.clock import Clock
from safelight.core.errors import SafelightError, Unavailable

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses in seconds that double with each failure, from ``first_s`` up to ``longest_s``."""

    first_s: float
    longest_s: float

    def pause_s(self, failures: int) -> float:
        """The pause after that many failures in a row; 0 without a failure."""
        return min(self.longest_s, self.first_s * 2 ** min(failures - 1, 16)) if failures > 0 else 0.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Which error is retried, after which pauses, and for how long."""

    on: type[SafelightError]
    backoff: Backoff
    limit_s: float = math.inf


DATABASE_RETRY = RetryPolicy(Unavailable, Backoff(first_s=0.1, longest_s=5.0))
"""For a write that must happen: it is retried until the database is back."""


@dataclass(frozen=True, slots=True)
class Retrier:
    """A policy with the clock and the sleep to follow it by."""

    policy: RetryPolicy
    clock: Clock
    sleep: Callable[[float], Awaitable[None]]

    async def run(
        self, action: Callable[[], Awaitable[T]], *, what: str, is_wanted: Callable[[], bool] = lambda: True
    ) -> T:
        """Return the result of ``action``; retry while it raises the policy's error.

        ``what``: the action as a verb phrase, such as "fetch the input file a.png". Raises the policy's error when its
        limit is over, or when ``is_wanted`` returns false after a failure.
        """
        began_s, failures = self.clock.monotonic_s(), 0
        while True:
            try:
                return await action()
            except self.policy.on as error:
                waited_s = self.clock.monotonic_s() - began_s
                if waited_s >= self.policy.limit_s or not is_wanted():
                    raise self.policy.on(f"could not {what} within {waited_s:.0f} s: {error}") from error
                failures += 1
                log.warning("could not %s, retrying: %s", what, error)
            await self.sleep(self.policy.backoff.pause_s(failures))
