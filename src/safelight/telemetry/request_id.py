"""The id of a request, which its log lines carry and its response names.

A client or a proxy may choose it, by ``X-Request-Id`` or as the trace id of a W3C ``traceparent``
(https://www.w3.org/TR/trace-context/); otherwise it is made here.
"""

import re
import secrets
from collections.abc import Mapping
from contextvars import ContextVar

HEADER = "x-request-id"

current_request: ContextVar[str] = ContextVar("current_request", default="")
"""The id of the request that this task answers; empty outside requests."""

_CHOSEN = re.compile(r"[A-Za-z0-9._-]{1,128}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")


def request_id(headers: Mapping[str, str]) -> str:
    """The id that the headers choose, if it is one that a log line can carry; else a new one."""
    if _CHOSEN.fullmatch(chosen := headers.get(HEADER, "")):
        return chosen
    if (match := _TRACEPARENT.fullmatch(headers.get("traceparent", ""))) and int(match[1], 16):
        return match[1]
    return secrets.token_hex(16)
