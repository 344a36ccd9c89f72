"""ComfyUI's executor, which some packs patch. Ours is elsewhere: what is patched here is kept and never called."""

from typing import Any

from safelight.sdk.node import Blocker as ExecutionBlocker
from safelight.shims.absent import NotSupported, absent_attributes
from safelight.worker.context import worker_context

__getattr__ = absent_attributes(__name__)

__file__ = str(worker_context().workspace.root / "execution.py")  # packs look beside it for ComfyUI's folders


class PromptExecutor:
    """For packs that wrap ``execute``."""

    def execute(self, prompt: Any, prompt_id: str, extra_data: Any = None, execute_outputs: Any = ()) -> None:
        raise RuntimeError("jobs are run by the server; submit a prompt instead")


class PromptQueue:
    """Of the server's queue a worker knows nothing: it looks empty here, and nothing can be put into it."""

    def __init__(self) -> None:
        self.currently_running: dict[int, Any] = {}
        self.queue: list[Any] = []
        self.history: dict[str, Any] = {}
        self.flags: dict[str, Any] = {}

    def put(self, item: Any) -> None:
        raise NotSupported("a node cannot submit a job: let it expand into a graph instead")

    def get_current_queue(self) -> tuple[list[Any], list[Any]]:
        return [], []

    get_current_queue_volatile = get_current_queue

    def get_tasks_remaining(self) -> int:
        return 0

    def get_history(self, prompt_id: str | None = None, max_items: int | None = None, offset: int = -1) -> Any:
        return {}

    def set_flag(self, name: str, data: Any) -> None:
        """Memory is freed by the server's own request."""


__all__ = ["ExecutionBlocker", "PromptExecutor", "PromptQueue"]
