"""A spare engine: a second engine of a slot that has started and waits, and takes the place of one that is lost.

An engine needs seconds until it is ready, most of them to import torch. A spare has that behind it. It is confined as
the slot's other engine is, and gets no message about a job before its turn. What it shares with the engine beside it is
the device: its home, its temporary files and its copies of node packs are its own.
"""

import logging

from safelight.core.worker import SlotId
from safelight.dispatch.backend import EngineListener
from safelight.wire.messages import LogLines, Ready, ToServer

log = logging.getLogger(__name__)


class WaitingListener:
    """Hears a spare engine. Mutable: its first message, which the slot's listener gets in its turn; and whether it is
    lost."""

    def __init__(self) -> None:
        self.ready: Ready | None = None
        self.is_lost = False

    def engine_ready(self, slot: SlotId, ready: Ready) -> None:
        self.ready = ready

    def engine_message(self, slot: SlotId, message: ToServer) -> None:
        """Nothing has been asked of it, so that what it says is for the log."""
        if isinstance(message, LogLines):
            for _, line in message.lines:
                log.info("spare worker of slot %s: %s", slot, line)

    def engine_lost(self, slot: SlotId, reason: str) -> None:
        self.is_lost = True

    def pass_on(self, slot: SlotId, listener: EngineListener) -> None:
        """It is the slot's engine now."""
        if self.ready is not None:
            listener.engine_ready(slot, self.ready)
