"""Webhooks: an owner's URLs that are told of ends of jobs and batches, in the form of Standard Webhooks
(https://www.standardwebhooks.com): an id, a time, and a signature with a secret of the endpoint."""

import base64
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NewType

from safelight.core.errors import Unprocessable
from safelight.core.ids import UserId

EndpointId = NewType("EndpointId", str)
DeliveryId = NewType("DeliveryId", str)
"""The ``webhook-id``: the same for every attempt of a delivery, so that its receiver can drop a repeated one."""

MAX_ENDPOINTS = 16
GIVE_UP = timedelta(hours=24)
_PAUSES_S = (5, 15, 60, 300, 900, 1800, 3600)
"""Pauses after failed attempts; the last one repeats until :data:`GIVE_UP`."""


class EventKind(StrEnum):
    JOB_ENDED = "job.ended"
    BATCH_ENDED = "batch.ended"
    QUOTA_REACHED = "quota.reached"


class DeliveryState(StrEnum):
    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"  # given up after a day; its owner can send it again


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """``secret``: as the ``standardwebhooks`` libraries take it."""

    id: EndpointId
    owner_id: UserId
    url: str
    kinds: tuple[EventKind, ...]
    created_at: datetime
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """``body``: as it is sent. ``due_at``: of the next attempt; ``None`` after the last one."""

    id: DeliveryId
    owner_id: UserId
    endpoint_id: EndpointId
    kind: EventKind
    body: str
    state: DeliveryState
    attempts: int
    created_at: datetime
    due_at: datetime | None
    delivered_at: datetime | None = None
    error: str | None = None


def new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode("ascii")


def next_attempt(delivery: Delivery, now: datetime) -> datetime | None:
    """When to try again after one more failed attempt; ``None`` to give up."""
    pause_s = _PAUSES_S[min(delivery.attempts, len(_PAUSES_S) - 1)]
    after = now + timedelta(seconds=pause_s)
    return after if after <= delivery.created_at + GIVE_UP else None


def read_kinds(value: Any) -> tuple[EventKind, ...]:
    """The kinds of events that an endpoint is told of. Raises :class:`Unprocessable`."""
    if value is None:
        return tuple(EventKind)
    if not isinstance(value, Collection) or isinstance(value, str) or not value or set(value) - set(EventKind):
        raise Unprocessable(f"invalid events {value!r}: use a list of {', '.join(EventKind)}")
    return tuple(kind for kind in EventKind if kind in value)
