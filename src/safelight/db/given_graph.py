"""Rows of workflows that an administrator has given to everybody."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select

from safelight.db.tables import given_graph as table
from safelight.db.upsert import insert as upsert


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenGraph:
    name: str
    giver_name: str
    given_at: datetime


def put(conn: Connection, *, graph: GivenGraph, content: Mapping[str, Any]) -> None:
    """Add it, or replace the one of its name."""
    values = {"giver_name": graph.giver_name, "given_at": graph.given_at, "content": content}
    statement = upsert(conn, table).values(name=graph.name, **values)
    conn.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))


def all_graphs(conn: Connection) -> Sequence[GivenGraph]:
    """By name."""
    query = select(table.c.name, table.c.giver_name, table.c.given_at).order_by(table.c.name)
    return [GivenGraph(name=row.name, giver_name=row.giver_name, given_at=row.given_at) for row in conn.execute(query)]


def content_of(conn: Connection, name: str) -> Mapping[str, Any] | None:
    found: Mapping[str, Any] | None = conn.execute(
        select(table.c.content).where(table.c.name == name)
    ).scalar_one_or_none()
    return found


def remove(conn: Connection, name: str) -> bool:
    return conn.execute(delete(table).where(table.c.name == name)).rowcount == 1
