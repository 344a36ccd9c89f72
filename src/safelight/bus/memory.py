"""The bus of a server that runs alone: plain calls, in order, on the event loop's thread."""

import logging
from collections import deque
from collections.abc import Callable, Sequence

from safelight.bus.bus import EventListener
from safelight.core.event import Event

log = logging.getLogger(__name__)


class MemoryBus:
    """Mutable: the listeners. An event that a listener publishes while it handles another one follows that one, for all
    listeners."""

    def __init__(self) -> None:
        self._listeners: dict[object, EventListener] = {}
        self._waiting: deque[Event] = deque()
        self._is_publishing = False

    def publish(self, events: Sequence[Event]) -> None:
        self._waiting.extend(events)
        if self._is_publishing:
            return
        self._is_publishing = True
        try:
            while self._waiting:
                event = self._waiting.popleft()
                for listener in tuple(self._listeners.values()):
                    _deliver(listener, event)
        finally:
            self._is_publishing = False

    def subscribe(self, listener: EventListener) -> Callable[[], None]:
        ticket = object()
        self._listeners[ticket] = listener

        def unsubscribe() -> None:
            self._listeners.pop(ticket, None)

        return unsubscribe


def _deliver(listener: EventListener, event: Event) -> None:
    try:
        listener(event)
    except Exception:  # a boundary: a broken listener must not affect the others
        log.exception("a listener failed at %s", type(event).__name__)
