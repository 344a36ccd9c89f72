"""Doing again what a store that is away has refused, for some minutes: work waits that long, and is not lost."""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from safelight.blobs.store import StoreUnavailable
from safelight.core.clock import Clock

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 10.0
PATIENCE_S = 300.0

T = TypeVar("T")


class Patience:
    def __init__(self, clock: Clock, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._clock = clock
        self._sleep = sleep

    async def with_(
        self, action: Callable[[], Awaitable[T]], *, what: str, is_wanted: Callable[[], bool] = lambda: True
    ) -> T:
        """``what``: "the input file a.png could not be fetched". Raises :class:`StoreUnavailable` after the last try,
        or when the result is no longer wanted."""
        begun, pause = self._clock.monotonic_s(), FIRST_PAUSE_S
        while True:
            try:
                return await action()
            except StoreUnavailable as error:
                waited_s = self._clock.monotonic_s() - begun
                if waited_s >= PATIENCE_S or not is_wanted():
                    raise StoreUnavailable(f"{what} within {waited_s:.0f} s: {error}") from error
                log.warning("%s yet: %s", what, error)
            await self._sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)
