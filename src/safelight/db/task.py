"""Rows of background tasks."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from safelight.core.ids import UserId
from safelight.core.paging import Page, PageRequest
from safelight.core.task import Task, TaskId, TaskState
from safelight.db.tables import IS_UNFINISHED, task


def add(conn: Connection, owner_id: UserId, *, new: Task) -> None:
    values = {
        "id": new.id,
        "owner_id": owner_id,
        "name": new.name,
        "idempotency_key": new.idempotency_key,
        "state": new.state.value,
        "created_at": new.created_at,
        "updated_at": new.updated_at,
        "payload": dict(new.payload),
        "result": dict(new.result),
    }
    conn.execute(insert(task), values)


def find(conn: Connection, owner_id: UserId, *, task_id: TaskId) -> Task | None:
    row = conn.execute(select(task).where(task.c.owner_id == owner_id, task.c.id == task_id)).one_or_none()
    return _task(row) if row else None


def find_by_key(conn: Connection, owner_id: UserId, *, name: str, key: str) -> Task | None:
    where = (task.c.owner_id == owner_id, task.c.name == name, task.c.idempotency_key == key)
    row = conn.execute(select(task).where(*where)).one_or_none()
    return _task(row) if row else None


def change(conn: Connection, owner_id: UserId, *, after: Task) -> None:
    """Write state, times, result and error, unless the task has ended."""
    values = {
        "state": after.state.value,
        "updated_at": after.updated_at,
        "started_at": after.started_at,
        "completed_at": after.completed_at,
        "result": dict(after.result),
        "error_code": after.error_code,
        "error_message": after.error_message,
    }
    conn.execute(update(task).where(task.c.owner_id == owner_id, task.c.id == after.id, IS_UNFINISHED).values(values))


def page(
    conn: Connection,
    owner_id: UserId,
    *,
    name: str | None,
    key: str | None,
    states: Collection[TaskState],
    created_after: datetime | None,
    created_before: datetime | None,
    descending: bool,
    request: PageRequest,
) -> Page[Task]:
    where = [task.c.owner_id == owner_id]
    where += [task.c.name == name] if name is not None else []
    where += [task.c.idempotency_key == key] if key is not None else []
    where += [task.c.state.in_(sorted(state.value for state in states))] if states else []
    where += [task.c.created_at > created_after] if created_after is not None else []
    where += [task.c.created_at < created_before] if created_before is not None else []
    order = task.c.seq.desc() if descending else task.c.seq.asc()
    query = select(task).where(*where).order_by(order).limit(request.limit).offset(request.offset)
    items = [_task(row) for row in conn.execute(query)]
    return Page(items, conn.execute(select(func.count()).select_from(task).where(*where)).scalar_one(), request)


def unfinished(conn: Connection) -> list[Task]:
    """The unfinished tasks of all users, oldest first; a server continues them when it starts."""
    return [_task(row) for row in conn.execute(select(task).where(IS_UNFINISHED).order_by(task.c.seq))]


def named(conn: Connection, *, name: str, limit: int) -> list[Task]:
    """The tasks of that name of all users, newest first."""
    query = select(task).where(task.c.name == name).order_by(task.c.seq.desc()).limit(limit)
    return [_task(row) for row in conn.execute(query)]


def _task(row: Row[Any]) -> Task:
    return Task(
        id=TaskId(row.id),
        owner_id=UserId(row.owner_id),
        name=row.name,
        idempotency_key=row.idempotency_key,
        state=TaskState(row.state),
        created_at=row.created_at,
        updated_at=row.updated_at,
        payload=row.payload or {},
        result=row.result or {},
        started_at=row.started_at,
        completed_at=row.completed_at,
        error_code=row.error_code,
        error_message=row.error_message,
    )
