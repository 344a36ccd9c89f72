"""Errors as responses: the status of each exception, in the form that the operation declares.

The client gets no details of an unexpected exception; its traceback is logged.
"""

import logging
from collections.abc import Mapping
from typing import Any

from starlette.responses import PlainTextResponse, Response

from safelight.api.content_encoding import UnsupportedEncoding
from safelight.api.contract import Operation, Shape
from safelight.api.responses import json_response
from safelight.core.errors import (
    Conflict,
    Forbidden,
    Invalid,
    InvalidName,
    InvalidPrompt,
    LimitExceeded,
    NotFound,
    SafelightError,
    StorageFull,
    TooLarge,
    Unavailable,
    Unprocessable,
    UnsupportedMedia,
)
from safelight.core.user import BudgetSpent, QuotaReached
from safelight.services.asset_library import AssetInUse

log = logging.getLogger(__name__)


class Unauthenticated(SafelightError):
    code = "unauthorized"

    def __init__(self) -> None:
        super().__init__("a valid API key or a session is required")


class NotImplementedHere(SafelightError):
    """An operation of the contract that this version does not implement."""

    code = "not_implemented"

    def __init__(self, operation: Operation) -> None:
        super().__init__(f"{operation.method} {operation.path} is not implemented by this server yet")


class BodyTooLarge(LimitExceeded):
    code = "body_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is larger than {limit} bytes")


class TooSlow(SafelightError):
    code = "body_too_slow"


STATUS: tuple[tuple[type[SafelightError], int], ...] = (
    (NotFound, 404),
    (Conflict, 409),
    (Unauthenticated, 401),
    (TooSlow, 408),
    (UnsupportedEncoding, 415),
    (Forbidden, 403),
    (LimitExceeded, 429),
    (StorageFull, 507),
    (BudgetSpent, 402),
    (Unavailable, 503),
    (NotImplementedHere, 501),
)

_TOO_LARGE_IS_400 = ("uploadImage", "uploadMask")
"""The contract's descriptions say so."""
_ENVELOPE_CODES: tuple[tuple[type[SafelightError], str], ...] = (
    (QuotaReached, "queue_full"),
    (BudgetSpent, "insufficient_credits"),
    (BodyTooLarge, "payload_too_large"),
    (AssetInUse, "asset_in_use"),
)
"""The words of Comfy API v2 for errors that have others in the first API."""
RETRY_AFTER_S = 5
_HEADERS = {401: {"www-authenticate": "Bearer"}, 408: {"connection": "close"}, 503: {"retry-after": str(RETRY_AFTER_S)}}


def status_of(error: SafelightError, operation: Operation) -> int:
    """The statuses that an operation declares decide between 400, 422 and (for an impossible name) 404, and between 400
    and 409, 413 (for a quota) or 429. A body above the limit is 413 everywhere (HTTP-23).
    """
    if isinstance(error, BodyTooLarge):
        return 400 if operation.id in _TOO_LARGE_IS_400 else 413
    if isinstance(error, TooLarge):
        return operation.too_large_status
    if isinstance(error, Unprocessable) and 422 in operation.shapes:
        return 422
    if isinstance(error, UnsupportedMedia) and 415 in operation.shapes:
        return 415
    if isinstance(error, Invalid):
        is_impossible = (
            isinstance(error, InvalidName) and 404 in operation.shapes and not {400, 422} & set(operation.shapes)
        )
        return 404 if is_impossible else operation.invalid_status
    status = next((status for kind, status in STATUS if isinstance(error, kind)), 500)
    return status if status in operation.shapes or status not in (409, 429) else operation.invalid_status


def error_response(error: Exception, operation: Operation) -> Response:
    if isinstance(error, InvalidPrompt) and operation.default_shape is Shape.ENVELOPE:
        details = {"error": error.error, "node_errors": error.node_errors}
        return json_response(_envelope("invalid_workflow", error.message, details), status=422)
    if isinstance(error, InvalidPrompt):
        return json_response({"error": error.error, "node_errors": error.node_errors}, status=400)
    if not isinstance(error, SafelightError):
        log.error("%s failed", operation.id, exc_info=error)
        return shaped(operation.shape(500), 500, "internal_error", "internal error; see the server's log")
    status = status_of(error, operation)
    if status >= 500 and status != 501:
        log.warning("%s: %s", operation.id, error)
    headers = dict(_HEADERS.get(status, {}))
    if isinstance(error, QuotaReached):
        headers["retry-after"] = str(error.retry_after_s)
    shape = operation.shape(status)
    if shape is Shape.ENVELOPE:
        code = next((code for kind, code in _ENVELOPE_CODES if type(error) is kind), error.code)
        return json_response(_envelope(code, error.message, error.details), status=status, headers=headers)
    return shaped(shape, status, error.code, error.message, headers=headers)


def shaped(shape: Shape, status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None) -> Response:
    if shape is Shape.TEXT:
        return PlainTextResponse(message, status, headers=headers)
    return json_response(_body(shape, code, message), status=status, headers=headers)


def _body(shape: Shape, code: str, message: str) -> dict[str, Any]:
    if shape is Shape.MESSAGE:
        return {"message": message}
    if shape is Shape.PROMPT:
        return {"error": {"type": code, "message": message, "details": message, "extra_info": {}}, "node_errors": {}}
    if shape is Shape.ENVELOPE:
        return _envelope(code, message, None)
    return {"code": code, "message": message}


def _envelope(code: str, message: str, details: Mapping[str, Any] | None) -> dict[str, Any]:
    error: dict[str, Any] = {"code": code, "message": message}
    return {"error": error | {"details": details} if details is not None else error}
