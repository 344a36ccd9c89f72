"""A backend without engines, for tests of what uses one: it says what a script or the test tells it to say."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from safelight.core.worker import SlotId
from safelight.dispatch.backend import Listener
from safelight.wire.messages import Ready, ToEngine, ToServer


@dataclass(frozen=True)
class Crash:
    """In a script's answer: the engine dies here."""

    reason: str


Script = Callable[[ToEngine], Iterable[ToServer | Crash]]


def _silent(message: ToEngine) -> Iterable[ToServer | Crash]:
    return ()


class FakeBackend:
    """Keeps the law of :class:`~safelight.dispatch.backend.Backend`. Mutable: ``sent`` grows with what was sent.

    ``script`` answers each message that reaches an engine; a test may also :meth:`say` and :meth:`crash` by hand.
    """

    def __init__(self, slots: Sequence[SlotId], *, ready: Ready, script: Script = _silent) -> None:
        self.slots = tuple(slots)
        self.sent: list[tuple[SlotId, ToEngine]] = []
        self._ready = ready
        self._script = script
        self._listener: Listener | None = None
        self._engines: dict[SlotId, int] = dict.fromkeys(self.slots, 0)
        self._alive: set[SlotId] = set()
        self._retired: set[SlotId] = set()

    async def start(self, listener: Listener) -> None:
        self._listener = listener
        for slot in self.slots:
            self._soon(self._begin, slot)

    def send(self, slot: SlotId, message: ToEngine) -> None:
        if slot not in self._alive:
            return
        self.sent.append((slot, message))
        for answer in self._script(message):
            if isinstance(answer, Crash):
                self.crash(slot, answer.reason)
            else:
                self.say(slot, answer)

    def say(self, slot: SlotId, message: ToServer) -> None:
        """The slot's engine says ``message``, unless it is gone by then."""
        engine = self._engines[slot]

        def deliver(listener: Listener) -> None:
            if slot in self._alive and self._engines[slot] == engine:
                listener.engine_said(slot, message)

        self._soon(deliver)

    def crash(self, slot: SlotId, reason: str) -> None:
        """The slot's engine dies after what it said so far, and a fresh one starts."""
        engine = self._engines[slot]

        def die(listener: Listener) -> None:
            if slot in self._alive and self._engines[slot] == engine:
                self._alive.discard(slot)
                listener.engine_lost(slot, reason)
                if slot not in self._retired:
                    self._soon(self._begin, slot)

        self._soon(die)

    def kill(self, slot: SlotId, reason: str) -> None:
        self.crash(slot, reason)

    def retire(self, slot: SlotId, reason: str) -> None:
        self._retired.add(slot)
        self.crash(slot, reason)

    def restore(self, slot: SlotId) -> None:
        self._retired.discard(slot)
        self._soon(self._begin, slot)

    async def stop(self) -> None:
        self._listener = None
        self._alive.clear()

    def _begin(self, listener: Listener, slot: SlotId) -> None:
        if slot in self._alive:
            return
        self._engines[slot] += 1
        self._alive.add(slot)
        listener.engine_ready(slot, self._ready)

    def _soon(self, act: Callable[..., None], *arguments: object) -> None:
        """Calls come from the loop, in order, never from inside the caller; none after ``stop``."""

        def call() -> None:
            if self._listener is not None:
                act(self._listener, *arguments)

        asyncio.get_running_loop().call_soon(call)
