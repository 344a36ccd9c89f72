"""What every bus promises to listeners in its own process (``bus/bus.py``)."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

import pytest

from safelight.bus.bus import Bus
from safelight.bus.memory import MemoryBus
from safelight.bus.postgres import PostgresBus
from safelight.core.event import Event, QueueChanged
from safelight.core.ids import UserId
from safelight.db.engine import Database

pytestmark = pytest.mark.anyio

ANNA = UserId("anna")


def event(number: int) -> Event:
    return QueueChanged(ANNA, number)


@pytest.fixture(params=["memory", "postgres"])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    if request.param == "memory":
        yield MemoryBus()
        return
    url = request.getfixturevalue("postgres_url")
    shared = PostgresBus("one")
    db = await Database.open(url, on_commit=shared.on_commit, announce=shared.announce)

    async def recover(since: datetime) -> Sequence[Event]:
        return ()

    await shared.start(db, url=url, recover=recover, is_watched=lambda owner: True)
    yield shared
    await shared.stop()
    await db.close()


async def test_every_listener_receives_all_events_in_order(bus: Bus) -> None:
    first: list[Event] = []
    second: list[Event] = []
    bus.subscribe(first.append)
    stop = bus.subscribe(second.append)
    bus.publish([event(1), event(2)])
    stop()
    bus.publish([event(3)])
    assert first == [event(1), event(2), event(3)]
    assert second == [event(1), event(2)]


async def test_an_event_published_by_a_listener_comes_after_the_current_one(bus: Bus) -> None:
    received: list[Event] = []

    def answer(received_event: Event) -> None:
        if received_event == event(1):
            bus.publish([event(10)])

    bus.subscribe(answer)
    bus.subscribe(received.append)
    bus.publish([event(1), event(2)])
    assert received == [event(1), event(2), event(10)]


async def test_a_failing_listener_does_not_affect_others(bus: Bus) -> None:
    received: list[Event] = []

    def fail(_: Event) -> None:
        raise RuntimeError("broken")

    bus.subscribe(fail)
    bus.subscribe(received.append)
    bus.publish([event(1)])
    bus.publish([event(2)])
    assert received == [event(1), event(2)]


async def test_the_same_listener_twice_is_two_subscriptions(bus: Bus) -> None:
    received: list[Event] = []

    def listen(received_event: Event) -> None:
        received.append(received_event)

    stop = bus.subscribe(listen)
    bus.subscribe(listen)
    stop()
    bus.publish([event(1)])
    assert received == [event(1)]
