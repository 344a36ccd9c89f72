"""Messages of each slot, handled strictly in their order: one that waits for a commit holds up those behind it."""

from collections.abc import Callable, Coroutine
from typing import Any

from safelight.dispatch.slots.slot import Slot, SlotMessage
from safelight.dispatch.tasks import Tasks

Work = Callable[[], Coroutine[Any, Any, None]]
"""The part of a message's handling that must wait. Not a coroutine yet: a server that stops may never start it."""


class Inbox:
    """``handle`` returns the work of a message that must wait. ``on_error``: handling a slot's message has failed."""

    def __init__(
        self,
        *,
        tasks: Tasks,
        handle: Callable[[Slot, SlotMessage], Work | None],
        on_error: Callable[[Slot, Exception], None],
    ) -> None:
        self._tasks = tasks
        self._handle = handle
        self._on_error = on_error
        self._is_closed = False

    def put(self, slot: Slot, message: SlotMessage) -> None:
        slot.inbox.append(message)
        self._run(slot)

    def resume(self, slot: Slot) -> None:
        """The claim of the slot's attempt has been committed, or has failed."""
        self._run(slot)

    def close(self) -> None:
        """Handle no further messages."""
        self._is_closed = True

    def _run(self, slot: Slot) -> None:
        """Handle messages up to one that must wait; continue when its work is done. None while the claim of the slot's
        attempt waits for its commit: what the engine says of it must come after the claim."""
        while slot.inbox and not (slot.is_busy or slot.is_unconfirmed or self._is_closed):
            try:
                work = self._handle(slot, slot.inbox.popleft())
            except Exception as error:
                self._on_error(slot, error)
                continue
            if work is not None:
                slot.is_busy = True
                self._tasks.spawn(self._wait_for(slot, work))

    async def _wait_for(self, slot: Slot, work: Work) -> None:
        try:
            await work()
        except Exception as error:
            self._on_error(slot, error)
        slot.is_busy = False
        self._run(slot)
