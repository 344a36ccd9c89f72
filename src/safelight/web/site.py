"""The web UI as an ASGI application, and the API responses whose data comes from its packages.

It finds the file, checks whether the client has it already, and sends the smallest body that the client accepts: a
prepared copy, otherwise one compressed on the fly at a quick level, otherwise the file itself. Nothing is kept in
memory, and files are looked up in threads.
"""

import asyncio
import hashlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
from anyio import to_thread
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from safelight.web.blueprints import read_blueprint
from safelight.web.copies import Copies
from safelight.web.encodings import ENCODINGS, accepted_encodings, is_compressible
from safelight.web.packages import Packages
from safelight.web.packs import Packs
from safelight.web.pages import find_page
from safelight.web.paths import WebFile, find_file
from safelight.web.prepare import BLUEPRINTS_KEY, prepare_blueprints
from safelight.web.templates import NOTHING, Here, TemplateIndex
from safelight.web.ui_texts import with_texts

OWN_EXTENSION = "safelight"

PAGE_POLICY = "; ".join(
    (
        "default-src 'self'",
        # The frontend's page has inline scripts, and parts of it and of node packs compile functions from strings.
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        # Not from the web: a picture in a note of somebody's workflow would tell its site who opens the workflow.
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "frame-src 'self' blob:",
        "frame-ancestors 'self'",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
    )
)
"""The content security policy of the web UI: scripts and requests only from and to this server."""
_MAX_COMPRESSED_ON_THE_FLY = 16 * 1024 * 1024
_CACHE_FOREVER = "public, max-age=31536000, immutable"
_REVALIDATE = "no-cache"


@dataclass(frozen=True, slots=True)
class _Found:
    """A file, its status, and the smallest prepared copy that the client accepts: its encoding and path."""

    file: WebFile
    status: os.stat_result
    accepted: Sequence[str]
    copy: tuple[str, Path] | None


class Web:
    """Mutable: what the node packs provide, known once a worker has imported them."""

    def __init__(self, packages: Packages, *, cache_dir: Path, here: Callable[[], Here] = lambda: NOTHING) -> None:
        """``here``: returns the nodes and models of this server."""
        self.packages = packages
        self._here = here
        self._templates = TemplateIndex(packages.templates)
        self._cache_dir = cache_dir
        self._copies = Copies(cache_dir, packages)
        self._own = Path(str(files("safelight.web") / "extension"))
        self._packs = Packs()
        self._preparing: asyncio.subprocess.Process | None = None
        self._blueprints_lock = asyncio.Lock()

    def use_packs(self, packs: Packs) -> None:
        self._packs = packs

    async def start(self) -> None:
        """Start to prepare copies in the background, unless they are complete."""
        if self.packages.frontend is None or self._copies.is_complete:
            return
        self._cache_dir.mkdir(parents=True, exist_ok=True)
        self._preparing = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "safelight.web.prepare", str(self._cache_dir), stdin=asyncio.subprocess.DEVNULL
        )

    @property
    def is_preparing(self) -> bool:
        return self._preparing is not None and self._preparing.returncode is None

    async def close(self) -> None:
        if self._preparing is not None and self.is_preparing:
            self._preparing.terminate()
            await self._preparing.wait()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to a request for a path that is not an API route."""
        request = Request(scope)
        response = await self._response(request)
        await response(scope, receive, send)

    async def global_subgraphs(self, request: Request) -> Response:
        """All blueprints by id, complete (``source name info data``): compressed in advance, with an ETag."""
        async with self._blueprints_lock:
            path = await to_thread.run_sync(prepare_blueprints, self.packages, self._copies)
        if path is None:
            return Response(msgspec.json.encode(self._packs.blueprints), media_type="application/json")
        if self._packs.blueprints:
            body = await to_thread.run_sync(_joined, path, self._packs.blueprints)
            return Response(body, media_type="application/json")
        file = WebFile(path, BLUEPRINTS_KEY, "application/json")
        return await self._send(await to_thread.run_sync(self._look_up, file, request.headers), request)

    def global_subgraph(self, blueprint_id: str) -> Mapping[str, Any] | None:
        """One blueprint; ``None`` if there is none with that id."""
        if blueprint_id in self._packs.blueprints:
            return self._packs.blueprints[blueprint_id]
        return read_blueprint(self.packages.blueprints, blueprint_id) if self.packages.blueprints else None

    def extensions(self) -> Sequence[str]:
        """URLs of the scripts that the web UI loads in addition to its own."""
        return [
            f"/extensions/{pack}/{script.relative_to(folder).as_posix()}"
            for pack, folder in self._scripts.items()
            for script in sorted(folder.rglob("*.js"))
        ]

    def translations(self) -> Mapping[str, Any]:
        """Texts by locale: of node packs, and of the UI where this server has its own."""
        return with_texts(self._packs.translations)

    def workflow_templates(self) -> Mapping[str, Sequence[str]]:
        """Names of example workflows by node pack. ComfyUI's own are under ``/templates``."""
        return self._packs.template_names()

    async def template(self, pack: str, filename: str, request: Request) -> Response | None:
        """A pack's example workflow or its picture; ``None`` if it does not exist."""
        folders = {pack: self._packs.templates[pack]} if pack in self._packs.templates else {}
        path = f"/extensions/{pack}/{filename}"
        found = await to_thread.run_sync(self._find, path, Packages(), folders, request.headers)
        return await self._send(found, request) if found is not None else None

    @property
    def _scripts(self) -> Mapping[str, Path]:
        """Folders of scripts by node pack, served under ``/extensions/<pack>/``. No pack replaces Safelight's own."""
        return {**self._packs.scripts, OWN_EXTENSION: self._own}

    async def _response(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            return PlainTextResponse("Only GET and HEAD are allowed here", 405, {"allow": "GET, HEAD"})
        path: str = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
        if (page := find_page(path)) is not None:
            return page
        if path in ("", "/") and self.packages.frontend is None:
            return _page_without_frontend(self.packages)
        if path == "/user.css":  # the frontend's page requests it for styles of the server
            return FileResponse(self._own / "ui.css", headers={"cache-control": _REVALIDATE}, media_type="text/css")
        found = await to_thread.run_sync(self._find, path, self.packages, self._scripts, request.headers)
        if found is None:
            return PlainTextResponse("Not found", 404, {"cache-control": "no-store"})
        if self._templates.is_index(path) and (here := self._here()).nodes:
            body = await to_thread.run_sync(self._templates.marked, found.file.path, here)
            return await self._send_made(body, found, request)
        return await self._send(found, request)

    async def _send_made(self, body: bytes, found: _Found, request: Request) -> Response:
        """``body`` instead of the file's content."""
        etag = f'W/"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
        headers = {"cache-control": _REVALIDATE, "etag": etag, "vary": "Accept-Encoding"}
        if _has(request.headers, etag):
            return Response(status_code=304, headers=headers)
        if found.accepted:
            headers["content-encoding"] = found.accepted[0]
            body = await to_thread.run_sync(ENCODINGS[found.accepted[0]].quick, body)
        return Response(body, headers=headers, media_type=found.file.mime_type)

    def _find(self, path: str, packages: Packages, extensions: Mapping[str, Path], headers: Headers) -> _Found | None:
        """Blocks."""
        file = find_file(path, packages, extensions)
        return self._look_up(file, headers) if file is not None else None

    def _look_up(self, file: WebFile, headers: Headers) -> _Found:
        """Blocks."""
        status = file.path.stat()
        compressible = is_compressible(file.mime_type, status.st_size)
        accepted = accepted_encodings(headers.get("accept-encoding")) if compressible else ()
        copy = self._copies.smallest(file.key, accepted)
        return _Found(file, status, accepted, (copy[0], copy[1]) if copy is not None else None)

    async def _send(self, found: _Found, request: Request) -> Response:
        file, status = found.file, found.status
        # Weak: to the client, the copies in all encodings are the same resource.
        etag = f'W/"{status.st_mtime_ns:x}-{status.st_size:x}"'
        headers = {
            "cache-control": _CACHE_FOREVER if file.immutable else _REVALIDATE,
            "etag": etag,
            "x-content-type-options": "nosniff",
            **({"vary": "Accept-Encoding"} if is_compressible(file.mime_type, status.st_size) else {}),
            **({"content-security-policy": PAGE_POLICY} if file.mime_type.startswith("text/html") else {}),
        }
        if _has(request.headers, etag):
            return Response(status_code=304, headers=headers)
        if found.copy is not None:
            encoding, path = found.copy
            return FileResponse(path, headers={**headers, "content-encoding": encoding}, media_type=file.mime_type)
        if found.accepted and status.st_size <= _MAX_COMPRESSED_ON_THE_FLY:
            body = await to_thread.run_sync(_compress, file.path, found.accepted[0])
            headers["content-encoding"] = found.accepted[0]
            return Response(body, headers=headers, media_type=file.mime_type)
        return FileResponse(file.path, headers=headers, media_type=file.mime_type)


def _joined(path: Path, more: Mapping[str, Any]) -> bytes:
    """The blueprints of the packages and of node packs: two JSON objects joined without parsing the large one."""
    return path.read_bytes().rstrip()[:-1] + b"," + msgspec.json.encode(more)[1:]


def _compress(path: Path, encoding: str) -> bytes:
    return ENCODINGS[encoding].quick(path.read_bytes())


def _has(headers: Headers, etag: str) -> bool:
    known = headers.get("if-none-match", "")
    return known.strip() == "*" or etag.removeprefix("W/") in (
        tag.strip().removeprefix("W/") for tag in known.split(",")
    )


def _page_without_frontend(packages: Packages) -> Response:
    missing = "".join(f"<li><code>{name}</code></li>" for name in packages.missing)
    page = (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Safelight</title>"
        "<body style='font:16px/1.5 system-ui;max-width:40rem;margin:4rem auto;padding:0 1rem'>"
        "<h1>Safelight is running</h1><p>The API is available under <code>/api</code>. The web UI is not installed; "
        f"these packages are missing:</p><ul>{missing}</ul>"
        "<p>Install them into the server's environment, then restart the server:</p>"
        "<pre>pip install 'safelight[web]'</pre>"
    )
    return HTMLResponse(page, headers={"cache-control": "no-store"})
