"""ComfyUI's executor, which some packs patch. It is not used here, so patches have no effect."""

from typing import Any

from safelight.sdk.node import Blocker as ExecutionBlocker
from safelight.shims.absent import NotSupported, absent_attributes
from safelight.worker.context import worker_context

__getattr__ = absent_attributes(__name__)

__file__ = str(worker_context().workspace.root / "execution.py")  # packs look beside it for ComfyUI's folders


class PromptExecutor:
    """For packs that wrap ``execute``."""

    def execute(self, prompt: Any, prompt_id: str, extra_data: Any = None, execute_outputs: Any = ()) -> None:
        raise RuntimeError("the server runs jobs; submit a prompt instead")

    def handle_execution_error(
        self, prompt_id: str, prompt: Any, current_outputs: Any, executed: Any, error: Any, ex: Any
    ) -> None:
        """Does nothing: the server reports why a job failed."""


class PromptQueue:
    """A worker does not know the server's queue: here it is always empty, and nothing can be added."""

    def __init__(self) -> None:
        self.currently_running: dict[int, Any] = {}
        self.queue: list[Any] = []
        self.history: dict[str, Any] = {}
        self.flags: dict[str, Any] = {}

    def put(self, item: Any) -> None:
        raise NotSupported("a node cannot submit a job; return a graph as its expansion instead")

    def get_current_queue(self) -> tuple[list[Any], list[Any]]:
        return [], []

    get_current_queue_volatile = get_current_queue

    def get_tasks_remaining(self) -> int:
        return 0

    def get_history(self, prompt_id: str | None = None, max_items: int | None = None, offset: int = -1) -> Any:
        return {}

    def set_flag(self, name: str, data: Any) -> None:
        """Does nothing: the server itself requests that memory is freed."""


__all__ = ["ExecutionBlocker", "PromptExecutor", "PromptQueue"]
