"""Events: past facts that the bus delivers to listeners.

Events of a job carry its owner and are delivered to that owner's sockets only. *Durable* events were written together
with the state change and are published after its commit. *Ephemeral* events (progress, previews, texts) are never
stored: the latest replaces the earlier ones, and a listener may miss any of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from safelight.core.gate import Gates
from safelight.core.ids import ClientId, JobId, UserId
from safelight.core.job import JobError, JobState
from safelight.core.pool import ANY, Pool
from safelight.core.worker import SlotId


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    owner_id: UserId
    job_id: JobId
    client_id: ClientId | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQueued(JobEvent):
    """Durable: the submit was committed. ``secrets``, for the run only, stay in this process: they are never stored,
    shown or sent on by a bus."""

    pool: Pool = ANY
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStarted(JobEvent):
    """Durable: a slot claimed the job."""

    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReattached(JobEvent):
    """A server follows an attempt that another one began: where it is. ``running`` and ``finished`` are of class
    :class:`Call`; whoever has heard of them hears nothing new."""

    attempt: int
    running: "Sequence[Call]" = ()
    finished: "Sequence[Call]" = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequeued(JobEvent):
    """Durable: the worker was lost and the job waits again."""

    reason: str
    pool: Pool = ANY


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequested(JobEvent):
    """Durable: the owner wants a running job to end."""

    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnded(JobEvent):
    """Durable, and the last of a job: its row can be read by whoever hears this. ``executed``: calls that ran."""

    state: JobState
    error: JobError | None = None
    executed: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobForgotten(JobEvent):
    """Durable: the owner deleted a finished job from the history."""


# -- what happens to the calls of a running job --


@dataclass(frozen=True, slots=True)
class Call:
    """A call as progress shows it: its own id, the node that the user sees, the parent of an expansion."""

    id: str
    display_id: str
    parent_id: str | None
    real_id: str


@dataclass(frozen=True, slots=True)
class CallsCached:
    """The calls of the prompt whose results are known already. Comes once, before anything starts."""

    call_ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class CallStarted:
    call: Call


@dataclass(frozen=True, slots=True)
class CallProgressed:
    """Ephemeral. ``value`` of ``total`` steps."""

    call: Call
    value: float
    total: float


@dataclass(frozen=True, slots=True)
class CallFinished:
    call: Call


@dataclass(frozen=True, slots=True)
class CallBlocked:
    """An execution blocker that carries a message stopped the call; the job continues. ``message`` is as its author
    wrote it. ``executed``: the ids of the calls that had finished by then."""

    call: Call
    node_type: str
    message: str
    executed: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class OutputMade:
    """A node's UI output; ``None`` where a cached output node has none. Listeners can view its files. ``cached``: it
    comes from the cache, and its call did not start."""

    call: Call
    output: Mapping[str, Any] | None
    cached: bool = False


@dataclass(frozen=True, slots=True)
class PreviewMade:
    """Ephemeral. ``image`` is an encoded picture of type ``mime_type`` (``image/jpeg`` or ``image/png``)."""

    call: Call
    image: bytes
    mime_type: str


@dataclass(frozen=True, slots=True)
class TextShown:
    """Ephemeral: a node shows a text while it runs."""

    call: Call
    text: str


@dataclass(frozen=True, slots=True)
class MessageSent:
    """A message of a node pack to the job's client. The pack defines ``name`` and ``data``, which is plain data."""

    call: Call
    name: str
    data: Any


CallEvent = (
    CallsCached
    | CallStarted
    | CallProgressed
    | CallFinished
    | CallBlocked
    | OutputMade
    | PreviewMade
    | TextShown
    | MessageSent
)
"""The only vocabulary of a job's progress. ``graph`` and the worker emit these events, ``wire`` encodes them by class
name, and ``api/comfy/messages.py`` renders them for ComfyUI's clients. They carry no address: the job, its owner and
the time are added by :class:`CallReported`, on the server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReported(JobEvent):
    """The worker that runs the job reported ``event``."""

    event: CallEvent


# -- what concerns no single job --


@dataclass(frozen=True, slots=True)
class QueueChanged:
    """The number of the owner's active jobs changed (queued + running)."""

    owner_id: UserId
    remaining: int


@dataclass(frozen=True, slots=True)
class PackMessageSent:
    """Ephemeral: a node pack's route tells a client of whoever called it something. ``client_id``: of the socket;
    ``None``: all of the owner's."""

    owner_id: UserId
    client_id: ClientId | None
    name: str
    data: Any


@dataclass(frozen=True, slots=True)
class LogWritten:
    """Lines of the server's or a worker's log; ``owner_id`` is ``None`` for lines that only admins may see."""

    owner_id: UserId | None
    entries: Sequence[tuple[datetime, str]]


@dataclass(frozen=True, slots=True)
class AccessChanged:
    """Who may do what changed: a user, a key or a session. For the server itself; no socket hears of it."""


@dataclass(frozen=True, slots=True)
class GatesChanged:
    """An administrator paused, drained or opened the queue or a slot. For the dispatcher; no socket hears of it.

    ``opened``: the slot that was opened, which may have been shut for its losses. ``is_at_once``: what runs behind a
    gate that is drained or closed goes back to the queue."""

    gates: Gates
    opened: SlotId | None = None
    is_at_once: bool = False


@dataclass(frozen=True, slots=True)
class FilesChanged:
    """The owner's files are others than before. For the server; no socket hears of it."""

    owner_id: UserId


@dataclass(frozen=True, slots=True)
class NodesChanged:
    """A worker declared its nodes, which can be read by now. For the server; no socket hears of it."""

    digest: str


@dataclass(frozen=True, slots=True)
class LeaderChanged:
    """Another server leads from now on. For servers; no socket hears of it."""

    epoch: int


@dataclass(frozen=True, slots=True)
class EventsMissed:
    """Events of other servers may have been missed: whoever keeps what follows from events must look again. What
    clients must not miss comes after it."""


Event = (
    JobEvent
    | QueueChanged
    | PackMessageSent
    | LogWritten
    | AccessChanged
    | GatesChanged
    | FilesChanged
    | NodesChanged
    | LeaderChanged
    | EventsMissed
)
