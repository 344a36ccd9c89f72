"""An owner's webhook endpoints, and the deliveries to them, which the owner can see and send again."""

import builtins
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from safelight.core.errors import Conflict, LimitExceeded, NotFound
from safelight.core.event import WebhookQueued
from safelight.core.user import Principal
from safelight.core.webhook import (
    MAX_ENDPOINTS,
    Delivery,
    DeliveryId,
    DeliveryState,
    Endpoint,
    EndpointId,
    EventKind,
    new_secret,
)
from safelight.db import webhook as rows
from safelight.db.transaction import Transaction
from safelight.services.egress import check_url

SHOWN = 200
"""Deliveries that are listed: the newest."""


def add(tx: Transaction, who: Principal, *, url: str, kinds: Sequence[EventKind], now: datetime) -> Endpoint:
    """Add an endpoint with a new secret. Raises :class:`~safelight.core.errors.Invalid` for a bad URL."""
    check_url(url)
    if len(rows.endpoints_of(tx.conn, who.user_id)) >= MAX_ENDPOINTS:
        raise LimitExceeded(f"you have {MAX_ENDPOINTS} webhooks, and no more are allowed")
    endpoint = Endpoint(
        id=EndpointId(str(uuid.uuid4())),
        owner_id=who.user_id,
        url=url,
        kinds=tuple(kinds),
        created_at=now,
        secret=new_secret(),
    )
    rows.add_endpoint(tx.conn, who.user_id, new=endpoint)
    return endpoint


def list(tx: Transaction, who: Principal) -> builtins.list[Endpoint]:
    return rows.endpoints_of(tx.conn, who.user_id)


def remove(tx: Transaction, who: Principal, *, endpoint_id: EndpointId) -> None:
    """Remove the endpoint and its deliveries, those that wait as well."""
    if not rows.remove_endpoint(tx.conn, who.user_id, endpoint_id=endpoint_id):
        raise NotFound(f"there is no webhook {endpoint_id!r}")


def deliveries(tx: Transaction, who: Principal) -> builtins.list[Delivery]:
    """The newest first."""
    return rows.deliveries_of(tx.conn, who.user_id, limit=SHOWN)


def send_again(tx: Transaction, who: Principal, *, delivery_id: DeliveryId, now: datetime) -> Delivery:
    """Queue a delivery that is over for one more day of attempts, under its own id. Raises :class:`Conflict` for one
    that waits."""
    found = rows.find_delivery(tx.conn, who.user_id, delivery_id=delivery_id)
    if found is None:
        raise NotFound(f"there is no delivery {delivery_id!r}")
    if found.state is DeliveryState.WAITING:
        raise Conflict(f"the delivery {delivery_id!r} is still being tried")
    after = replace(found, state=DeliveryState.WAITING, due_at=now, error=None)
    rows.replace_delivery(tx.conn, who.user_id, after=after)
    tx.emit(WebhookQueued())
    return after
