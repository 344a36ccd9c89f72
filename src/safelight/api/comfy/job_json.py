"""A job as JSON, in each form that clients read: list entry, detail, status, history, queue.

``None`` is left out, as clients' schemas require. Times are in milliseconds, except in the job status (RFC 3339).
"""

from collections.abc import Mapping
from typing import Any

from safelight.core.clock import to_ms
from safelight.core.job import Job, JobError, JobState, JobSummary
from safelight.services.timeline import error_fields

STATUS: Mapping[JobState, str] = {
    JobState.QUEUED: "pending",
    JobState.RUNNING: "in_progress",
    JobState.COMPLETED: "completed",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "cancelled",
}
STATE = {status: state for state, status in STATUS.items()}


def entry(job: JobSummary) -> dict[str, Any]:
    """The contract's ``JobEntry``."""
    return _present(
        id=job.shown_id,
        status=STATUS[job.state],
        priority=plain_number(job.number),
        create_time=to_ms(job.created_at),
        execution_start_time=to_ms(job.started_at) if job.started_at else None,
        execution_end_time=to_ms(job.ended_at) if job.ended_at else None,
        outputs_count=job.outputs_count,
        preview_output=job.preview_output,
        execution_error=execution_error(job.error) if job.error else None,
        workflow_id=job.workflow_id,
    )


def detail(job: Job) -> dict[str, Any]:
    """The contract's ``JobDetailResponse``, with the fields of ``JobEntry``."""
    summary = job.summary
    shown = entry(summary) | {
        "update_time": to_ms(summary.updated_at),
        "outputs": job.outputs,
        "workflow": {"prompt": job.prompt, "extra_data": job.extra_data},
    }
    if summary.state.is_terminal:
        shown |= {"execution_status": history_status(job), "execution_meta": job.meta}
    return shown


def status(job: JobSummary, *, dialect: str) -> dict[str, Any]:
    """The contract's ``JobStatusResponse``; in the ``cloud`` dialect a completed job has the status ``success``."""
    names = {JobState.FAILED: "error", JobState.COMPLETED: "success" if dialect == "cloud" else "completed"}
    return {
        "id": job.shown_id,
        "status": names.get(job.state, STATUS[job.state]),
        "created_at": job.created_at,
        "updated_at": job.updated_at,
        "last_state_update": job.ended_at or job.started_at or job.created_at,
        "assigned_inference": None,
        "error_message": job.error.exception_message if job.error else None,
    }


def history_item(job: Job) -> dict[str, Any]:
    """ComfyUI's own ``/history``."""
    return {
        "prompt": queue_item(job),
        "outputs": job.outputs,
        "status": history_status(job),
        "meta": job.meta,
    }


def history_detail(job: Job) -> dict[str, Any]:
    """The contract's ``HistoryDetailEntry``."""
    return {
        "prompt": {
            "priority": plain_number(job.summary.number),
            "prompt_id": job.shown_id,
            "prompt": job.prompt,
            "extra_data": job.extra_data,
            "outputs_to_execute": list(job.targets),
        },
        "outputs": job.outputs,
        "status": history_status(job),
        "meta": job.meta,
    }


def history_entry(job: Job) -> dict[str, Any]:
    """The contract's ``HistoryEntry``: light, without the graph and the workflow."""
    shown = dict(job.extra_data)
    pnginfo = shown.get("extra_pnginfo")
    if isinstance(pnginfo, Mapping):
        shown["extra_pnginfo"] = {k: v for k, v in pnginfo.items() if k != "workflow"}
    return _present(
        prompt_id=job.shown_id,
        create_time=to_ms(job.summary.created_at),
        workflow_id=job.summary.workflow_id,
        prompt={"priority": plain_number(job.summary.number), "prompt_id": job.shown_id, "extra_data": shown},
        outputs=job.outputs,
        status=history_status(job),
        meta=job.meta,
    )


def history_status(job: Job) -> dict[str, Any]:
    """``status_str`` has two values; a cancelled job is an ``error``, since clients wait for one of the two."""
    completed = job.summary.state is JobState.COMPLETED
    messages = [[kind, data] for kind, data in job.messages]
    return {"status_str": "success" if completed else "error", "completed": completed, "messages": messages}


def queue_item(job: Job) -> list[Any]:
    """ComfyUI's five fields: number, id, graph, extra data, outputs."""
    return [plain_number(job.summary.number), job.shown_id, job.prompt, job.extra_data, list(job.targets)]


def contract_queue_item(job: Job) -> list[Any]:
    """The contract's five fields: number, id, graph, outputs, times."""
    created = {"create_time": to_ms(job.summary.created_at)}
    return [plain_number(job.summary.number), job.shown_id, job.prompt, list(job.targets), created]


def execution_error(error: JobError) -> dict[str, Any]:
    """The contract's ``ExecutionError``, whose ``current_outputs`` is an object."""
    return error_fields(error) | {"current_outputs": dict.fromkeys(error.current_outputs)}


def plain_number(number: float) -> float | int:
    """``7`` rather than ``7.0``: clients compare it."""
    return int(number) if number == int(number) else number


def _present(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
