"""Cached lists of jobs: never one that is older than a change."""

import asyncio
from datetime import UTC, datetime

import pytest

from safelight.api.comfy.job_lists import KEPT_LISTS, LARGEST_KEPT, JobLists
from safelight.bus.memory import MemoryBus
from safelight.core.event import JobQueued
from safelight.core.ids import JobId, UserId

pytestmark = pytest.mark.anyio

ANN, BOB = UserId("ann"), UserId("bob")


class Source:
    """Mutable: counts its reads; each returns its number."""

    def __init__(self) -> None:
        self.reads = 0
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def __call__(self) -> bytes:
        self.reads += 1
        number = self.reads
        await self.go_on.wait()
        return str(number).encode()


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus()


def change(bus: MemoryBus, owner: UserId) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    bus.publish([JobQueued(owner_id=owner, job_id=JobId("j"), client_id=None, at=now)])


async def test_read_again_only_after_a_change_of_that_owner(bus: MemoryBus) -> None:
    lists, source = JobLists(bus), Source()
    assert [await lists.get(ANN, "q", source) for _ in range(3)] == [b"1"] * 3
    change(bus, BOB)
    assert await lists.get(ANN, "q", source) == b"1"
    change(bus, ANN)
    assert await lists.get(ANN, "q", source) == b"2"
    assert await lists.get(ANN, "other", source) == b"3"
    assert await lists.get(BOB, "q", source) == b"4"


async def test_requests_at_once_share_a_read_unless_a_change_lies_between(bus: MemoryBus) -> None:
    lists, source = JobLists(bus), Source()
    source.go_on.clear()
    before = [asyncio.create_task(lists.get(ANN, "q", source)) for _ in range(2)]
    await asyncio.sleep(0)
    change(bus, ANN)
    after = asyncio.create_task(lists.get(ANN, "q", source))
    await asyncio.sleep(0)
    source.go_on.set()
    assert await asyncio.gather(*before, after) == [b"1", b"1", b"2"]
    assert await lists.get(ANN, "q", source) == b"2"


async def test_one_that_gives_up_does_not_end_the_read_of_others(bus: MemoryBus) -> None:
    lists, source = JobLists(bus), Source()
    source.go_on.clear()
    first, second = (asyncio.create_task(lists.get(ANN, "q", source)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    source.go_on.set()
    assert await second == b"1"


async def test_failure_is_not_kept(bus: MemoryBus) -> None:
    lists, source = JobLists(bus), Source()

    async def fail() -> bytes:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        await lists.get(ANN, "q", fail)
    assert await lists.get(ANN, "q", source) == b"1"


async def test_what_is_kept_is_bounded(bus: MemoryBus) -> None:
    lists, source = JobLists(bus), Source()

    async def large() -> bytes:
        source.reads += 1
        return bytes(LARGEST_KEPT + 1)

    await lists.get(ANN, "large", large)
    await lists.get(ANN, "large", large)
    assert source.reads == 2
    for number in range(KEPT_LISTS + 1):
        await lists.get(ANN, number, source)
    reads = source.reads
    await lists.get(ANN, KEPT_LISTS, source)
    assert source.reads == reads
    await lists.get(ANN, 0, source)
    assert source.reads == reads + 1
