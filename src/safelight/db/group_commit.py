"""Group commit: writes that wait together run in one transaction, each in a savepoint, and share one fsync.

::

    BEGIN  [SAVEPOINT fn1 RELEASE] [SAVEPOINT fn2 ROLLBACK TO] [SAVEPOINT fn3 RELEASE]  COMMIT
                                             raised: undone alone                        one fsync

While the disk is busy, new writes gather: the more there is to do, the cheaper each becomes. A group without a durable
write is committed without an fsync: it survives the end of the process, but a power cut only together with the next
durable commit. (Both databases keep the order of commits: never the later one without the earlier.)

After the commit, on the event loop's thread and in the order of the writes: each one's callbacks, its events, its
result. Nothing is published before the commit. If the commit itself fails, every write of the group has failed.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from safelight.core.errors import Unavailable
from safelight.core.event import Event
from safelight.db.error_translation import translate
from safelight.db.transaction import Transaction

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_GROUP = 64

OnCommit = Callable[[Sequence[Event]], None]


class PendingWrite(Generic[T]):
    """One write on its way through the writer. Mutable: its outcome."""

    __slots__ = ("error", "fn", "future", "is_durable", "result", "tx")

    def __init__(self, fn: Callable[[Transaction], T], future: "asyncio.Future[T]", *, is_durable: bool) -> None:
        self.fn = fn
        self.future = future
        self.is_durable = is_durable
        self.tx: Transaction | None = None
        self.result: T | None = None
        self.error: BaseException | None = None

    @property
    def events(self) -> Sequence[Event]:
        """The events to publish; none if the write failed."""
        return self.tx.events if self.tx is not None and self.error is None else ()


class Driver(Protocol):
    """A database's transaction control on the writer's connection. Every method raises :class:`Unavailable`."""

    def begin(self, *, is_durable: bool) -> None: ...

    def is_in_transaction(self) -> bool:
        """Whether the transaction is still open: some errors, such as a full disk, end it."""
        ...

    def run(self, statement: str) -> None:
        """Execute transaction control, such as ``SAVEPOINT write``."""
        ...

    def transaction(self) -> Transaction: ...

    def commit(self, events: Sequence[Event]) -> None:
        """Commit. ``events`` are those of the whole group."""
        ...


Take = Callable[[int], Sequence[PendingWrite[Any]]]
"""Returns up to that many writes that are waiting, without blocking."""


def commit_group(driver: Driver, group: list[PendingWrite[Any]], *, take: Take) -> None:
    """Run and commit ``group``, which grows by the writes that arrive meanwhile if it is durable.

    Raises what made the transaction fail; :func:`fail_group` records it.
    """
    is_durable = any(write.is_durable for write in group)
    driver.begin(is_durable=is_durable)
    done = 0
    while done < len(group):
        _run_one(driver, group[done], before=group[:done], is_durable=is_durable)
        done += 1
        if done == len(group) and is_durable:
            group += take(MAX_GROUP - done)
    driver.commit([event for write in group for event in write.events])


def _run_one(
    driver: Driver, write: PendingWrite[Any], *, before: Sequence[PendingWrite[Any]], is_durable: bool
) -> None:
    driver.run("SAVEPOINT write")
    write.tx = driver.transaction()
    try:
        write.result = write.fn(write.tx)
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        write.error = translate(error)
        if not driver.is_in_transaction():
            # The database abandoned the whole transaction, so none of the writes before this one was saved either.
            for other in before:
                other.error = other.error or write.error
            driver.begin(is_durable=is_durable)
            return
        driver.run("ROLLBACK TO SAVEPOINT write")
    driver.run("RELEASE SAVEPOINT write")


def fail_group(group: Sequence[PendingWrite[Any]], error: BaseException) -> None:
    """Record that the group's transaction failed."""
    failure = translate(error)
    log.error("a commit failed: %s", failure, exc_info=None if isinstance(failure, Unavailable) else failure)
    for write in group:
        write.error = write.error or failure


def deliver(group: Sequence[PendingWrite[Any]], *, on_commit: OnCommit) -> None:
    """Publish the outcome of a group that was committed or has failed. Runs on the event loop's thread."""
    for write in group:
        if write.tx is not None and write.error is None:
            for callback in write.tx.callbacks:
                _call(callback)
            if write.events:
                on_commit(write.events)
            if not write.future.done():
                write.future.set_result(write.result)
        elif not write.future.done():
            write.future.set_exception(write.error or Unavailable("the database was closed"))


def _call(callback: Callable[[], None]) -> None:
    try:
        callback()
    except Exception:  # a boundary: the transaction is committed, and the other writes wait for their results
        log.exception("a callback after a commit failed")
