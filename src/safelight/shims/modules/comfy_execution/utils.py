"""The running call."""

from typing import NamedTuple

from safelight.sdk.context import current


class ExecutionContext(NamedTuple):
    prompt_id: str
    node_id: str
    list_index: int | None


def get_executing_context() -> ExecutionContext | None:
    """Return ``None`` outside a call. ``prompt_id`` is the job's id."""
    try:
        context = current()
    except RuntimeError:
        return None
    return ExecutionContext(context.job_id, context.call_id, None)
