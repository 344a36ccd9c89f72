"""A backend without engines, for tests: it sends the messages that a script or the test itself chooses."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from safelight.core.worker import SlotId
from safelight.dispatch.backend import Listener
from safelight.dispatch.journal import JournalWriter
from safelight.wire.messages import JobDone, NamesReserved, Ready, RunJob, ToEngine, ToServer


@dataclass(frozen=True)
class Crash:
    """In a script's answer: the engine dies here."""

    reason: str


Script = Callable[[ToEngine], Iterable[ToServer | Crash]]


def _silent(message: ToEngine) -> Iterable[ToServer | Crash]:
    return ()


class FakeBackend:
    """Keeps the law of :class:`~safelight.dispatch.backend.Backend`. Mutable: ``sent`` grows with what was sent."""

    def __init__(
        self,
        slots: Sequence[SlotId],
        *,
        ready: Ready,
        script: Script = _silent,
        detached_s: float = 0.0,
        copies_files: bool = False,
        journals: Mapping[SlotId, JournalWriter] | None = None,
        late: Collection[SlotId] = (),
    ) -> None:
        """``script`` answers each message that reaches an engine; a test may also call :meth:`say` and :meth:`crash`.
        ``journals``: the attempts that an earlier server sent. ``late``: slots that are silent until :meth:`begin`."""
        self.slots = tuple(slots)
        self.detached_s = detached_s
        self.copies_files = copies_files
        self.detached: list[SlotId] = []
        self.journals = dict(journals or {})
        self._late = late
        self._inherited: set[SlotId] = set()
        self.sent: list[tuple[SlotId, ToEngine]] = []
        self._ready = ready
        self._script = script
        self._listener: Listener | None = None
        self.engines: dict[SlotId, int] = dict.fromkeys(self.slots, 0)
        self._alive: set[SlotId] = set()
        self._drained: set[SlotId] = set()

    async def start(self, listener: Listener) -> None:
        self._listener = listener
        self._drained.clear()
        for slot in self.slots:
            if slot not in self._late:
                self.begin(slot)

    def begin(self, slot: SlotId) -> None:
        """The slot's first engine sends its first message."""
        self._soon(self._begin, slot)

    def send(self, slot: SlotId, message: ToEngine) -> None:
        if slot not in self._alive:
            return
        self.sent.append((slot, message))
        match message:
            case RunJob():
                self.journals[slot] = JournalWriter(message, ready=self._ready, generation=self.engines[slot])
            case NamesReserved() if slot in self.journals:
                self.journals[slot].record_numbers(message.request_id, message.first)
        for answer in self._script(message):
            if isinstance(answer, Crash):
                self.crash(slot, answer.reason)
            else:
                self.say(slot, answer)

    def say(self, slot: SlotId, message: ToServer) -> None:
        """The slot's engine sends ``message``, unless it is gone by then."""
        engine = self.engines[slot]

        def deliver(listener: Listener) -> None:
            if slot in self._alive and self.engines[slot] == engine:
                if slot in self.journals:
                    self.journals[slot].record(message, at_ms=0)
                listener.engine_message(slot, message)
                if isinstance(message, JobDone) and slot in self._inherited:
                    self._die(listener, slot, "the server was restarted")

        self._soon(deliver)

    def crash(self, slot: SlotId, reason: str) -> None:
        """The slot's engine dies after the messages that it has sent, and a fresh one starts."""
        engine = self.engines[slot]

        def die(listener: Listener) -> None:
            if slot in self._alive and self.engines[slot] == engine:
                self._die(listener, slot, reason)

        self._soon(die)

    def kill(self, slot: SlotId, reason: str) -> None:
        self.crash(slot, reason)

    def drain(self, slot: SlotId, reason: str) -> None:
        self._drained.add(slot)
        self.crash(slot, reason)

    def resume(self, slot: SlotId) -> None:
        self._drained.discard(slot)
        self._soon(self._begin, slot)

    async def stop(self, *, detach: Collection[SlotId] = ()) -> None:
        self._listener = None
        self.detached = sorted(detach)
        self._alive.clear()

    def _die(self, listener: Listener, slot: SlotId, reason: str) -> None:
        self._alive.discard(slot)
        self._inherited.discard(slot)
        self.journals.pop(slot, None)
        listener.engine_lost(slot, reason)
        if slot not in self._drained:
            self._soon(self._begin, slot)

    def _begin(self, listener: Listener, slot: SlotId) -> None:
        if slot in self._alive or slot in self._drained:
            return
        self.engines[slot] += 1
        self._alive.add(slot)
        writer = self.journals.get(slot)
        if writer is None:
            listener.engine_ready(slot, self._ready)
            return
        self._inherited.add(slot)
        journal = writer.journal()
        listener.engine_reattached(slot, writer.ready, journal)
        if journal.is_over:
            self._die(listener, slot, "the server was restarted")

    def _soon(self, act: Callable[..., None], *arguments: object) -> None:
        """Call the listener from the event loop, in order, never from inside the caller, and not after ``stop``."""

        def call() -> None:
            if self._listener is not None:
                act(self._listener, *arguments)

        asyncio.get_running_loop().call_soon(call)
