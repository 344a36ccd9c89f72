"""The port behind which engines run: local processes, a cluster, or a fake in tests.

Law: for each slot, messages arrive at the listener in the order in which the engine sent them, on the event loop's
thread; ``engine_lost`` comes once per engine, after its last message; after it the backend starts a fresh engine on
the slot, whose first word is ``engine_ready``. ``send`` to a slot without a ready engine is dropped. A slot that is
retired gets no fresh engine until it is restored.
"""

from collections.abc import Sequence
from typing import Protocol

from safelight.core.worker import SlotId
from safelight.wire.messages import Ready, ToEngine, ToServer


class Listener(Protocol):
    """Who hears of engines; the calls must return at once."""

    def engine_ready(self, slot: SlotId, ready: Ready) -> None: ...

    def engine_said(self, slot: SlotId, message: ToServer) -> None: ...

    def engine_lost(self, slot: SlotId, reason: str) -> None: ...


class Backend(Protocol):
    @property
    def slots(self) -> Sequence[SlotId]: ...

    async def start(self, listener: Listener) -> None:
        """Start an engine on every slot; returns at once, ``engine_ready`` follows."""
        ...

    def send(self, slot: SlotId, message: ToEngine) -> None: ...

    def kill(self, slot: SlotId, reason: str) -> None:
        """End the slot's engine and all its children at once; ``engine_lost`` with that reason follows."""
        ...

    def retire(self, slot: SlotId, reason: str) -> None:
        """:meth:`kill`, and leave the slot's device to others."""
        ...

    def restore(self, slot: SlotId) -> None:
        """Start an engine on a retired slot."""
        ...

    async def stop(self) -> None:
        """End all engines; nothing is said to the listener after this returns."""
        ...
