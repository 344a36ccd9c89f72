"""The port through which events reach many listeners: websockets, the dispatcher, whoever else must hear of a fact."""

from collections.abc import Callable, Sequence
from typing import Protocol

from safelight.core.event import Event

EventListener = Callable[[Event], None]


class Bus(Protocol):
    """Law: a listener hears the events of one publisher in the order of publishing, on the event loop's thread.

    Listeners return at once. One that raises hurts nobody else.
    """

    def publish(self, events: Sequence[Event]) -> None: ...

    def subscribe(self, listener: EventListener) -> Callable[[], None]:
        """Hear every event from now on; call what is returned to stop."""
        ...
