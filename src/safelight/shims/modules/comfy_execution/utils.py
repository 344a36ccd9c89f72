"""Which call is running."""

from typing import NamedTuple

from safelight.sdk.context import current


class ExecutionContext(NamedTuple):
    prompt_id: str
    node_id: str
    list_index: int | None


def get_executing_context() -> ExecutionContext | None:
    """``None`` outside a run. ``prompt_id`` is the job's id."""
    try:
        run = current()
    except RuntimeError:
        return None
    return ExecutionContext(run.job_id, run.call_id, None)
