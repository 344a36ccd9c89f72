"""What every service takes first: a connection inside a transaction, and what is to happen after the commit."""

from collections.abc import Callable

from sqlalchemy import Connection

from safelight.core.event import Event


class Transaction:
    """Mutable: collects what follows the commit."""

    __slots__ = ("callbacks", "conn", "events")

    def __init__(self, conn: Connection) -> None:
        self.conn = conn
        self.events: list[Event] = []
        self.callbacks: list[Callable[[], None]] = []

    def emit(self, event: Event) -> None:
        """Publish ``event`` after the commit, and never without it."""
        self.events.append(event)

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` on the event loop's thread after the commit, before this transaction's events."""
        self.callbacks.append(callback)
