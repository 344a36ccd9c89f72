"""``/api/tasks``: what runs in the background for the caller."""

from typing import Any

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.responses import json_response
from safelight.core.errors import Invalid
from safelight.core.paging import PageRequest
from safelight.core.task import Task, TaskId, TaskState
from safelight.services import task as tasks


async def list_tasks(app: App, request: ApiRequest) -> Response:
    who, params = request.who, request.params
    states = _states(params["status"])
    page_request = PageRequest(limit=params["limit"], offset=min(params["offset"], 1 << 40))
    page = await app.db.read(
        lambda tx: tasks.list(
            tx,
            who,
            name=params["task_name"],
            key=params["idempotency_key"],
            states=states,
            created_after=params["created_after"],
            created_before=params["created_before"],
            descending=params["sort_order"] == "desc",
            request=page_request,
        )
    )
    pagination = {
        "offset": params["offset"],
        "limit": params["limit"],
        "total": page.total,
        "has_more": page.has_more,
    }
    return json_response({"tasks": [_entry(task) for task in page.items], "pagination": pagination})


async def get_task(app: App, request: ApiRequest) -> Response:
    who, task_id = request.who, TaskId(request.params["task_id"].lower())
    return json_response(task_json(await app.db.read(lambda tx: tasks.get(tx, who, task_id=task_id))))


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
            raise Invalid(f"{name!r} is not a status; there are: {', '.join(TaskState)}")
    return [TaskState(name) for name in names]
