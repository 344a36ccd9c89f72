"""The messages between the server and an engine process.

Every message about a job carries its fence ``(job_id, attempt)``: the receiver drops messages of an attempt that is
over. Values are plain data (msgpack): never pickles, never tensors.
"""

from collections.abc import Sequence
from typing import Any, Self

import msgspec

from safelight.core.event import CallEvent, OutputMade
from safelight.core.job import JobError, JobState
from safelight.core.node import NodeSchema
from safelight.core.worker import EngineInfo
from safelight.wire import call_events


class Message(msgspec.Struct, frozen=True, tag=True, kw_only=True, omit_defaults=True):
    """Tagged with its class name."""


class JobMessage(Message, frozen=True, kw_only=True):
    job_id: str
    attempt: int


# -- server -> engine --


class FileRef(msgspec.Struct, frozen=True):
    """One of the owner's files that the prompt may name; the engine can read ``path``. It is empty in a message to a
    machine that fetches files itself."""

    digest: str
    size: int
    mime_type: str
    path: str


class RunJob(JobMessage, frozen=True, kw_only=True):
    """Run ``targets`` (output calls) of ``prompt``.

    ``files``: by every string of the prompt that names one of the owner's files, as it is written there
    (``a.png``, ``sub/b.png [output]``). Outputs are written under ``staging`` and reported with :class:`OutputReady`.
    ``extra_pnginfo`` is written to saved files; ``secrets`` (partner keys) are given to nodes that request them only.
    ``has_retry``: whether the job runs again if this attempt is lost, so that an engine that ran out of memory may end
    itself.
    """

    owner_id: str
    prompt: dict[str, Any]
    targets: list[str]
    staging: str
    files: dict[str, FileRef] = {}
    extra_pnginfo: dict[str, Any] | None = None
    secrets: dict[str, str] = {}
    preview_method: str | None = None
    has_retry: bool = True


class CancelJob(JobMessage, frozen=True, kw_only=True):
    """Stop at the next node, or at the next progress report of a node."""


class ValidateInputs(Message, frozen=True, kw_only=True):
    """Validate the inputs of the nodes that ``targets`` depend on (``VALIDATE_INPUTS``). No node runs.

    ``prompt`` and ``files`` are as in :class:`RunJob`. Answered also while a job runs.
    """

    request_id: int
    owner_id: str
    prompt: dict[str, Any]
    targets: list[str]
    files: dict[str, FileRef] = {}


class ModelToExamine(msgspec.Struct, frozen=True):
    """``folder``: the model folder that the prompt takes it from."""

    folder: str
    path: str


class ExamineModels(Message, frozen=True, kw_only=True):
    """Ask which of these model files the engine cannot load. Only their headers are read. Answered also while a job
    runs; sent to Safelight's own engine only."""

    request_id: int
    files: list[ModelToExamine]


class NamesReserved(Message, frozen=True, kw_only=True):
    """The answer to :class:`ReserveNames`."""

    request_id: int
    first: int


class FilesChecked(Message, frozen=True, kw_only=True):
    """The answer to :class:`CheckFiles`: the positions of the files that are gone."""

    request_id: int
    gone: list[int]


class FreeMemory(Message, frozen=True, kw_only=True):
    unload_models: bool = False
    free_memory: bool = False


class PackRequest(Message, frozen=True, kw_only=True):
    """A request for a route of a node pack. ``path``: as the client sent it, with its query. No credentials."""

    request_id: int
    method: str
    path: str
    headers: list[tuple[str, str]] = []
    body: bytes = b""


class Ping(Message, frozen=True, kw_only=True):
    sequence: int


class Stop(Message, frozen=True, kw_only=True):
    """End the process after the current job."""


# -- engine -> server --

MAX_PACK_BODY_BYTES = 128 * 1024 * 1024
"""Largest body of a request to a node pack's route, and of the response."""


class PackRoute(msgspec.Struct, frozen=True):
    """A route of a node pack. ``pattern``: a regular expression that matches the whole decoded path."""

    method: str
    pattern: str
    pack: str = ""
    """The name of the pack's folder."""


class Ready(Message, frozen=True, kw_only=True):
    """The first message of an engine: what it runs on, and every node that it can run."""

    info: EngineInfo
    nodes: list[NodeSchema]
    failed_packs: dict[str, str] = {}
    """Node packs that could not be imported, with the reason of each."""
    web_directories: dict[str, str] = {}
    """Web folders of node packs, by the pack's name."""
    routes: list[PackRoute] = []
    unkept_rules: list[str] = []
    """A sentence for each confinement rule that the system cannot enforce."""
    lacks: list[str] = []
    """A sentence for each part of a ComfyUI that this engine cannot use, and what is missing for that reason."""


class Pong(Message, frozen=True, kw_only=True):
    sequence: int
    info: EngineInfo
    rss: int
    """Resident memory in bytes."""


class InputsValidated(Message, frozen=True, kw_only=True):
    """The answer to :class:`ValidateInputs`: by call id, why a node rejects its inputs, or ``None`` if it
    gives no reason."""

    request_id: int
    violations: dict[str, str | None] = {}


class ModelsExamined(Message, frozen=True, kw_only=True):
    """The answer to :class:`ExamineModels`: by path, why the engine cannot load the file."""

    request_id: int
    unusable: dict[str, str] = {}


class PackResponse(Message, frozen=True, kw_only=True):
    """The answer to :class:`PackRequest`."""

    request_id: int
    status: int
    headers: list[tuple[str, str]] = []
    body: bytes = b""


class PackMessage(Message, frozen=True, kw_only=True):
    """A message of the handler of a :class:`PackRequest` to the user who sent the request. ``client_id``: of one of
    their sockets; empty: to all of them."""

    request_id: int
    name: str
    data: Any
    client_id: str = ""


class CallReport(JobMessage, frozen=True, kw_only=True):
    """An event of a call: the name of its class, and its fields as plain data."""

    kind: str
    fields: dict[str, Any]

    def __post_init__(self) -> None:
        call_events.from_fields(self.kind, self.fields)  # a report that cannot be read is rejected where it arrives

    @classmethod
    def of(cls, fence: tuple[str, int], event: CallEvent) -> Self:
        """Raises :class:`TypeError` for an event with values that are not plain data."""
        job_id, attempt = fence
        return cls(job_id=job_id, attempt=attempt, kind=type(event).__name__, fields=call_events.to_fields(event))

    @property
    def event(self) -> CallEvent:
        return call_events.from_fields(self.kind, self.fields)


class SavedFile(msgspec.Struct, frozen=True):
    """A finished file in the job's staging folder, and the name under which the owner will find it.

    ``sha256``: set by the engine's machine when it has stored the file; engines leave it empty.
    """

    folder: str
    subfolder: str
    filename: str
    path: str
    size: int
    digest: str
    mime_type: str
    sha256: str = ""


class OutputReady(JobMessage, frozen=True, kw_only=True):
    """A call's UI output, with the files that it names and that are not in the store yet."""

    made: OutputMade
    files: list[SavedFile] = []


class ReserveNames(JobMessage, frozen=True, kw_only=True):
    """Request ``count`` consecutive free numbers for names such as ``<prefix>_00001_`` in the owner's folder."""

    request_id: int
    folder: str
    subfolder: str
    prefix: str
    count: int = 1


class KeptFile(msgspec.Struct, frozen=True):
    """A file that an earlier job of the owner has saved."""

    folder: str
    subfolder: str
    filename: str
    digest: str


class CheckFiles(JobMessage, frozen=True, kw_only=True):
    """Ask which of the files that cached results name are gone: the owner has deleted or replaced them."""

    request_id: int
    files: list[KeptFile]


class JobDone(JobMessage, frozen=True, kw_only=True):
    """The last message of an attempt. ``executed``: the ids of the calls that ran."""

    outcome: JobState
    error: JobError | None = None
    executed: list[str] = []
    device_s: float = 0.0
    """Seconds for which the attempt occupied the device."""


class AttemptLost(JobMessage, frozen=True, kw_only=True):
    """The attempt cannot continue, and its node is not to blame: its files cannot be copied, its folder is gone, a disk
    is full. The last message of the attempt; the loss of its engine follows."""

    reason: str


class LogLines(Message, frozen=True, kw_only=True):
    """Lines that the engine has printed; ``at_ms`` since the epoch. ``job_id``: of the job that was running."""

    lines: Sequence[tuple[int, str]]
    job_id: str | None = None


ToEngine = (
    RunJob
    | CancelJob
    | ValidateInputs
    | ExamineModels
    | NamesReserved
    | FilesChecked
    | PackRequest
    | FreeMemory
    | Ping
    | Stop
)
ToServer = (
    Ready
    | Pong
    | InputsValidated
    | ModelsExamined
    | PackResponse
    | PackMessage
    | CallReport
    | OutputReady
    | ReserveNames
    | CheckFiles
    | JobDone
    | AttemptLost
    | LogLines
)
