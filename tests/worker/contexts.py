"""A worker context of a test's own in place of the process's."""

from collections.abc import Iterator
from contextlib import contextmanager

from safelight.worker.context import WorkerContext, set_worker_context, worker_context


@contextmanager
def using(context: WorkerContext) -> Iterator[WorkerContext]:
    before = worker_context()
    set_worker_context(context)
    try:
        yield context
    finally:
        set_worker_context(before)
