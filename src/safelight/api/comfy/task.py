"""``/api/tasks``: the caller's background tasks."""

from typing import Any

from safelight.api.api_request import ApiRequest
from safelight.api.handler import reads
from safelight.core.errors import Invalid
from safelight.core.paging import PageRequest
from safelight.core.task import Task, TaskId, TaskState
from safelight.db.transaction import Transaction
from safelight.services import task as tasks


@reads
def list_tasks(tx: Transaction, request: ApiRequest) -> Any:
    params = request.params
    page = tasks.list(
        tx,
        request.who,
        name=params["task_name"],
        key=params["idempotency_key"],
        states=_states(params["status"]),
        created_after=params["created_after"],
        created_before=params["created_before"],
        descending=params["sort_order"] == "desc",
        request=PageRequest(limit=params["limit"], offset=min(params["offset"], 1 << 40)),
    )
    pagination = {
        "offset": params["offset"],
        "limit": params["limit"],
        "total": page.total,
        "has_more": page.has_more,
    }
    return {"tasks": [_entry(task) for task in page.items], "pagination": pagination}


@reads
def get_task(tx: Transaction, request: ApiRequest) -> Any:
    return task_json(tasks.get(tx, request.who, task_id=TaskId(request.params["task_id"].lower())))


def task_json(task: Task) -> dict[str, Any]:
    shown = _entry(task) | {
        "idempotency_key": task.idempotency_key,
        "payload": dict(task.payload),
        "result": {name: value for name, value in task.result.items() if value not in (None, "")},
        "update_time": task.updated_at,
    }
    return shown | ({"error_message": task.error_message} if task.error_message is not None else {})


def _entry(task: Task) -> dict[str, Any]:
    times = {"started_at": task.started_at, "completed_at": task.completed_at}
    return {
        "id": task.id,
        "task_name": task.name,
        "status": task.state.value,
        "create_time": task.created_at,
        **{name: moment for name, moment in times.items() if moment is not None},
    }


def _states(text: str | None) -> list[TaskState]:
    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    for name in names:
        if name not in {state.value for state in TaskState}:
            raise Invalid(f"{name!r} is not a task status; valid are: {', '.join(TaskState)}")
    return [TaskState(name) for name in names]
