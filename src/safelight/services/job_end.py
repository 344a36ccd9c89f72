"""What follows the end of a job, in the transaction that ends it, whichever way it ends."""

from datetime import datetime

from safelight.core.batch import Batch
from safelight.core.event import BatchChanged
from safelight.core.ids import UserId
from safelight.core.job import JobState, JobSummary
from safelight.db import batch as batch_rows
from safelight.db.transaction import Transaction
from safelight.services import webhook_queue as webhooks

_OUTCOME = {JobState.COMPLETED: "succeeded", JobState.FAILED: "failed", JobState.CANCELLED: "cancelled"}


def record(tx: Transaction, job: JobSummary, *, now: datetime) -> None:
    """Count the end in the job's batch, and queue the webhooks of its owner. ``job``: as it has ended."""
    webhooks.job_ended(tx, job, now=now)
    if job.batch_id is not None:
        batch_rows.count_end(tx.conn, job.owner_id, batch_id=job.batch_id, outcome=_OUTCOME[job.state])
        batch = batch_rows.find(tx.conn, job.owner_id, batch_id=job.batch_id)
        if batch is not None:
            end_if_over(tx, batch, now=now)


def end_if_over(tx: Transaction, batch: Batch, *, now: datetime) -> None:
    """End a batch of which every job has ended, and report its change."""
    is_over = batch.ended >= batch.total and batch.ended_at is None
    if is_over:
        batch_rows.change(tx.conn, batch.owner_id, batch_id=batch.id, ended_at=now)
        webhooks.batch_ended(tx, batch, now=now)
    tx.emit(BatchChanged(batch.owner_id, batch.id))


def cancel_open_batches(tx: Transaction, owner_id: UserId, *, now: datetime) -> None:
    """Make no more jobs of the owner's batches; those that exist are cancelled elsewhere."""
    for batch in batch_rows.open_of(tx.conn, owner_id):
        if not batch.cancel_requested:
            make_no_more(tx, batch, now=now)


def make_no_more(tx: Transaction, batch: Batch, *, now: datetime) -> None:
    """Count the jobs that were not made yet as cancelled."""
    missing = batch.total - batch.made
    batch_rows.change(
        tx.conn,
        batch.owner_id,
        batch_id=batch.id,
        cancel_requested=True,
        made=batch.total,
        cancelled=batch.cancelled + missing,
    )
    after = batch_rows.find(tx.conn, batch.owner_id, batch_id=batch.id)
    assert after is not None
    end_if_over(tx, after, now=now)
