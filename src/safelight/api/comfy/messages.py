"""Events as ComfyUI's messages: what ``/ws`` sends for each event, in which order and form."""

from collections.abc import Mapping
from functools import singledispatch
from typing import Any

from safelight.api.comfy.frame import Audience, Frame, preview_frames, progress_text_frame, text_frame
from safelight.api.comfy.live import CallProgress, LiveJob
from safelight.core.clock import to_ms
from safelight.core.event import (
    CallBlocked,
    CallFinished,
    CallProgressed,
    CallReported,
    CallsCached,
    CallStarted,
    JobEnded,
    JobEvent,
    JobReattached,
    JobStarted,
    MessageSent,
    NodeCall,
    OutputMade,
    PreviewMade,
    TextShown,
)
from safelight.core.ids import shown_job_id
from safelight.core.job import JobError, JobState
from safelight.services.timeline import error_fields


def status(remaining: int, *, sid: str | None = None) -> Frame:
    """The owner's active jobs, running ones included. ``sid``: the client id, sent to a new socket only."""
    data: dict[str, Any] = {"status": {"exec_info": {"queue_remaining": remaining}}}
    return text_frame("status", data if sid is None else data | {"sid": sid})


def job_done(job: LiveJob) -> list[Frame]:
    """The last frame of a job, which tells old clients that they can read the history."""
    return [text_frame("executing", {"node": None, "prompt_id": job.id}, audience=_end_audience(job))]


@singledispatch
def frames(event: JobEvent, job: LiveJob) -> list[Frame]:
    """The messages for an event; ``job`` includes the event already. Most events other than :class:`CallReported`
    have none."""
    return []


@frames.register
def _(event: JobStarted, job: LiveJob) -> list[Frame]:
    return [text_frame("execution_start", _stamped(event))]


@frames.register
def _(event: JobReattached, job: LiveJob) -> list[Frame]:
    """For clients that connected before this server knew of the job."""
    return [] if job.current is None else [executing(job, job.current), progress_state(job)]


@frames.register
def _(event: CallReported, job: LiveJob) -> list[Frame]:
    match event.event:
        case CallsCached(call_ids):
            return [text_frame("execution_cached", {"nodes": list(call_ids)} | _stamped(event))]
        case CallStarted(call):
            return [progress_state(job), executing(job, call)]
        case CallProgressed(call, value, total):
            data = {"value": value, "max": total, "prompt_id": job.id, "node": call.id}
            return [progress_state(job), text_frame("progress", data, key=f"progress {job.id} {call.id}")]
        case CallFinished():
            return [progress_state(job)]
        case OutputMade(call, output):
            data = {"node": call.id, "display_node": call.display_id, "output": output, "prompt_id": job.id}
            return [text_frame("executed", data)]
        case CallBlocked() as blocked:
            return [_blocked(blocked, job)]
        case PreviewMade() as preview:
            return _preview(preview, job)
        case TextShown(call, text):
            return [progress_text_frame(call.id, text, key=f"text {job.id} {call.id}")]
        case MessageSent(_, name, data):
            return [text_frame(name, data)]


@frames.register
def _(event: JobEnded, job: LiveJob) -> list[Frame]:
    if event.state is JobState.COMPLETED:
        return [text_frame("execution_success", _stamped(event))]
    error = event.error or JobError("", "", node_id=job.current.display_id if job.current else "")
    if event.state is JobState.FAILED:
        return [text_frame("execution_error", {"prompt_id": job.id} | error_fields(error) | _stamped(event))]
    data = {"node_id": error.node_id, "node_type": error.node_type, "executed": list(event.executed)}
    return [
        text_frame("execution_interrupted", {"prompt_id": job.id} | data | _stamped(event), audience=_end_audience(job))
    ]


def _blocked(event: CallBlocked, job: LiveJob) -> Frame:
    """Looks like an error, but the job continues and may still succeed. ComfyUI sends it without a timestamp."""
    error = JobError(
        exception_type="ExecutionBlocked",
        exception_message=f"Execution Blocked: {event.message}",
        node_id=event.call.display_id,
        node_type=event.node_type,
        executed=event.executed,
    )
    return text_frame("execution_error", {"prompt_id": job.id} | error_fields(error))


def _preview(event: PreviewMade, job: LiveJob) -> list[Frame]:
    call = event.call
    metadata = {
        "node_id": call.id,
        "prompt_id": job.id,
        "display_node_id": call.display_id,
        "parent_node_id": call.parent_id,
        "real_node_id": call.real_id,
        "image_type": event.mime_type,
    }
    return preview_frames(metadata, event.image, event.mime_type, key=f"preview {job.id} {call.id}")


def _end_audience(job: LiveJob) -> Audience:
    """The end of a job that was cancelled before it started is not sent to the web UI, which reads the list of jobs and
    would take the message for the end of the running job. Scripts that wait for their job need it (WS-6)."""
    return Audience.ALL if job.is_started else Audience.PLAIN


def executing(job: LiveJob, call: NodeCall) -> Frame:
    return text_frame("executing", {"node": call.id, "display_node": call.display_id, "prompt_id": job.id})


def progress_state(job: LiveJob) -> Frame:
    nodes = {call_id: _node_progress(job, progress) for call_id, progress in job.calls.items()}
    return text_frame("progress_state", {"prompt_id": job.id, "nodes": nodes}, key=f"progress_state {job.id}")


def _node_progress(job: LiveJob, progress: CallProgress) -> Mapping[str, Any]:
    return {
        "value": progress.value,
        "max": progress.total,
        "state": "finished" if progress.is_finished else "running",
        "node_id": progress.call.id,
        "prompt_id": job.id,
        "display_node_id": progress.call.display_id,
        "parent_node_id": progress.call.parent_id,
        "real_node_id": progress.call.real_id,
    }


def _stamped(event: JobEvent) -> dict[str, Any]:
    return {"prompt_id": shown_job_id(event.job_id), "timestamp": to_ms(event.at)}
