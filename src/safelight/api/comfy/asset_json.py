"""An asset as JSON: the contract's fields, and others that clients read (``hash``, ``loader_path``)."""

import base64
import binascii
import json
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from starlette.requests import Request

from safelight.core.asset import PUBLIC_OWNER, Asset, AssetCursor, AssetSort
from safelight.core.digest import tagged
from safelight.core.errors import Invalid
from safelight.core.ids import AssetId, shown_job_id


def asset_json(asset: Asset, request: Request) -> dict[str, Any]:
    """Unknown values are left out: the web UI does not accept null for a size, a hash or a URL."""
    shown: dict[str, Any] = {
        "id": asset.id,
        "name": asset.name,
        "display_name": asset.name,
        "asset_hash": tagged(asset.digest),
        "hash": tagged(asset.digest),
        "size": asset.size,
        "mime_type": asset.mime_type,
        "tags": list(asset.tags),
        "user_metadata": dict(asset.user_metadata),
        "metadata": dict(asset.source_metadata),
        "created_at": asset.created_at,
        "updated_at": asset.updated_at,
        "is_immutable": asset.owner_id == PUBLIC_OWNER,
        "preview_id": asset.preview_id or (asset.id if _is_picture(asset) else None),
    }
    if asset.last_access_at is not None:
        shown["last_access_time"] = asset.last_access_at
    if asset.preview_id is not None or _is_picture(asset):
        shown["preview_url"] = _preview_url(asset, request)
    if asset.loader_path is not None:
        shown["loader_path"] = asset.loader_path
    if asset.job_id is not None and _is_uuid(job_id := shown_job_id(asset.job_id)):
        shown |= {"job_id": job_id, "prompt_id": job_id}
    return shown


def updated_json(asset: Asset) -> dict[str, Any]:
    return {
        "id": asset.id,
        "name": asset.name,
        "display_name": asset.name,
        "asset_hash": tagged(asset.digest),
        "hash": tagged(asset.digest),
        "mime_type": asset.mime_type,
        "tags": list(asset.tags),
        "user_metadata": dict(asset.user_metadata),
        "updated_at": asset.updated_at,
    }


def parse_asset_id(text: object, *, what: str = "id") -> AssetId:
    """A UUID in its usual spelling. Raises :class:`Invalid`."""
    if not isinstance(text, str) or not _is_uuid(text):
        raise Invalid(f"{what} is {text!r}, which is not a UUID")
    return AssetId(str(UUID(text)))


def write_cursor(cursor: AssetCursor) -> str:
    plain = json.dumps([cursor.sort.value, cursor.descending, cursor.key, cursor.seq], separators=(",", ":"))
    return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")


def read_cursor(text: str) -> AssetCursor:
    """Raises :class:`Invalid` for what :func:`write_cursor` did not write."""
    try:
        sort, descending, key, seq = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        cursor = AssetCursor(AssetSort(sort), descending, key, seq)
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise Invalid("this cursor was not made by this server") from None
    is_text = cursor.sort is AssetSort.NAME
    numbers = [seq] if is_text else [seq, key]
    is_right = all(type(n) is int and 0 <= n < 2**62 for n in numbers) and isinstance(descending, bool)
    if not is_right or (is_text and (not isinstance(key, str) or not key.isprintable())):
        raise Invalid("this cursor was not made by this server")
    return cursor


def _preview_url(asset: Asset, request: Request) -> str:
    if asset.preview_id is not None:
        path = f"/api/assets/{asset.preview_id}/content"
    elif asset.file is not None:
        file = asset.file
        query = {"filename": file.filename, "subfolder": file.subfolder, "type": file.folder.value}
        path = f"/api/view?{urlencode(query)}"
    else:
        path = f"/api/assets/{asset.id}/content"
    return f"{request.url.scheme}://{request.url.netloc}{request.scope.get('root_path', '')}{path}"


def _is_picture(asset: Asset) -> bool:
    return asset.mime_type.startswith("image/")


def _is_uuid(text: str) -> bool:
    try:
        return len(text) == 36 and str(UUID(text)) == text.lower()
    except ValueError:
        return False
