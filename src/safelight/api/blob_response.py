"""A stored blob as a response: with ETag, ranges and conditions; or a redirect to the object store.

The ETag is the digest, so a client never downloads the same bytes twice. Only single ranges are supported; a request
for several gets the whole file.

An object store responds with the type and the disposition that the URL was signed with, and with none of our other
headers. So only pictures, videos and sounds, which a browser treats as nothing else, and files of unknown type are
redirected. The store knows neither our site nor our ETags: requests of scripts, and ranges with conditions, are
answered here.
"""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from safelight.api.byte_headers import DOWNLOAD, byte_headers
from safelight.api.responses import has_current, json_response
from safelight.blobs.store import BlobMissing, BlobStore, Presigning
from safelight.core.asset import Asset

_SHOWN = ("image/", "video/", "audio/")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


LINK_S = 15 * 60
"""How long a URL of the store is valid: a video is read in ranges while it plays."""


async def blob_response(
    request: Request, asset: Asset, blobs: BlobStore, *, presigning: Presigning | None = None
) -> Response:
    """Raises :class:`~safelight.blobs.store.BlobMissing`, before anything is sent, if the bytes are missing."""
    etag = f'"{asset.digest[:32]}"'
    headers = {
        "etag": etag,
        "last-modified": format_datetime(asset.updated_at.astimezone(UTC), usegmt=True),
        "cache-control": "private, no-cache",
        "accept-ranges": "bytes",
        **byte_headers(asset.file.filename if asset.file else asset.name, asset.mime_type),
    }
    if has_current(request, etag) or _is_unchanged_since(request, asset.updated_at):
        return Response(status_code=304, headers=headers)
    span = _range(request, asset.size) if _range_applies(request, etag, asset.updated_at) else None
    if span == ():
        message = f"the file has {asset.size} bytes"
        headers = {"content-range": f"bytes */{asset.size}"}
        return json_response({"code": "range_not_satisfiable", "message": message}, status=416, headers=headers)
    start, end = span or (0, asset.size)
    if span:
        headers["content-range"] = f"bytes {start}-{end - 1}/{asset.size}"
    headers["content-length"] = str(end - start)
    status = 206 if span else 200
    if request.method == "HEAD" or start == end:
        return Response(status_code=status, headers=headers)
    if presigning is not None and _may_redirect(request, asset, content_type=headers["content-type"]):
        if await blobs.stat(asset.digest) is None:
            raise BlobMissing(f"there is no blob {asset.digest}")
        kind, disposition = headers["content-type"], headers["content-disposition"]
        address = await presigning.sign_get(asset.digest, content_type=kind, disposition=disposition, expires_s=LINK_S)
        if address is not None:
            headers = {"location": address, "etag": etag, "cache-control": "private, no-store"}
            return Response(status_code=302, headers=headers)
    chunks = blobs.read(asset.digest, start=start, end=None if end == asset.size else end)
    first = await anext(chunks)
    if len(first) == end - start:
        return Response(first, status, headers)
    return StreamingResponse(_chained(first, chunks), status, headers)


def _may_redirect(request: Request, asset: Asset, *, content_type: str) -> bool:
    is_script = request.headers.get("sec-fetch-mode") in ("cors", "same-origin")
    is_harmless = content_type.startswith(_SHOWN) or asset.mime_type == DOWNLOAD
    return is_harmless and not is_script and "if-range" not in request.headers


def _is_unchanged_since(request: Request, modified: datetime) -> bool:
    since = _date(request.headers.get("if-modified-since"))
    has_etag = "if-none-match" in request.headers
    return since is not None and not has_etag and modified.replace(microsecond=0) <= since


def _range_applies(request: Request, etag: str, modified: datetime) -> bool:
    condition = request.headers.get("if-range")
    return condition is None or condition == etag or _date(condition) == modified.replace(microsecond=0)


def _date(text: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text) if text else None
    except ValueError:
        return None
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


def _range(request: Request, size: int) -> tuple[int, int] | tuple[()] | None:
    """``(start, end)``; ``()`` for a range beyond the end of the file; ``None`` for the whole file."""
    match = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    if match is None or not any(match.groups()):
        return None
    first, last = match.groups()
    if not first:
        return (max(size - int(last), 0), size) if int(last) and size else ()
    start, end = int(first), min(int(last) + 1, size) if last else size
    if last and int(last) < int(first):
        return None
    return (start, end) if start < size else ()


async def _chained(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk
