"""Which socket receives which events. Events go to their owner's sockets only; administrators also receive log lines.

A job's messages go to the sockets that connected with the job's client id; if there is none, or the job has no client
id, to all of the owner's sockets (WS-1). ``status`` goes to all of the owner's sockets. Two sockets with the same
client id both receive everything.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from safelight.api.comfy.frame import Frame, text_frame
from safelight.api.comfy.live import LiveJob, LiveJobs
from safelight.api.comfy.messages import frames, job_done, status
from safelight.api.comfy.outbox import Outbox
from safelight.api.comfy.snapshot import snapshot_of
from safelight.bus.bus import Bus
from safelight.core.event import Event, JobEnded, JobEvent, LogWritten, PackMessageSent, QueueChanged
from safelight.core.ids import ClientId, UserId
from safelight.core.user import Principal

MAX_SOCKETS = 256
"""Open sockets of one owner."""


@dataclass(slots=True, eq=False)
class Socket:
    """One connection of a client. ``is_rich``: see :class:`~safelight.api.comfy.frame.Audience`. Mutable: its flags."""

    principal: Principal
    client_id: ClientId
    close: Callable[[], None]
    outbox: Outbox = field(default_factory=Outbox)
    is_rich: bool = False
    wants_logs: bool = False


class Hub:
    """Mutable: the open sockets by owner, the running jobs, and ended jobs whose last message is not sent yet."""

    def __init__(self, bus: Bus) -> None:
        self._sockets: dict[UserId, list[Socket]] = {}
        self._live = LiveJobs()
        self._ended: dict[UserId, list[LiveJob]] = {}
        self._unsubscribe = bus.subscribe(self._on_event)

    def add(self, socket: Socket) -> bool:
        """``False`` where the owner has :data:`MAX_SOCKETS` already."""
        sockets = self._sockets.setdefault(socket.principal.user_id, [])
        if len(sockets) >= MAX_SOCKETS:
            return False
        sockets.append(socket)
        return True

    def remove(self, socket: Socket) -> None:
        """Remove this socket; a newer one with the same client id stays (WS-3)."""
        sockets = self._sockets.get(socket.principal.user_id, [])
        if socket in sockets:
            sockets.remove(socket)
        if not sockets:
            self._sockets.pop(socket.principal.user_id, None)

    @property
    def socket_count(self) -> int:
        return sum(len(sockets) for sockets in self._sockets.values())

    def has(self, owner: UserId) -> bool:
        return owner in self._sockets

    def snapshot(self, socket: Socket) -> list[Frame]:
        """The state of the running jobs whose messages a socket that has just connected will receive."""
        owner = socket.principal.user_id
        return snapshot_of(job for job in self._live.of(owner) if socket in self._listeners(owner, job.client_id))

    def listen_to_logs(self, who: Principal, *, client_id: ClientId, enabled: bool) -> None:
        for socket in self._sockets.get(who.user_id, ()):
            if socket.client_id == client_id:
                socket.wants_logs = enabled

    def close(self) -> None:
        """Unsubscribe from events and close every socket."""
        self._unsubscribe()
        for sockets in list(self._sockets.values()):
            for socket in list(sockets):
                socket.close()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, JobEvent):
            job = self._live.feed(event)
            if listeners := self._listeners(event.owner_id, event.client_id):
                self._send(listeners, frames(event, job))
            if isinstance(event, JobEnded):
                self._await_status(job)
        elif isinstance(event, QueueChanged):
            self._send(self._sockets.get(event.owner_id, ()), [status(event.remaining)])
            self._send_ends(event.owner_id)
        elif isinstance(event, PackMessageSent):
            sockets = self._sockets.get(event.owner_id, ())
            wanted = [s for s in sockets if event.client_id in (None, s.client_id)]
            self._send(wanted, [text_frame(event.name, event.data)])
        elif isinstance(event, LogWritten):
            self._send_logs(event)

    def _await_status(self, job: LiveJob) -> None:
        """``executing {node: null}`` is the last message of a job, after the ``status`` with the lower count. That
        event is published together with the end; if it is not, the last message is sent without it."""
        self._ended.setdefault(job.owner_id, []).append(job)
        asyncio.get_running_loop().call_soon(self._send_ends, job.owner_id)

    def _send_ends(self, owner: UserId) -> None:
        for job in self._ended.pop(owner, ()):
            self._send(self._listeners(owner, job.client_id), job_done(job))

    def _send_logs(self, event: LogWritten) -> None:
        entries = [{"t": at.isoformat(), "m": message} for at, message in event.entries]
        frame = text_frame("logs", {"entries": entries, "size": None}, key="logs")
        for owner, sockets in list(self._sockets.items()):
            self._send(
                [s for s in sockets if s.wants_logs and (s.principal.is_admin or owner == event.owner_id)], [frame]
            )

    def _listeners(self, owner: UserId, client_id: ClientId | None) -> list[Socket]:
        sockets = self._sockets.get(owner, [])
        return [s for s in sockets if s.client_id == client_id] or sockets

    def _send(self, sockets: Sequence[Socket], messages: Sequence[Frame]) -> None:
        for socket in list(sockets):
            wanted = (frame for frame in messages if frame.is_for(rich=socket.is_rich))
            if not all(socket.outbox.put(frame) for frame in wanted):
                socket.close()
