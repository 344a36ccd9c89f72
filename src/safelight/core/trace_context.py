"""The trace to which the present work belongs, as a W3C ``traceparent`` (https://www.w3.org/TR/trace-context/)."""

from contextvars import ContextVar

current_traceparent: ContextVar[str] = ContextVar("current_traceparent", default="")
"""Of the request that this task answers; empty where it is not traced."""
