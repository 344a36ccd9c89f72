"""Background tasks: each is created once per key and ends once."""

import builtins
import uuid
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from safelight.core.clock import from_ms, to_ms
from safelight.core.errors import NotFound
from safelight.core.paging import Page, PageRequest
from safelight.core.task import Task, TaskId, TaskState
from safelight.core.user import Principal
from safelight.db import task as rows
from safelight.db.transaction import Transaction


def create(
    tx: Transaction, who: Principal, *, name: str, key: str | None, payload: Mapping[str, Any], now: datetime
) -> Task:
    """Create a task, or return the caller's task with the same key."""
    if key is not None and (existing := rows.find_by_key(tx.conn, who.user_id, name=name, key=key)):
        return existing
    task_id, now = TaskId(str(uuid.uuid4())), from_ms(to_ms(now))
    new = Task(task_id, who.user_id, name, key or task_id, TaskState.CREATED, now, now, payload)
    rows.add(tx.conn, who.user_id, new=new)
    return new


def get(tx: Transaction, who: Principal, *, task_id: TaskId) -> Task:
    task = rows.find(tx.conn, who.user_id, task_id=task_id)
    if task is None:
        raise NotFound(f"there is no task {task_id}")
    return task


def list(
    tx: Transaction,
    who: Principal,
    *,
    name: str | None = None,
    key: str | None = None,
    states: Collection[TaskState] = (),
    created_after: datetime | None = None,
    created_before: datetime | None = None,
    descending: bool = True,
    request: PageRequest,
) -> Page[Task]:
    return rows.page(
        tx.conn,
        who.user_id,
        name=name,
        key=key,
        states=states,
        created_after=created_after,
        created_before=created_before,
        descending=descending,
        request=request,
    )


def advance(tx: Transaction, who: Principal, *, task: Task, result: Mapping[str, Any], now: datetime) -> Task:
    """Record the progress of a running task."""
    after = replace(
        task,
        state=TaskState.RUNNING,
        started_at=task.started_at or now,
        updated_at=now,
        result={**task.result, **result},
    )
    rows.change(tx.conn, who.user_id, after=after)
    return after


def complete(tx: Transaction, who: Principal, *, task: Task, result: Mapping[str, Any], now: datetime) -> None:
    all_results = {**task.result, **result}
    after = replace(task, state=TaskState.COMPLETED, completed_at=now, updated_at=now, result=all_results)
    rows.change(tx.conn, who.user_id, after=after)


def fail(tx: Transaction, who: Principal, *, task: Task, code: str, message: str, now: datetime) -> None:
    after = replace(task, state=TaskState.FAILED, completed_at=now, updated_at=now)
    rows.change(tx.conn, who.user_id, after=replace(after, error_code=code, error_message=message))


def unfinished(tx: Transaction) -> builtins.list[Task]:
    return rows.unfinished(tx.conn)
