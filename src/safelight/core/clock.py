"""Time as a port: the wall clock for stored times, the monotonic clock for waits."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Law: ``monotonic_s`` never decreases; ``now`` is aware UTC."""

    def now(self) -> datetime: ...

    def monotonic_s(self) -> float: ...


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        return time.monotonic()


def to_ms(moment: datetime) -> int:
    """Milliseconds since the epoch, as times are stored and as the contract writes most of them."""
    return int(moment.timestamp() * 1000)


def from_ms(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def whole_ms(moment: datetime) -> datetime:
    """The moment as it will be read back: times are stored in milliseconds."""
    return from_ms(to_ms(moment))
