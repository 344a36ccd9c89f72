"""The timeline of a job's end, as the history shows it: ComfyUI's messages with their times."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from safelight.core.clock import to_ms
from safelight.core.job import JobError, JobState, JobSummary

Message = tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Cached:
    """The calls that the run found in its cache."""

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
    """``job`` has ended; ``cause``: why it failed, or which call an interruption met."""
    assert job.ended_at is not None
    timeline: list[Message] = []
    if started_at is not None:
        timeline.append(("execution_start", _words(job, started_at)))
    if cached is not None:
        timeline.append(("execution_cached", {"nodes": [*cached.nodes], **_words(job, cached.at)}))
    end = _words(job, job.ended_at)
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
        what = {
            "exception_message": cause.exception_message,
            "exception_type": cause.exception_type,
            "traceback": [*cause.traceback],
            "current_inputs": dict(cause.current_inputs),
            "current_outputs": [*cause.current_outputs],
        }
        timeline.append(("execution_error", where | what | end))
    return timeline


def _words(job: JobSummary, at: datetime) -> dict[str, Any]:
    return {"prompt_id": job.shown_id, "timestamp": to_ms(at)}
