"""Which node's code is running."""

import contextlib
from contextvars import ContextVar
from typing import NamedTuple


class ExecutionContext(NamedTuple):
    prompt_id: str
    node_id: str


_context = ContextVar("context", default=None)


def get_executing_context():
    return _context.get()


@contextlib.contextmanager
def running(prompt_id, node_id):
    token = _context.set(ExecutionContext(prompt_id, node_id))
    try:
        yield
    finally:
        _context.reset(token)
