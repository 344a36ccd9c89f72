"""The bus of one process."""

from safelight.bus.memory import MemoryBus
from safelight.core.event import Event, QueueChanged
from safelight.core.ids import UserId

ANNA = UserId("anna")


def event(number: int) -> Event:
    return QueueChanged(ANNA, number)


def test_everyone_hears_everything_in_order() -> None:
    bus = MemoryBus()
    first: list[Event] = []
    second: list[Event] = []
    bus.subscribe(first.append)
    stop = bus.subscribe(second.append)
    bus.publish([event(1), event(2)])
    stop()
    bus.publish([event(3)])
    assert first == [event(1), event(2), event(3)]
    assert second == [event(1), event(2)]


def test_what_is_published_while_an_event_is_heard_comes_after_it_for_everyone() -> None:
    bus = MemoryBus()
    heard: list[Event] = []

    def answer(heard_event: Event) -> None:
        if heard_event == event(1):
            bus.publish([event(10)])

    bus.subscribe(answer)
    bus.subscribe(heard.append)
    bus.publish([event(1), event(2)])
    assert heard == [event(1), event(2), event(10)]


def test_a_listener_that_fails_hurts_nobody() -> None:
    bus = MemoryBus()
    heard: list[Event] = []

    def fail(_: Event) -> None:
        raise RuntimeError("broken")

    bus.subscribe(fail)
    bus.subscribe(heard.append)
    bus.publish([event(1)])
    bus.publish([event(2)])
    assert heard == [event(1), event(2)]


def test_the_same_listener_twice_is_two_subscriptions() -> None:
    bus = MemoryBus()
    heard: list[Event] = []

    def listen(heard_event: Event) -> None:
        heard.append(heard_event)

    stop = bus.subscribe(listen)
    bus.subscribe(listen)
    stop()
    bus.publish([event(1)])
    assert heard == [event(1)]
