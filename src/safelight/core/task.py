"""A background task, such as a download: started by a request, and finished even if the client disconnects."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NewType

from safelight.core.ids import UserId

TaskId = NewType("TaskId", str)


class TaskState(StrEnum):
    CREATED = "created"
    RUNNING = "running"  # runs again after a restart
    COMPLETED = "completed"
    FAILED = "failed"

    @property
    def is_terminal(self) -> bool:
        return self in (TaskState.COMPLETED, TaskState.FAILED)


@dataclass(frozen=True, slots=True)
class Task:
    """``result``: the progress while it runs, and the result at the end."""

    id: TaskId
    owner_id: UserId
    name: str
    idempotency_key: str
    state: TaskState
    created_at: datetime
    updated_at: datetime
    payload: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] = field(default_factory=dict)
    started_at: datetime | None = None
    completed_at: datetime | None = None
    error_code: str | None = None
    error_message: str | None = None
