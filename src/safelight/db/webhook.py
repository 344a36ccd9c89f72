"""Rows of webhook endpoints and of their deliveries."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, update

from safelight.core.ids import UserId
from safelight.core.webhook import Delivery, DeliveryId, DeliveryState, Endpoint, EndpointId, EventKind
from safelight.db.tables import webhook_delivery as deliveries
from safelight.db.tables import webhook_endpoint as endpoints

_LATEST = 1000
_OF_OWNER = select(endpoints).where(endpoints.c.owner_id == bindparam("owner")).order_by(endpoints.c.created_at)
_DUE = (
    select(deliveries)
    .where(deliveries.c.due_at <= bindparam("now"))
    .order_by(deliveries.c.due_at)
    .limit(bindparam("most"))
)
_NEXT = select(func.min(deliveries.c.due_at)).where(deliveries.c.due_at.is_not(None))


def add_endpoint(conn: Connection, owner_id: UserId, *, new: Endpoint) -> None:
    conn.execute(
        insert(endpoints).values(
            id=new.id,
            owner_id=owner_id,
            url=new.url,
            kinds=list(new.kinds),
            created_at=new.created_at,
            secret=new.secret,
        )
    )


def endpoints_of(conn: Connection, owner_id: UserId) -> list[Endpoint]:
    return [_endpoint(row) for row in conn.execute(_OF_OWNER, {"owner": owner_id})]


def find_endpoint(conn: Connection, owner_id: UserId, *, endpoint_id: EndpointId) -> Endpoint | None:
    query = select(endpoints).where(endpoints.c.owner_id == owner_id, endpoints.c.id == endpoint_id)
    row = conn.execute(query).one_or_none()
    return _endpoint(row) if row else None


def remove_endpoint(conn: Connection, owner_id: UserId, *, endpoint_id: EndpointId) -> bool:
    """Delete the endpoint with its deliveries."""
    where = (endpoints.c.owner_id == owner_id, endpoints.c.id == endpoint_id)
    return bool(conn.execute(delete(endpoints).where(*where)).rowcount)


def add_delivery(conn: Connection, owner_id: UserId, *, new: Delivery) -> None:
    conn.execute(
        insert(deliveries).values(
            id=new.id,
            owner_id=owner_id,
            endpoint_id=new.endpoint_id,
            kind=new.kind.value,
            body=new.body,
            state=new.state.value,
            attempts=new.attempts,
            created_at=new.created_at,
            due_at=new.due_at,
        )
    )


def find_delivery(conn: Connection, owner_id: UserId, *, delivery_id: DeliveryId) -> Delivery | None:
    query = select(deliveries).where(deliveries.c.owner_id == owner_id, deliveries.c.id == delivery_id)
    row = conn.execute(query).one_or_none()
    return _delivery(row) if row else None


def deliveries_of(conn: Connection, owner_id: UserId, *, limit: int) -> list[Delivery]:
    """The newest first."""
    query = select(deliveries).where(deliveries.c.owner_id == owner_id).order_by(deliveries.c.seq.desc()).limit(limit)
    return [_delivery(row) for row in conn.execute(query)]


def bodies_since(conn: Connection, owner_id: UserId, *, kind: EventKind, since: datetime) -> Sequence[str]:
    """The bodies of those of a kind among the owner's latest :data:`_LATEST` deliveries that were queued since then."""
    columns = (deliveries.c.kind, deliveries.c.created_at, deliveries.c.body)
    newest = select(*columns).where(deliveries.c.owner_id == owner_id).order_by(deliveries.c.seq.desc())
    latest = newest.limit(_LATEST).subquery()
    query = select(latest.c.body).where(latest.c.kind == kind.value, latest.c.created_at >= since)
    return conn.execute(query).scalars().all()


def replace_delivery(conn: Connection, owner_id: UserId, *, after: Delivery) -> None:
    """Write the state, the number of attempts, the times and the error."""
    values = {
        "state": after.state.value,
        "attempts": after.attempts,
        "due_at": after.due_at,
        "delivered_at": after.delivered_at,
        "error": after.error,
    }
    where = (deliveries.c.owner_id == owner_id, deliveries.c.id == after.id)
    conn.execute(update(deliveries).where(*where).values(values))


def make_due(conn: Connection, owner_id: UserId, *, endpoint_id: EndpointId, now: datetime) -> None:
    """Try the endpoint's waiting deliveries now."""
    waiting = (deliveries.c.due_at > now, deliveries.c.endpoint_id == endpoint_id, deliveries.c.owner_id == owner_id)
    conn.execute(update(deliveries).where(*waiting).values(due_at=now))


def due(conn: Connection, *, now: datetime, limit: int) -> Sequence[Delivery]:
    """Deliveries of all users whose next attempt is due."""
    return [_delivery(row) for row in conn.execute(_DUE, {"now": now, "most": limit})]


def next_due(conn: Connection) -> datetime | None:
    """When the next attempt of any delivery is due."""
    found: datetime | None = conn.execute(_NEXT).scalar_one_or_none()
    return found


def forget(conn: Connection, *, before: datetime) -> None:
    """Delete deliveries of all users that are over and older than ``before``."""
    conn.execute(delete(deliveries).where(deliveries.c.due_at.is_(None), deliveries.c.created_at < before))


def _endpoint(row: Row[Any]) -> Endpoint:
    return Endpoint(
        id=EndpointId(row.id),
        owner_id=UserId(row.owner_id),
        url=row.url,
        kinds=tuple(EventKind(kind) for kind in row.kinds),
        created_at=row.created_at,
        secret=row.secret,
    )


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        id=DeliveryId(row.id),
        owner_id=UserId(row.owner_id),
        endpoint_id=EndpointId(row.endpoint_id),
        kind=EventKind(row.kind),
        body=row.body,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        created_at=row.created_at,
        due_at=row.due_at,
        delivered_at=row.delivered_at,
        error=row.error,
    )
