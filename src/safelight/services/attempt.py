"""What the dispatcher does to jobs. Every function but the claim needs the fence ``(job_id, attempt)`` that a claim
returned; an outdated fence is refused with :class:`Conflict`, and nothing is written.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from safelight.core import job as rules
from safelight.core import retry as retry_rule
from safelight.core.asset import Asset
from safelight.core.errors import Conflict, NotFound
from safelight.core.event import CallReported, Event, JobEnded, JobRequeued, JobStarted, OutputMade, QueueChanged
from safelight.core.ids import JobId, UserId
from safelight.core.job import Fence, Job, JobError, JobState, JobSummary
from safelight.core.output import Output, by_node, summarise
from safelight.core.pool import QueueKey, Requirements
from safelight.core.user import Principal
from safelight.core.worker import SlotId
from safelight.db import asset as asset_rows
from safelight.db import attempt as rows
from safelight.db import job as job_rows
from safelight.db import queue_depth
from safelight.db.transaction import Transaction
from safelight.services import job_end, named_files
from safelight.services import quota as quotas
from safelight.services.prompt_files import folders_of, strings_of
from safelight.services.timeline import Cached, messages


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """``job``: now running, under its attempt; ``files``: the owner's files that its prompt names, as it names them.

    ``weight`` and ``run_limit_s``: its owner's; ``has_more``: another job waits under its key. Of the
    keys that were read, ``idle`` have no waiting job, and the owners of ``at_limit`` are at their concurrency limit.
    """

    job: Job | None
    weight: float = 1.0
    run_limit_s: float | None = None
    has_more: bool = False
    files: Mapping[str, Asset] = field(default_factory=dict)
    idle: Sequence[QueueKey] = ()
    at_limit: Sequence[QueueKey] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reattached:
    """An attempt that another server began. ``files``, ``weight`` and ``run_limit_s``: as in :class:`Claim`;
    ``recorded``: the number of its outputs that are stored."""

    job: Job
    weight: float
    run_limit_s: float | None
    files: Mapping[str, Asset]
    recorded: int


Choose = Callable[[Iterable[JobSummary]], JobSummary | None]
"""Receives the next job of each key, in the order of the keys and read lazily; returns the one to start, if any."""


def first(heads: Iterable[JobSummary]) -> JobSummary | None:
    return next(iter(heads), None)


def claim_next(
    tx: Transaction,
    *,
    keys: Sequence[QueueKey],
    choose: Choose = first,
    slot_of_choice: Callable[[], SlotId | None] = lambda: None,
    now: datetime,
) -> Claim:
    """Start the job that ``choose`` picks from the first waiting job of each key whose owner is below their limit.
    ``slot_of_choice``: the slot for which it chose, for listeners."""
    idle: list[QueueKey] = []
    at_limit: list[QueueKey] = []
    has_more: dict[JobId, bool] = {}
    usages: dict[UserId, quotas.QuotaUsage] = {}

    def heads() -> Iterator[JobSummary]:
        for key in keys:
            head = rows.head(tx.conn, key)
            if head is None:
                idle.append(key)
                continue
            usage = quotas.quota_usage(tx, key.owner_id)
            if not usage.may_start:
                at_limit.append(key)
                continue
            job, has_more[job.id] = head
            usages[key.owner_id] = usage
            yield job

    chosen = choose(heads())
    if chosen is None:
        return Claim(job=None, idle=idle, at_limit=at_limit)
    owner = chosen.owner_id
    running = rules.claim(chosen, now)
    if not job_rows.replace(tx.conn, chosen, running):
        raise Conflict(f"job {chosen.id} was claimed by another dispatcher")
    tx.emit(JobStarted(**_common_fields(running, now), attempt=running.attempt, slot=slot_of_choice() or ""))
    job = rows.load(tx.conn, running)
    more = has_more[chosen.id]
    return Claim(
        job=job,
        weight=usages[owner].weight,
        run_limit_s=usages[owner].run_limit_s,
        has_more=more,
        files=_files_of(tx, job),
        idle=idle,
        at_limit=at_limit,
    )


def record_outputs(
    tx: Transaction,
    fence: Fence,
    *,
    outputs: Sequence[Output],
    files: Sequence[named_files.NewFile] = (),
    now: datetime,
) -> None:
    """Store outputs of a running job. The owner can view ``files`` immediately; a finish lists them."""
    seq, job = _running(tx, fence)
    named_files.add_outputs(tx, job.owner_id, fence, files=files, now=now)
    start = rows.count_outputs(tx.conn, seq, attempt=fence.attempt)
    rows.add_outputs(tx.conn, seq, attempt=fence.attempt, outputs=outputs, start=start)
    for call, ui in outputs:
        tx.emit(CallReported(**_common_fields(job, now), event=OutputMade(call, ui)))


def finish(
    tx: Transaction,
    fence: Fence,
    *,
    outcome: JobState,
    error: JobError | None = None,
    executed: Sequence[str] = (),
    cached: Cached | None = None,
    outputs: Sequence[Output] = (),
    device_s: float = 0.0,
    now: datetime,
) -> JobSummary:
    """End an attempt and publish its outputs. ``outputs``: those without files that were not recorded before.

    The ``error`` of a cancelled job names the call that was interrupted; only a failed job keeps its error.
    """
    seq, job = _running(tx, fence)
    after = rules.finish(job, fence, outcome, now, error if outcome is JobState.FAILED else None)
    recorded = rows.outputs(tx.conn, seq, attempt=fence.attempt)
    rows.add_outputs(tx.conn, seq, attempt=fence.attempt, outputs=outputs, start=len(recorded))
    shown = summarise(by_node([*recorded, *outputs]))
    after = replace(after, outputs_count=shown.count, preview_output=shown.preview)
    _write(tx, job, after, device_s=device_s)
    quotas.use_device(tx, job.owner_id, seconds=device_s, now=now)
    if shown.count:
        rows.add_media(tx.conn, seq, owner_id=job.owner_id, kinds=shown.kinds)
    if recorded:  # not only what is shown: a call may have files that its last output does not name
        asset_rows.publish(tx.conn, job.owner_id, fence=fence)
    _end(tx, seq, job, after, cached=cached, cause=error, executed=executed)
    return after


def fail_attempt(
    tx: Transaction,
    fence: Fence,
    *,
    reason: str,
    interrupted: JobError | None = None,
    executed: Sequence[str] = (),
    cached: Cached | None = None,
    now: datetime,
) -> JobSummary:
    """End an attempt whose worker is gone: drop its outputs, and queue the job again or fail it.

    ``interrupted``: the call that was running, which may have crashed the worker.
    """
    seq, job = _running(tx, fence)
    node = {"node_id": interrupted.node_id, "node_type": interrupted.node_type} if interrupted is not None else {}
    after = retry_rule.fail_attempt(job, fence, now, reason, **node)
    cause = after.error or interrupted
    _abandon(tx, seq, job, after, fence, reason=reason, cached=cached, cause=cause, executed=executed, now=now)
    return after


def requeue(
    tx: Transaction,
    fence: Fence,
    *,
    reason: str = "the server was stopped",
    interrupted: JobError | None = None,
    executed: Sequence[str] = (),
    now: datetime,
) -> JobSummary:
    """End an attempt in order, or for a reason outside the job: queue the job again without using up a retry.
    ``interrupted``: as for :func:`fail_attempt`."""
    seq, job = _running(tx, fence)
    after = retry_rule.requeue(job, fence, now)
    _abandon(tx, seq, job, after, fence, reason=reason, cause=interrupted, executed=executed, now=now)
    return after


def detach(tx: Transaction, fence: Fence, *, now: datetime) -> JobSummary:
    """Give up an attempt whose worker continues while the server stops: another server may :func:`reattach` it."""
    _, job = _running(tx, fence)
    after = retry_rule.detach(job, now)
    _write(tx, job, after)
    return after


def recover(tx: Transaction, *, fences: Collection[Fence] | None = None, now: datetime) -> Sequence[JobSummary]:
    """End the running attempts of a server that is gone, or of these only ``fences``. Return the jobs as they are
    now."""
    lost = [
        fail_attempt(tx, fence, reason="the server was stopped while the job ran", now=now)
        for fence in (Fence(job.id, job.attempt) for job in rows.running(tx.conn))
        if fences is None or fence in fences
    ]
    asset_rows.drop_unpublished(tx.conn)
    return lost


def reattach(tx: Transaction, fence: Fence) -> Reattached:
    """Return a running attempt, for a server that will follow it from now on. Changes nothing."""
    seq, running = _running(tx, fence)
    job = rows.load(tx.conn, running)
    usage = quotas.quota_usage(tx, running.owner_id)
    return Reattached(
        job=job,
        weight=usage.weight,
        run_limit_s=usage.run_limit_s,
        files=_files_of(tx, job),
        recorded=rows.count_outputs(tx.conn, seq, attempt=fence.attempt),
    )


def running(tx: Transaction) -> Sequence[JobSummary]:
    """Every running job."""
    return rows.running(tx.conn)


def ends_since(tx: Transaction, since: datetime) -> Sequence[Event]:
    """The events of all jobs that have ended since then, for listeners that may have missed them."""
    ended = rows.ended_since(tx.conn, since)
    owners = dict.fromkeys(job.owner_id for job in ended)
    ends = [JobEnded(**_common_fields(job, job.ended_at or since), state=job.state, error=job.error) for job in ended]
    return [*ends, *(QueueChanged(owner, job_rows.count_active(tx.conn, owner)) for owner in owners)]


def files_of_next(tx: Transaction, *, keys: Sequence[QueueKey]) -> Sequence[Sequence[Asset]]:
    """The files that the first waiting job of each key names."""
    heads = [head[0] for key in keys if (head := rows.head(tx.conn, key)) is not None]
    return [[*_files_of(tx, rows.load(tx.conn, head)).values()] for head in heads]


def waiting_keys(tx: Transaction) -> Sequence[QueueKey]:
    """Every key under which a job waits."""
    return queue_depth.waiting(tx.conn)


def depths_by_key(tx: Transaction) -> Mapping[QueueKey, int]:
    """How many jobs wait under each key, of all users: for forecasts, which show nothing of it but a time."""
    return queue_depth.by_key(tx.conn)


def depths(tx: Transaction) -> Mapping[Requirements, int]:
    """How many jobs of all users wait with the same requirements."""
    return queue_depth.by_requirements(tx.conn)


def _files_of(tx: Transaction, job: Job) -> Mapping[str, Asset]:
    owner = Principal(job.summary.owner_id)
    in_folders = named_files.files_in_folders(tx, owner, folders=folders_of(job.extra_data))
    return in_folders | named_files.files_named(tx, owner, names=set(strings_of(job.prompt)))


def _running(tx: Transaction, fence: Fence) -> tuple[int, JobSummary]:
    found = rows.find(tx.conn, fence.job_id)
    if found is None:
        raise NotFound(f"there is no job {fence.job_id!r}")
    seq, job = found
    if job.state is not JobState.RUNNING or job.attempt != fence.attempt:
        raise Conflict(f"job {job.id} is {job.state} under attempt {job.attempt}: attempt {fence.attempt} is outdated")
    return seq, job


def _write(tx: Transaction, before: JobSummary, after: JobSummary, **more: Any) -> None:
    if not job_rows.replace(tx.conn, before, after, **more):
        raise Conflict(f"job {before.id} changed while attempt {before.attempt} was ending")


def _abandon(
    tx: Transaction,
    seq: int,
    before: JobSummary,
    after: JobSummary,
    fence: Fence,
    *,
    reason: str,
    cached: Cached | None = None,
    cause: JobError | None = None,
    executed: Sequence[str] = (),
    now: datetime,
) -> None:
    rows.drop_outputs(tx.conn, seq, attempt=fence.attempt)
    asset_rows.drop(tx.conn, before.owner_id, fence=fence)
    _write(tx, before, after)
    if after.state is JobState.QUEUED:
        tx.emit(JobRequeued(**_common_fields(after, now), reason=reason, pool=after.pool, engines=after.engines))
    else:
        _end(tx, seq, before, after, cached=cached, cause=cause, executed=executed)


def _end(
    tx: Transaction,
    seq: int,
    before: JobSummary,
    after: JobSummary,
    *,
    cached: Cached | None,
    cause: JobError | None,
    executed: Sequence[str],
) -> None:
    assert after.ended_at is not None
    timeline = messages(after, started_at=before.started_at, cached=cached, cause=cause, executed=executed)
    rows.add_timeline(tx.conn, seq, messages=timeline)
    fields = _common_fields(after, after.ended_at)
    job_end.record(tx, after, now=after.ended_at)
    tx.emit(JobEnded(**fields, state=after.state, error=cause, executed=executed))
    tx.emit(QueueChanged(after.owner_id, job_rows.count_active(tx.conn, after.owner_id)))


def _common_fields(job: JobSummary, now: datetime) -> dict[str, Any]:
    return {"owner_id": job.owner_id, "job_id": job.id, "client_id": job.client_id, "at": now}
