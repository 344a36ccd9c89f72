"""Retries: growing pauses, a limit, and an action that is not wanted any more."""

from datetime import UTC, datetime

import pytest

from safelight.core.backoff import Backoff, Retrier, RetryPolicy
from safelight.core.errors import Conflict, Unavailable

pytestmark = pytest.mark.anyio


class Time:
    """A clock that moves only while something sleeps. Mutable."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    def now(self) -> datetime:
        return datetime(2026, 1, 2, tzinfo=UTC)

    def monotonic_s(self) -> float:
        return sum(self.pauses)

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)


def test_pauses_double_up_to_the_longest() -> None:
    backoff = Backoff(first_s=0.5, longest_s=3.0)
    assert [backoff.pause_s(failures) for failures in range(6)] == [0.0, 0.5, 1.0, 2.0, 3.0, 3.0]


async def fail_times(count: int, error: Exception, *, limit_s: float = 100.0, is_wanted: bool = True) -> list[float]:
    """The pauses of an action that fails ``count`` times."""
    time, failures = Time(), 0

    async def act() -> None:
        nonlocal failures
        failures += 1
        if failures <= count:
            raise error

    retry = Retrier(RetryPolicy(Unavailable, Backoff(1.0, 4.0), limit_s), time, time.sleep)
    await retry.run(act, what="do it", is_wanted=lambda: is_wanted)
    return time.pauses


async def test_the_error_of_the_policy_is_retried() -> None:
    assert await fail_times(4, Unavailable("away")) == [1.0, 2.0, 4.0, 4.0]


async def test_other_errors_are_not() -> None:
    with pytest.raises(Conflict):
        await fail_times(1, Conflict("no"))


async def test_the_limit_ends_the_retries() -> None:
    with pytest.raises(Unavailable, match="could not do it within 3 s: away"):
        await fail_times(99, Unavailable("away"), limit_s=3.0)


async def test_an_action_that_is_not_wanted_is_not_retried() -> None:
    with pytest.raises(Unavailable, match="within 0 s"):
        await fail_times(99, Unavailable("away"), is_wanted=False)
