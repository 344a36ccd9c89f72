"""Reports of engines, as tests make and read them."""

from collections.abc import Mapping, Sequence
from typing import Any

from safelight.core.event import CallEvent, NodeCall, OutputMade
from safelight.wire.messages import CallReport, OutputReady, SavedFile


def report(event: CallEvent, *, job_id: str, attempt: int) -> CallReport:
    return CallReport.of((job_id, attempt), event)


def output(
    *,
    job_id: str,
    attempt: int,
    call: NodeCall,
    ui: Mapping[str, Any] | None,
    files: Sequence[SavedFile] = (),
    cached: bool = False,
) -> OutputReady:
    return OutputReady(job_id=job_id, attempt=attempt, made=OutputMade(call, ui, cached), files=[*files])


def opened(message: Any) -> Any:
    """The event of a report; other messages as they are."""
    return message.event if isinstance(message, CallReport) else message
