"""Responses that handlers share: JSON, and bodies with an ETag that the client may have cached."""

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

_encode = msgspec.json.Encoder().encode


PRIVATE = {"cache-control": "private, no-store", "x-content-type-options": "nosniff"}
"""Headers of responses that set no others: no cache may store one user's response for another user."""


def encode_json(content: Any) -> bytes:
    """Times become RFC 3339 strings, dataclasses become objects, and NaN (which JSON lacks) becomes null."""
    return _encode(content)


def json_response(content: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(encode_json(content), status, {**PRIVATE, **(headers or {})}, media_type="application/json")


def has_current(request: Request, etag: str) -> bool:
    """Whether the client has the body that ``etag`` (with its quotes) identifies, so that 304 is the response."""
    header = request.headers.get("if-none-match")
    if header is None:
        return False
    return header.strip() == "*" or etag in (tag.strip().removeprefix("W/") for tag in header.split(","))


def accepted_encoding(request: Request, offered: tuple[str, ...]) -> str:
    """The first of ``offered`` (in the server's order) that the client accepts, else ``identity``."""
    accepted = {}
    for item in request.headers.get("accept-encoding", "").split(","):
        name, _, parameters = item.strip().partition(";")
        quality = parameters.strip().removeprefix("q=")
        accepted[name.strip().lower()] = quality not in ("0", "0.0", "0.00", "0.000")
    return next((name for name in offered if accepted.get(name, accepted.get("*", False))), "identity")
