"""What an execution reports, as the message that tells the server."""

from safelight.graph import instructions as do
from safelight.wire import messages as say

Report = do.ReportCached | do.ReportStarted | do.ReportFinished | do.ReportBlocked | do.EmitOutput


def report(instruction: Report, fence: tuple[str, int], files: list[say.SavedFile]) -> say.Message:
    """``files``: those that the call saved and nobody was told of yet."""
    job_id, attempt = fence
    match instruction:
        case do.ReportCached(call_ids):
            return say.CallsCached(job_id=job_id, attempt=attempt, nodes=list(call_ids))
        case do.ReportStarted(call):
            return say.CallStarted(job_id=job_id, attempt=attempt, call=call)
        case do.ReportFinished(call):
            return say.CallFinished(job_id=job_id, attempt=attempt, call=call)
        case do.ReportBlocked(call, node, message, executed):
            return say.CallBlocked(
                job_id=job_id, attempt=attempt, call=call, node_type=node, message=message, executed=list(executed)
            )
        case do.EmitOutput(call, ui, cached):
            shown = dict(ui) if ui is not None else None
            return say.OutputReady(job_id=job_id, attempt=attempt, call=call, ui=shown, files=files, cached=cached)
