"""Rows of settings: what the web UI stores for a user, by key."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from safelight.core.ids import UserId
from safelight.db.batches import batches
from safelight.db.tables import setting
from safelight.db.types import decode_json, encode_json
from safelight.db.upsert import insert

_OWNED = setting.c.owner_id == bindparam("owner")
_ALL = select(setting.c.key, setting.c.value).where(_OWNED).order_by(setting.c.key)
_ONE = select(setting.c.value).where(_OWNED, setting.c.key == bindparam("name"))


def load(conn: Connection, owner_id: UserId) -> dict[str, Any]:
    return {key: decode_json(value) for key, value in conn.execute(_ALL, {"owner": owner_id})}


def get(conn: Connection, owner_id: UserId, *, key: str) -> Any:
    """The value of a key; ``None`` both for null and for a key that was never set."""
    text = conn.execute(_ONE, {"owner": owner_id, "name": key}).scalar_one_or_none()
    return None if text is None else decode_json(text)


def size(conn: Connection, owner_id: UserId, *, keys: Collection[str]) -> int:
    """The size of the owner's settings with those ``keys``, in bytes."""
    length = func.coalesce(func.sum(func.octet_length(setting.c.key) + func.octet_length(setting.c.value)), 0)
    query = select(length).where(setting.c.owner_id == owner_id)
    return sum(int(conn.execute(query.where(setting.c.key.in_(some))).scalar_one()) for some in batches(keys))


def put(conn: Connection, owner_id: UserId, *, values: Mapping[str, Any]) -> None:
    statement = insert(conn, setting)
    statement = statement.on_conflict_do_update(
        index_elements=["owner_id", "key"], set_={"value": statement.excluded.value}
    )
    rows = [{"owner_id": owner_id, "key": key, "value": encode_json(value).decode()} for key, value in values.items()]
    if rows:
        conn.execute(statement, rows)
