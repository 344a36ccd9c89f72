"""An asset as JSON, and a file that a job made. Times end with ``Z``, which the TypeScript SDK requires."""

from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request

from safelight.api.v2.asset_path import path_of
from safelight.core.asset import Asset
from safelight.core.digest import tagged
from safelight.core.ids import shown_job_id
from safelight.services.job_view import MadeFile

URL_LIFETIME = timedelta(hours=24)
"""How long clients may keep a URL before they read the asset again. The URL works as long as the asset exists."""


def asset_json(asset: Asset, request: Request, *, now: datetime, created_new: bool | None = None) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": asset.id,
        "hash": tagged(asset.digest),
        "size_bytes": asset.size,
        "content_type": asset.mime_type,
        "file_path": path_of(asset),
        "created_at": asset.created_at,
        **_url(asset, request, now),
        "expires_at": asset.expires_at,
        "job_id": None if asset.job_id is None else shown_job_id(asset.job_id),
    }
    return shown if created_new is None else shown | {"created_new": created_new}


def output_json(made: MadeFile, request: Request, *, job_id: str, now: datetime) -> dict[str, Any]:
    """``job_id``: the job that shows the file; another one may have made it, if the result was cached."""
    asset = made.asset
    name = asset.file.filename if asset.file else asset.name
    return {
        "node_id": made.node_id,
        "name": name,
        "type": _kind(name, asset.mime_type),
        "content_type": asset.mime_type,
        "size_bytes": asset.size,
        "id": asset.id,
        "hash": tagged(asset.digest),
        **_url(asset, request, now),
        "job_id": job_id,
    }


def base_url(request: Request) -> str:
    """The server's address as this client uses it."""
    return f"{request.url.scheme}://{request.url.netloc}{request.scope.get('root_path', '')}"


def _url(asset: Asset, request: Request, now: datetime) -> dict[str, Any]:
    expires_at = now + URL_LIFETIME
    if asset.expires_at is not None:
        expires_at = min(expires_at, asset.expires_at)
    return {"url": f"{base_url(request)}/api/v2/assets/{asset.id}/content", "url_expires_at": expires_at}


def _kind(name: str, mime_type: str) -> str:
    kind = mime_type.partition("/")[0]
    if name.endswith(".latent"):
        return "latent"
    return kind if kind in ("image", "video", "audio", "text") else "file"
