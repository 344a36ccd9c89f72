"""Reading request bodies within limits. JSON is parsed whatever the Content-Type is: most clients send ``text/plain``,
none at all, or a form type (``urllib``). The Origin was checked before.
"""

import gc
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.requests import Request

from safelight.api.error_responses import BodyTooLarge
from safelight.core.errors import Invalid

MAX_VALUES = 1_000_000
"""Objects, arrays and members: each takes more memory than its bytes. A graph of 10,000 nodes has 200,000."""
MAX_DEPTH = 128
"""Nested objects and arrays; a workflow with nested subgraphs has fewer than 40 levels."""

_decode = msgspec.json.Decoder().decode


class InvalidBody(Invalid):
    code = "invalid_body"


async def read_body(request: Request, *, limit: int) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise BodyTooLarge(limit)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise BodyTooLarge(limit)
        chunks.append(chunk)
    return b"".join(chunks)


def parse_json(body: bytes) -> Any:
    """Raises :class:`InvalidBody` for a body that is not JSON (NaN and lone surrogates are not), for nesting deeper
    than :data:`MAX_DEPTH`, and for more than :data:`MAX_VALUES` values (commas inside strings count as well)."""
    containers = body.count(b"[") + body.count(b"{")
    if containers + body.count(b",") > MAX_VALUES:
        raise InvalidBody(f"the body has more than {MAX_VALUES} values")
    try:
        value = _without_collection(_decode, body)
    except RecursionError:
        raise InvalidBody(f"the body is nested deeper than {MAX_DEPTH} levels") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidBody(f"the body is not JSON: {error}") from None
    if containers > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise InvalidBody(f"the body is nested deeper than {MAX_DEPTH} levels")
    return value


def _without_collection(decode: Callable[[bytes], Any], body: bytes) -> Any:
    """Decode without garbage collection, which would take most of the time: a large body makes many objects, all
    alive."""
    is_collecting = gc.isenabled()
    gc.disable()
    try:
        return decode(body)
    finally:
        if is_collecting:
            gc.enable()


def _depth(value: Any) -> int:
    depth = 0
    level = [value]
    while level and depth <= MAX_DEPTH:
        depth += 1
        level = [child for container in level for child in _children(container) if isinstance(child, (dict, list))]
    return depth


def _children(container: Any) -> Any:
    return container.values() if isinstance(container, dict) else container if isinstance(container, list) else ()
