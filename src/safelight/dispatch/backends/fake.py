"""A backend without engines, for tests of what uses one: it says what a script or the test tells it to say."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from safelight.core.worker import SlotId
from safelight.dispatch.backend import Listener
from safelight.dispatch.journal import Work
from safelight.wire.messages import JobDone, NamesReserved, Ready, RunJob, ToEngine, ToServer


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
    ``works``: what its engines were sent last; those that it begins with come from an earlier server. ``late``: the
    slots that say nothing before :meth:`begin`; ``left``: those that were left to the next server.
    """

    def __init__(
        self,
        slots: Sequence[SlotId],
        *,
        ready: Ready,
        script: Script = _silent,
        detached_s: float = 0.0,
        copies_files: bool = False,
        works: Mapping[SlotId, Work] | None = None,
        late: Collection[SlotId] = (),
    ) -> None:
        self.slots = tuple(slots)
        self.detached_s = detached_s
        self.copies_files = copies_files
        self.left: list[SlotId] = []
        self.works = dict(works or {})
        self._late = late
        self._passing: set[SlotId] = set()
        self.sent: list[tuple[SlotId, ToEngine]] = []
        self._ready = ready
        self._script = script
        self._listener: Listener | None = None
        self.engines: dict[SlotId, int] = dict.fromkeys(self.slots, 0)
        self._alive: set[SlotId] = set()
        self._retired: set[SlotId] = set()

    async def start(self, listener: Listener) -> None:
        self._listener = listener
        self._retired.clear()
        for slot in self.slots:
            if slot not in self._late:
                self.begin(slot)

    def begin(self, slot: SlotId) -> None:
        """The slot's first engine has its first word."""
        self._soon(self._begin, slot)

    def send(self, slot: SlotId, message: ToEngine) -> None:
        if slot not in self._alive:
            return
        self.sent.append((slot, message))
        match message:
            case RunJob():
                self.works[slot] = Work(message, ready=self._ready, generation=self.engines[slot])
            case NamesReserved() if slot in self.works:
                self.works[slot].answered(message.request_id, message.first)
        for answer in self._script(message):
            if isinstance(answer, Crash):
                self.crash(slot, answer.reason)
            else:
                self.say(slot, answer)

    def say(self, slot: SlotId, message: ToServer) -> None:
        """The slot's engine says ``message``, unless it is gone by then."""
        engine = self.engines[slot]

        def deliver(listener: Listener) -> None:
            if slot in self._alive and self.engines[slot] == engine:
                if slot in self.works:
                    self.works[slot].heard(message, at_ms=0)
                listener.engine_message(slot, message)
                if isinstance(message, JobDone) and slot in self._passing:
                    self._die(listener, slot, "the server was started anew")

        self._soon(deliver)

    def crash(self, slot: SlotId, reason: str) -> None:
        """The slot's engine dies after what it said so far, and a fresh one starts."""
        engine = self.engines[slot]

        def die(listener: Listener) -> None:
            if slot in self._alive and self.engines[slot] == engine:
                self._die(listener, slot, reason)

        self._soon(die)

    def kill(self, slot: SlotId, reason: str) -> None:
        self.crash(slot, reason)

    def retire(self, slot: SlotId, reason: str) -> None:
        self._retired.add(slot)
        self.crash(slot, reason)

    def restore(self, slot: SlotId) -> None:
        self._retired.discard(slot)
        self._soon(self._begin, slot)

    async def stop(self, *, leaving: Collection[SlotId] = ()) -> None:
        self._listener = None
        self.left = sorted(leaving)
        self._alive.clear()

    def _die(self, listener: Listener, slot: SlotId, reason: str) -> None:
        self._alive.discard(slot)
        self._passing.discard(slot)
        self.works.pop(slot, None)
        listener.engine_lost(slot, reason)
        if slot not in self._retired:
            self._soon(self._begin, slot)

    def _begin(self, listener: Listener, slot: SlotId) -> None:
        if slot in self._alive or slot in self._retired:
            return
        self.engines[slot] += 1
        self._alive.add(slot)
        work = self.works.get(slot)
        if work is None:
            listener.engine_ready(slot, self._ready)
            return
        self._passing.add(slot)
        journal = work.journal()
        listener.engine_reattached(slot, work.ready, journal)
        if journal.is_over:
            self._die(listener, slot, "the server was started anew")

    def _soon(self, act: Callable[..., None], *arguments: object) -> None:
        """Calls come from the loop, in order, never from inside the caller; none after ``stop``."""

        def call() -> None:
            if self._listener is not None:
                act(self._listener, *arguments)

        asyncio.get_running_loop().call_soon(call)
