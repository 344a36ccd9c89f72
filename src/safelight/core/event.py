"""Events: past facts that the bus delivers to listeners.

Events of a job carry its owner and are delivered to that owner's sockets only. *Durable* events were written together
with the state change and are published after its commit. *Ephemeral* events (progress, previews, texts) are never
stored: the latest replaces the earlier ones, and a listener may miss any of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from safelight.core.batch import BatchId
from safelight.core.engine_kind import ONLY_OWN, OWN, EngineKind
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
    """Durable: the submit was committed. ``secrets`` are for the run only and stay in this process: they are never
    stored, shown, or sent to another server. ``traceparent``: of the request that submitted it, if that is traced."""

    pool: Pool = ANY
    engines: frozenset[EngineKind] = ONLY_OWN
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    traceparent: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStarted(JobEvent):
    """Durable: a slot claimed the job."""

    attempt: int
    slot: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReattached(JobEvent):
    """This server has reattached to an attempt that another one began. ``running`` and ``finished``: the state of its
    calls, which is not new to listeners that followed the other server."""

    attempt: int
    running: "Sequence[NodeCall]" = ()
    finished: "Sequence[NodeCall]" = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequeued(JobEvent):
    """Durable: the attempt was lost, and the job waits again."""

    reason: str
    pool: Pool = ANY
    engines: frozenset[EngineKind] = ONLY_OWN


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequested(JobEvent):
    """Durable: a cancel of a running job was requested."""

    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnded(JobEvent):
    """Durable, and the last event of a job: listeners can read its row. ``executed``: the ids of the calls that ran."""

    state: JobState
    error: JobError | None = None
    executed: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTimed(JobEvent):
    """Ephemeral: how long a completed job took on a kind of device. ``seconds``: of each call that ran, by its id."""

    device: str
    seconds: Mapping[str, float]
    total_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JobForgotten(JobEvent):
    """Durable: the owner has deleted a finished job from the history."""


# -- what happens to the calls of a running job --


@dataclass(frozen=True, slots=True)
class NodeCall:
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
    call: NodeCall


@dataclass(frozen=True, slots=True)
class CallProgressed:
    """Ephemeral. ``value`` of ``total`` steps."""

    call: NodeCall
    value: float
    total: float


@dataclass(frozen=True, slots=True)
class CallFinished:
    call: NodeCall


@dataclass(frozen=True, slots=True)
class CallBlocked:
    """An execution blocker that carries a message stopped the call; the job continues. ``message`` is as its author
    wrote it. ``executed``: the ids of the calls that had finished by then."""

    call: NodeCall
    node_type: str
    message: str
    executed: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class OutputMade:
    """A node's UI output; ``None`` where a cached output node has none. Listeners can view its files. ``cached``: it
    comes from the cache, and its call did not start."""

    call: NodeCall
    output: Mapping[str, Any] | None
    cached: bool = False


@dataclass(frozen=True, slots=True)
class PreviewMade:
    """Ephemeral. ``image`` is an encoded picture of type ``mime_type`` (``image/jpeg`` or ``image/png``)."""

    call: NodeCall
    image: bytes
    mime_type: str


@dataclass(frozen=True, slots=True)
class TextShown:
    """Ephemeral: a node shows a text while it runs."""

    call: NodeCall
    text: str


@dataclass(frozen=True, slots=True)
class MessageSent:
    """A message of a node pack to the job's client. The pack defines ``name`` and ``data``, which is plain data."""

    call: NodeCall
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
    """The number of the owner's active jobs (queued and running) has changed."""

    owner_id: UserId
    remaining: int


@dataclass(frozen=True, slots=True)
class PackMessageSent:
    """Ephemeral: a message of a node pack's route to the user who called it. ``client_id``: of one of their sockets;
    ``None``: to all of them."""

    owner_id: UserId
    client_id: ClientId | None
    name: str
    data: Any


@dataclass(frozen=True, slots=True)
class LogWritten:
    """Lines of the server's or a worker's log; ``owner_id`` is ``None`` for lines that only admins may see. ``job_id``:
    of the job that they are about, if any."""

    owner_id: UserId | None
    entries: Sequence[tuple[datetime, str]]
    job_id: JobId | None = None


@dataclass(frozen=True, slots=True)
class AccessChanged:
    """A user, a key or a session has changed. For the server itself; not sent to sockets."""


@dataclass(frozen=True, slots=True)
class GatesChanged:
    """An administrator has paused, drained or opened the queue or a slot. For the dispatcher; not sent to sockets.

    ``opened``: the slot that was opened, which may have been shut for its failures. ``is_at_once``: jobs that run
    behind a drained or closed gate go back to the queue."""

    gates: Gates
    opened: SlotId | None = None
    is_at_once: bool = False


@dataclass(frozen=True, slots=True)
class FilesChanged:
    """The owner's files have changed. For the server; not sent to sockets."""

    owner_id: UserId


@dataclass(frozen=True, slots=True)
class NodesChanged:
    """A worker has declared its nodes, which are stored. For the server; not sent to sockets."""

    digest: str
    engine: EngineKind = OWN


@dataclass(frozen=True, slots=True)
class LeaderChanged:
    """Another server is the leader from now on. For servers; not sent to sockets."""

    epoch: int


@dataclass(frozen=True, slots=True)
class BatchChanged:
    """Durable: the counts of a batch have changed, or its state."""

    owner_id: UserId
    batch_id: BatchId


@dataclass(frozen=True, slots=True)
class WebhookQueued:
    """A delivery is due. For the server that leads; not sent to sockets."""


@dataclass(frozen=True, slots=True)
class EventsMissed:
    """Events of other servers may have been missed: listeners that keep state must read it again. The events that
    clients must not miss are published after this one."""


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
    | BatchChanged
    | WebhookQueued
    | EventsMissed
)
