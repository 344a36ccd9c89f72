"""What an owner may do with jobs: submit, read, cancel, forget. The workers' side is ``services/attempt.py``."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from safelight.core.batch import BatchId
from safelight.core.clock import to_ms
from safelight.core.errors import Conflict, NotFound
from safelight.core.event import CancelRequested, JobEnded, JobForgotten, JobQueued, QueueChanged
from safelight.core.ids import AssetId, ClientId, JobId, new_job_id, own_job_id
from safelight.core.job import Job, JobState, JobSummary, request_cancel
from safelight.core.paging import Page, PageRequest
from safelight.core.user import Principal
from safelight.db import account as accounts
from safelight.db import job as rows
from safelight.db import job_label, job_list
from safelight.db import user as users
from safelight.db.transaction import Transaction
from safelight.db.types import encode_json
from safelight.services import gate as gates
from safelight.services import idempotency, job_end
from safelight.services import quota as quotas
from safelight.services.job_secrets import redacted, secrets_in
from safelight.services.placement import ANYWHERE, Placement

_AT_ONCE = 500
"""Jobs that one statement cancels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitJob:
    """A valid prompt to queue. ``number``: jobs with lower numbers run first; ``front``: before the owner's other jobs.

    ``placement``: where it may run, and the models that it needs. ``extra_data``: as the client sent it; its secrets
    are not stored, but sent with :class:`JobQueued`. ``assets``: those that the client named by id. The
    ``idempotency_key`` is claimed in the transaction of the job. ``batch``: the job's batch, and its index there.
    ``traceparent``: of the request, if it is traced; it is not stored.
    """

    prompt: Mapping[str, Any]
    targets: Sequence[str]
    extra_data: Mapping[str, Any]
    client_id: ClientId | None = None
    job_id: str | None = None
    number: float | None = None
    front: bool = False
    workflow_id: str | None = None
    placement: Placement = ANYWHERE
    labels: Mapping[str, str] = field(default_factory=dict)
    assets: Collection[AssetId] = ()
    idempotency_key: str | None = None
    batch: tuple[BatchId, int] | None = None
    traceparent: str = ""


def submit(tx: Transaction, who: Principal, *, command: SubmitJob, now: datetime) -> JobSummary:
    """Queue a job. Raises :class:`Conflict` for an id that its owner has used before,
    :class:`~safelight.services.idempotency.KeyReused`, and the errors of quotas and gates."""
    if command.idempotency_key is not None:
        idempotency.claim(tx, who, key=command.idempotency_key, now=now)
    gates.admit_job(tx)
    quotas.admit_job(tx, who, size=lambda: len(encode_json(command.prompt)) + len(encode_json(command.extra_data)))
    chosen = command.job_id
    if chosen is not None and rows.find(tx.conn, who.user_id, job_id=chosen) is not None:
        raise Conflict(f"there is already a job {chosen!r}")
    summary = put(tx, who, command=command, now=now)
    emit_queue_changed(tx, who)
    return summary


def put(tx: Transaction, who: Principal, *, command: SubmitJob, now: datetime) -> JobSummary:
    """Insert a job for which there is room in the queue, and report it."""
    chosen = command.job_id
    counter = users.take_number(tx.conn, who.user_id)
    if counter is None:
        raise NotFound(f"there is no user {who.user_id!r}")
    batch_id, batch_index = command.batch or (None, None)
    number = command.number if command.number is not None else float(-counter if command.front else counter)
    summary = JobSummary(
        id=new_job_id() if chosen is None else _job_id(tx, who, chosen),
        owner_id=who.user_id,
        state=JobState.QUEUED,
        attempt=0,
        number=number,
        created_at=now,
        updated_at=now,
        client_id=command.client_id,
        workflow_id=command.workflow_id,
        pool=command.placement.pool,
        models=command.placement.models,
        engines=command.placement.engines,
        labels=command.labels,
        node_count=len(command.prompt),
        batch_id=batch_id,
        batch_index=batch_index,
    )
    seq = rows.add(
        tx.conn,
        summary,
        prompt=command.prompt,
        targets=command.targets,
        extra_data=_stored(command.extra_data, client_id=command.client_id, now=now),
    )
    job_label.add(tx.conn, who.user_id, seq=seq, labels=command.labels)
    job_label.hold_assets(tx.conn, who.user_id, seq=seq, asset_ids=command.assets)
    secrets = secrets_in(command.extra_data)
    tx.emit(
        JobQueued(
            owner_id=who.user_id,
            job_id=summary.id,
            client_id=summary.client_id,
            at=now,
            pool=summary.pool,
            engines=summary.engines,
            secrets=secrets,
            traceparent=command.traceparent,
        )
    )
    return summary


def _job_id(tx: Transaction, who: Principal, chosen: str) -> JobId:
    """The id of the row. It includes the owner if another owner uses the chosen id, so neither learns of the other."""
    return own_job_id(who.user_id, chosen) if rows.is_taken(tx.conn, JobId(chosen)) else JobId(chosen)


def get(tx: Transaction, who: Principal, *, job_id: str) -> Job:
    job = rows.load(tx.conn, who.user_id, job_id=job_id)
    if job is None:
        raise NotFound(f"there is no job {job_id!r}")
    return job


def history(tx: Transaction, who: Principal, *, page: PageRequest | None, newest_first: bool) -> Sequence[Job]:
    """Finished jobs, in the order in which they ended."""
    return rows.history(tx.conn, who.user_id, page=page, newest_first=newest_first)


def queue(tx: Transaction, who: Principal) -> tuple[Sequence[Job], Sequence[Job]]:
    """Running jobs, and waiting jobs in the order in which they will run."""
    return rows.running(tx.conn, who.user_id), rows.queued(tx.conn, who.user_id)


def remaining(tx: Transaction, who: Principal) -> int:
    """The number of waiting and running jobs."""
    return rows.count_active(tx.conn, who.user_id)


def waiting(tx: Transaction, who: Principal) -> int:
    """The number of waiting jobs."""
    return accounts.count_queued(tx.conn, who.user_id)


def cancel(tx: Transaction, who: Principal, *, job_id: str, now: datetime) -> bool:
    """Cancel a job: immediately if it waits, else by a request to its worker. False where it has ended or is being
    cancelled already."""
    job = rows.find(tx.conn, who.user_id, job_id=job_id)
    if job is None:
        raise NotFound(f"there is no job {job_id!r}")
    if job.state.is_terminal or job.cancel_requested:
        return False
    is_changed = _cancel(tx, job, now=now)
    emit_queue_changed(tx, who)
    return is_changed


def cancel_queued(tx: Transaction, who: Principal, *, job_ids: Collection[str], now: datetime) -> Sequence[str]:
    """Cancel those of ``job_ids`` that wait, and return their ids."""
    return _cancelled(tx, who, rows.cancel_queued(tx.conn, who.user_id, job_ids=job_ids, now=now), now=now)


def cancel_all_queued(tx: Transaction, who: Principal, *, at_most: int, now: datetime) -> Sequence[str]:
    """Cancel ``at_most`` of the jobs that waited at the time ``now``, and make no more jobs of batches. Return their
    ids; none when all are cancelled."""
    job_end.cancel_open_batches(tx, who.user_id, now=now)
    return _cancelled(tx, who, rows.cancel_all_queued(tx.conn, who.user_id, at_most=at_most, now=now), now=now)


def _cancelled(tx: Transaction, who: Principal, cancelled: Sequence[JobSummary], *, now: datetime) -> Sequence[str]:
    for job in cancelled:
        job_end.record(tx, job, now=now)
        tx.emit(_ended(job, now=now))
    if cancelled:
        emit_queue_changed(tx, who)
    return [job.shown_id for job in cancelled]


def interrupt(tx: Transaction, who: Principal, *, job_id: str | None, now: datetime) -> Sequence[str]:
    """Request that running jobs end: all of the owner's (``None``), or this one if it runs. Return their ids."""
    running = rows.running_summaries(tx.conn, who.user_id)
    chosen = [job for job in running if job_id in (None, job.shown_id) and not job.cancel_requested]
    return [job.shown_id for job in chosen if _cancel(tx, job, now=now)]


def end_all(tx: Transaction, who: Principal, *, now: datetime) -> None:
    """Cancel all waiting jobs, and request that running ones end."""
    while cancel_all_queued(tx, who, at_most=_AT_ONCE, now=now):
        pass
    interrupt(tx, who, job_id=None, now=now)


def forget(tx: Transaction, who: Principal, *, job_ids: Collection[str], now: datetime) -> None:
    """Delete the finished ones of ``job_ids`` from the history."""
    _forgotten(tx, rows.forget(tx.conn, who.user_id, job_ids=job_ids), now=now)


def forget_all(tx: Transaction, who: Principal, *, at_most: int, now: datetime) -> int:
    """Delete ``at_most`` of the jobs that had ended at the time ``now`` from the history, and return their number."""
    gone = rows.forget_all(tx.conn, who.user_id, at_most=at_most, now=now)
    _forgotten(tx, gone, now=now)
    return len(gone)


def _forgotten(tx: Transaction, gone: Sequence[JobSummary], *, now: datetime) -> None:
    for job in gone:
        tx.emit(JobForgotten(owner_id=job.owner_id, job_id=job.id, client_id=job.client_id, at=now))


def list(
    tx: Transaction,
    who: Principal,
    *,
    states: Collection[JobState],
    workflow_id: str | None = None,
    output_type: str | None = None,
    has_begun: bool = False,
    sort_by: str = "created_at",
    descending: bool = True,
    page: PageRequest,
) -> Page[JobSummary]:
    """A page of jobs. ``states``: empty for all; ``has_begun``: leave out jobs that were cancelled before they started;
    ``sort_by``: ``created_at`` or ``execution_duration``; ``output_type``: one of ``core.output.KINDS``."""
    return job_list.page(
        tx.conn,
        who.user_id,
        states=states,
        workflow_id=workflow_id,
        output_type=output_type,
        has_begun=has_begun,
        by_duration=sort_by == "execution_duration",
        descending=descending,
        request=page,
    )


def _cancel(tx: Transaction, job: JobSummary, *, now: datetime) -> bool:
    after = request_cancel(job, now)
    if not rows.replace(tx.conn, job, after):
        return False
    if after.state.is_terminal:
        job_end.record(tx, after, now=now)
        tx.emit(_ended(after, now=now))
    else:
        tx.emit(
            CancelRequested(owner_id=job.owner_id, job_id=job.id, client_id=job.client_id, at=now, attempt=job.attempt)
        )
    return True


def _ended(job: JobSummary, *, now: datetime) -> JobEnded:
    return JobEnded(owner_id=job.owner_id, job_id=job.id, client_id=job.client_id, at=now, state=job.state)


def emit_queue_changed(tx: Transaction, who: Principal) -> None:
    """Report how many jobs of the owner wait and run."""
    tx.emit(QueueChanged(who.user_id, rows.count_active(tx.conn, who.user_id)))


def _stored(extra_data: Mapping[str, Any], *, client_id: ClientId | None, now: datetime) -> dict[str, Any]:
    """``extra_data`` for the history, in ComfyUI's form; secrets are replaced by :data:`REDACTED`."""
    stored = redacted(extra_data)
    if client_id is not None:
        stored["client_id"] = client_id
    stored["create_time"] = to_ms(now)
    return stored
