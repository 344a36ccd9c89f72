"""Which ends are told to which endpoints: a delivery is a row in the transaction of what it tells."""

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from safelight.core.batch import Batch
from safelight.core.event import WebhookQueued
from safelight.core.ids import UserId
from safelight.core.job import JobSummary
from safelight.core.webhook import Delivery, DeliveryId, DeliveryState, EventKind
from safelight.db import webhook as rows
from safelight.db.transaction import Transaction
from safelight.db.types import decode_json, encode_json

REFUSALS_EACH = timedelta(hours=1)
"""Time between two deliveries about refusals because of the same quota."""


def job_ended(tx: Transaction, job: JobSummary, *, now: datetime) -> None:
    """``job``: as it has ended."""
    error = job.error
    _queue(
        tx,
        job.owner_id,
        kind=EventKind.JOB_ENDED,
        data={
            "id": job.shown_id,
            "state": job.state.value,
            "created_at": job.created_at,
            "started_at": job.started_at,
            "ended_at": job.ended_at,
            "metadata": dict(job.labels),
            "batch_id": job.batch_id,
            "error": None if error is None else {"message": error.exception_message, "node_id": error.node_id},
        },
        now=now,
    )


def batch_ended(tx: Transaction, batch: Batch, *, now: datetime) -> None:
    counts = {name: getattr(batch, name) for name in ("total", "succeeded", "failed", "cancelled")}
    data = {"id": batch.id, "created_at": batch.created_at, "ended_at": now, "metadata": dict(batch.labels)}
    _queue(tx, batch.owner_id, kind=EventKind.BATCH_ENDED, data=data | counts, now=now)


def quota_reached(tx: Transaction, owner_id: UserId, *, quota: str, limit: float, now: datetime) -> None:
    """``quota``: its name, such as ``device_s``."""
    _queue(tx, owner_id, kind=EventKind.QUOTA_REACHED, data={"quota": quota, "limit": limit}, now=now)


def wants_refusal(tx: Transaction, owner_id: UserId, *, quota: str, now: datetime) -> bool:
    """Whether the owner is to be told now that something was refused because of a quota: at most once in
    :data:`REFUSALS_EACH`."""
    if not any(EventKind.QUOTA_REACHED in endpoint.kinds for endpoint in rows.endpoints_of(tx.conn, owner_id)):
        return False
    told = rows.bodies_since(tx.conn, owner_id, kind=EventKind.QUOTA_REACHED, since=now - REFUSALS_EACH)
    return all(decode_json(body)["data"]["quota"] != quota for body in told)


def _queue(tx: Transaction, owner_id: UserId, *, kind: EventKind, data: Mapping[str, Any], now: datetime) -> None:
    """Queue a delivery for each of the owner's endpoints that wants the kind."""
    wanted = [endpoint for endpoint in rows.endpoints_of(tx.conn, owner_id) if kind in endpoint.kinds]
    if not wanted:
        return
    body = encode_json({"type": kind.value, "timestamp": now, "data": data}).decode()
    for endpoint in wanted:
        new = Delivery(
            id=DeliveryId(f"msg_{uuid.uuid4().hex}"),
            owner_id=owner_id,
            endpoint_id=endpoint.id,
            kind=kind,
            body=body,
            state=DeliveryState.WAITING,
            attempts=0,
            created_at=now,
            due_at=now,
        )
        rows.add_delivery(tx.conn, owner_id, new=new)
    tx.emit(WebhookQueued())
