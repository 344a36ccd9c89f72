"""The port through which events reach their listeners: sockets, the dispatcher, and other parts of the server."""

from collections.abc import Callable, Sequence
from typing import Protocol

from safelight.core.event import Event

EventListener = Callable[[Event], None]


class Bus(Protocol):
    """Law: a listener receives the events of one publisher in the order of publishing, on the event loop's thread.

    Listeners must not block. One that raises does not affect the others.
    """

    def publish(self, events: Sequence[Event]) -> None: ...

    def subscribe(self, listener: EventListener) -> Callable[[], None]:
        """Receive every event from now on. Call the returned function to stop."""
        ...
