"""The timeline of a finished job in the history: ComfyUI's messages with their times."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from safelight.core.clock import to_ms
from safelight.core.job import JobError, JobState, JobSummary

Message = tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Cached:
    """The calls whose results were in the cache."""

    nodes: Sequence[str]
    at: datetime


def messages(
    job: JobSummary,
    *,
    started_at: datetime | None,
    cached: Cached | None,
    cause: JobError | None,
    executed: Sequence[str],
) -> list[Message]:
    """The messages of ``job``, which has ended. ``cause``: why it failed, or the call that was interrupted."""
    assert job.ended_at is not None
    timeline: list[Message] = []
    if started_at is not None:
        timeline.append(("execution_start", _common_fields(job, started_at)))
    if cached is not None:
        timeline.append(("execution_cached", {"nodes": [*cached.nodes], **_common_fields(job, cached.at)}))
    end = _common_fields(job, job.ended_at)
    if job.state is JobState.COMPLETED:
        timeline.append(("execution_success", end))
        return timeline
    where = {
        "node_id": cause.node_id if cause else "",
        "node_type": cause.node_type if cause else "",
        "executed": [*executed],
    }
    if job.state is JobState.CANCELLED:
        timeline.append(("execution_interrupted", where | end))
    elif cause is not None:
        timeline.append(("execution_error", error_fields(cause) | where | end))
    return timeline


def error_fields(error: JobError) -> dict[str, Any]:
    """The error of a job as ComfyUI's clients read it, in messages of ``/ws`` and in the history."""
    return {
        "node_id": error.node_id,
        "node_type": error.node_type,
        "executed": list(error.executed),
        "exception_message": error.exception_message,
        "exception_type": error.exception_type,
        "traceback": list(error.traceback),
        "current_inputs": dict(error.current_inputs),
        "current_outputs": list(error.current_outputs),
    }


def _common_fields(job: JobSummary, at: datetime) -> dict[str, Any]:
    return {"prompt_id": job.shown_id, "timestamp": to_ms(at)}
