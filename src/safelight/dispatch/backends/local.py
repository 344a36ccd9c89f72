"""Engines as child processes of the server, one a slot."""

import asyncio
import sys
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path

from safelight.core.worker import SlotId
from safelight.dispatch.backend import Listener
from safelight.dispatch.backends.process import scrub
from safelight.dispatch.backends.slot_dirs import SlotDirs
from safelight.dispatch.backends.supervisor import Supervisor
from safelight.wire.config import EngineConfig
from safelight.wire.messages import ToEngine

ENGINE_COMMAND = (sys.executable, "-P", "-u", "-X", "faulthandler", "-m", "safelight.runtime.main")
"""``-P``: nothing is imported from the folder in which the server happens to run. A crash prints where it was."""


class LocalBackend:
    """The :class:`~safelight.dispatch.backend.Backend` of one machine.

    ``engines`` has a slot's configuration each; ``environment`` is the server's, of which engines get what
    :func:`~safelight.dispatch.backends.process.scrub` leaves, and what leads to their own folders in ``rooms``.
    """

    def __init__(
        self,
        engines: Mapping[SlotId, EngineConfig],
        *,
        environment: Mapping[str, str],
        command: Sequence[str] = ENGINE_COMMAND,
        rss_limit_bytes: int = 0,
        rooms: SlotDirs | None = None,
    ) -> None:
        self._rooms = rooms
        kept = scrub(environment)
        self._supervisors = {
            slot: Supervisor(
                slot,
                command=command,
                environment=kept if rooms is None else rooms.prepare(slot, kept),
                config=config,
                rss_limit_bytes=rss_limit_bytes,
                prepare=partial(rooms.renew, slot) if rooms is not None else lambda: None,
            )
            for slot, config in engines.items()
        }

    @property
    def slots(self) -> Sequence[SlotId]:
        return tuple(self._supervisors)

    @property
    def detached_s(self) -> float:
        return 0.0

    @property
    def copies_files(self) -> bool:
        return False

    async def start(self, listener: Listener) -> None:
        for supervisor in self._supervisors.values():
            supervisor.start(listener)

    def send(self, slot: SlotId, message: ToEngine) -> None:
        self._supervisors[slot].send(message)

    def kill(self, slot: SlotId, reason: str) -> None:
        self._supervisors[slot].kill(reason)

    def retire(self, slot: SlotId, reason: str) -> None:
        self._supervisors[slot].retire(reason)

    def restore(self, slot: SlotId) -> None:
        self._supervisors[slot].restore()

    async def stop(self, *, leaving: Collection[SlotId] = ()) -> None:
        await asyncio.gather(*(s.stop() for s in self._supervisors.values()))
        if self._rooms is not None:
            await asyncio.to_thread(self._rooms.clear)


def find_devices(driver_files: Path = Path("/dev")) -> Sequence[str]:
    """The machine's NVIDIA devices (``cuda:0`` ...), as the driver shows them: the server itself never asks torch.

    Empty where there is none: then each engine takes what torch offers it.
    """
    numbers = (path.name.removeprefix("nvidia") for path in driver_files.glob("nvidia[0-9]*"))
    return [f"cuda:{number}" for number in sorted(int(n) for n in numbers if n.isdigit())]
