"""A job: one run of a prompt, and the state machine of its life.

States: ``QUEUED -> RUNNING -> COMPLETED | FAILED | CANCELLED``. A running job may go back to ``QUEUED`` when its
worker was lost (``requeue``). An attempt is one try; the *fence* ``(job_id, attempt)`` guards every effect that a
worker has, so that a worker that was given up cannot touch a later attempt.

Invariants: exactly one terminal state; ``attempt`` never falls; a terminal job never changes again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from safelight.core.batch import BatchId
from safelight.core.engine_kind import ONLY_OWN, EngineKind
from safelight.core.errors import Conflict
from safelight.core.ids import ClientId, JobId, UserId, shown_job_id
from safelight.core.pool import ANY, Pool, QueueKey, Requirements


class JobState(StrEnum):
    QUEUED = "queued"  # durable; waits for a slot
    RUNNING = "running"  # claimed by a slot under the current fence
    COMPLETED = "completed"  # every requested output was produced
    FAILED = "failed"  # a node raised, or the workers were lost; ``error`` says why
    CANCELLED = "cancelled"  # cancelled by the owner, before or during the run

    @property
    def is_terminal(self) -> bool:
        return self in TERMINAL


TERMINAL = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED})
ACTIVE = frozenset({JobState.QUEUED, JobState.RUNNING})


@dataclass(frozen=True, slots=True)
class Fence:
    """The right to affect a job: valid while the job runs under exactly this attempt."""

    job_id: JobId
    attempt: int


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job failed, in the contract's shape (``ExecutionError``). ``node_id`` is "" if no node is to blame."""

    exception_type: str
    exception_message: str
    node_id: str = ""
    node_type: str = ""
    traceback: Sequence[str] = ()
    current_inputs: Mapping[str, Any] = field(default_factory=dict)
    current_outputs: Sequence[str] = ()
    executed: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class JobSummary:
    """The part of a job that lists show: everything except its graph and the details of its outputs."""

    id: JobId
    owner_id: UserId
    state: JobState
    attempt: int
    number: float
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    client_id: ClientId | None = None
    workflow_id: str | None = None
    outputs_count: int = 0
    preview_output: Mapping[str, Any] | None = None
    error: JobError | None = None
    cancel_requested: bool = False
    pool: Pool = ANY
    models: Sequence[str] = ()
    """The model files that its prompt names, as they are written there."""
    engines: frozenset[EngineKind] = ONLY_OWN
    """The engine kinds that can run it."""
    releases: int = 0
    """Attempts that the server requeued in good order: they count for the fence, but not as retries."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """The owner's own labels (``metadata`` of Comfy API v2), by which jobs are found again (``core/job_label.py``)."""
    node_count: int | None = None
    """The nodes of its prompt, for progress; ``None`` for jobs of older versions."""
    batch_id: BatchId | None = None
    batch_index: int | None = None
    """Which job of its batch it is, from 0."""

    @property
    def shown_id(self) -> str:
        """The id that the owner sees."""
        return shown_job_id(self.id)

    @property
    def requirements(self) -> Requirements:
        return Requirements(self.pool, self.engines)

    @property
    def queue_key(self) -> QueueKey:
        return QueueKey(self.owner_id, self.pool, self.engines)

    @property
    def tries(self) -> int:
        """Attempts that count as retries, including this one."""
        return self.attempt - self.releases


@dataclass(frozen=True, slots=True)
class Job:
    """A whole job. ``outputs`` and ``meta`` are by node id; ``messages`` is the timeline that history shows."""

    summary: JobSummary
    prompt: Mapping[str, Any]
    targets: Sequence[str]
    extra_data: Mapping[str, Any]
    outputs: Mapping[str, Any] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)
    messages: Sequence[tuple[str, Mapping[str, Any]]] = ()

    @property
    def id(self) -> JobId:
        return self.summary.id

    @property
    def shown_id(self) -> str:
        return self.summary.shown_id


def claim(job: JobSummary, now: datetime) -> JobSummary:
    """A slot takes a queued job: the attempt, and with it the fence, is incremented."""
    if job.state is not JobState.QUEUED:
        raise Conflict(f"job {job.id} is {job.state}, not queued")
    return replace(job, state=JobState.RUNNING, attempt=job.attempt + 1, started_at=now, updated_at=now)


def finish(
    job: JobSummary, fence: Fence, outcome: JobState, now: datetime, error: JobError | None = None
) -> JobSummary:
    """The only way from a run to a terminal state. Raises :class:`Conflict` for an outdated fence."""
    if not outcome.is_terminal:
        raise ValueError(f"{outcome} is not a terminal state")
    if job.state is not JobState.RUNNING or fence != Fence(job.id, job.attempt):
        raise Conflict(f"job {job.id} is {job.state} under attempt {job.attempt}: attempt {fence.attempt} is outdated")
    return replace(job, state=outcome, ended_at=now, updated_at=now, error=error)


def request_cancel(job: JobSummary, now: datetime) -> JobSummary:
    """Queued: cancelled immediately. Running: marked, and the worker is asked to stop. Terminal: unchanged."""
    if job.state is JobState.QUEUED:
        return replace(job, state=JobState.CANCELLED, ended_at=now, updated_at=now, cancel_requested=True)
    if job.state is JobState.RUNNING:
        return replace(job, cancel_requested=True, updated_at=now)
    return job
