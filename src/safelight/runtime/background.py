"""An event loop in a thread of its own, for nodes that are coroutines: they overlap with each other and with plain
nodes.

The first of them starts it; a worker whose nodes are all plain functions has none. ``sys.exit`` in one of them does not
end the loop.
"""

import asyncio
import concurrent.futures
import contextvars
import logging
import threading
from collections.abc import Coroutine
from typing import Any

from safelight.runtime.inference import enter_inference_mode

log = logging.getLogger(__name__)


class BackgroundLoop:
    """Mutable: the loop, once it is started."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def submit(self, work: Coroutine[Any, Any, Any], context: contextvars.Context) -> concurrent.futures.Future[Any]:
        """Run ``work`` with the context variables of ``context``. Cancelling the future cancels the work."""
        return asyncio.run_coroutine_threadsafe(self._in_context(work, context), self._running())

    async def _in_context(self, work: Coroutine[Any, Any, Any], context: contextvars.Context) -> Any:
        return await asyncio.get_running_loop().create_task(work, context=context)

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            loop = self._loop = asyncio.new_event_loop()
            threading.Thread(target=_run, args=(loop,), name="async-nodes", daemon=True).start()
            loop.call_soon_threadsafe(enter_inference_mode)
        return self._loop


def _run(loop: asyncio.AbstractEventLoop) -> None:
    while True:
        try:
            loop.run_forever()
            return
        except SystemExit as error:  # asyncio passes it on from any task
            log.warning("sys.exit(%r) in a task of a node pack is ignored", error.code)
