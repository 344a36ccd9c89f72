"""The first argument of every service: a connection in a transaction, and what to do after the commit."""

from collections.abc import Callable

from sqlalchemy import Connection

from safelight.core.event import Event


class Transaction:
    """Mutable: collects events and callbacks for after the commit."""

    __slots__ = ("callbacks", "conn", "events")

    def __init__(self, conn: Connection) -> None:
        self.conn = conn
        self.events: list[Event] = []
        self.callbacks: list[Callable[[], None]] = []

    def emit(self, event: Event) -> None:
        """Publish ``event`` after the commit; if the transaction fails, it is dropped."""
        self.events.append(event)

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` on the event loop's thread after the commit, before this transaction's events."""
        self.callbacks.append(callback)
