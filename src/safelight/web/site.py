"""The web UI as an ASGI application, and the answers of the API that come from its packages.

It finds a file, decides whether the client has it already, and sends the smallest body that the client takes: a
prepared copy, else one compressed on the spot at a quick level, else the file as it is. Nothing is kept in memory.
"""

import asyncio
import sys
from collections.abc import Mapping, Sequence
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

OWN_EXTENSION = "safelight"

PAGE_POLICY = "; ".join(
    (
        "default-src 'self'",
        # The frontend's page has scripts in it, and some of its parts and of node packs compile functions.
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob: https:",  # notes in workflows show pictures of the web
        "media-src 'self' data: blob: https:",
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
"""What the web UI's page may load and whom it may call: this server, and nobody else."""
_LARGEST_ON_THE_SPOT = 16 * 1024 * 1024
_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"


class Web:
    """Mutable: what the node packs bring, known once a worker has imported them."""

    def __init__(self, packages: Packages, *, cache_dir: Path) -> None:
        self.packages = packages
        self._cache_dir = cache_dir
        self._copies = Copies(cache_dir, packages)
        self._own = Path(str(files("safelight.web") / "extension"))
        self._packs = Packs()
        self._preparing: asyncio.subprocess.Process | None = None
        self._blueprints_lock = asyncio.Lock()

    def use_packs(self, packs: Packs) -> None:
        self._packs = packs

    async def start(self) -> None:
        """Begin to prepare copies in the background, unless they are there."""
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
        """Answer a request for a path that is no route of the API."""
        request = Request(scope)
        response = await self._answer(request)
        await response(scope, receive, send)

    async def global_subgraphs(self, request: Request) -> Response:
        """Blueprints by id, whole (``source name info data``): compressed once and for all, with an ETag."""
        async with self._blueprints_lock:
            path = await to_thread.run_sync(prepare_blueprints, self.packages, self._copies)
        if path is None:
            return Response(msgspec.json.encode(self._packs.blueprints), media_type="application/json")
        if self._packs.blueprints:
            body = await to_thread.run_sync(_joined, path, self._packs.blueprints)
            return Response(body, media_type="application/json")
        return await self._send(WebFile(path, BLUEPRINTS_KEY, "application/json"), request)

    def global_subgraph(self, blueprint_id: str) -> Mapping[str, Any] | None:
        """One of them; ``None`` where there is none of that id."""
        if blueprint_id in self._packs.blueprints:
            return self._packs.blueprints[blueprint_id]
        return read_blueprint(self.packages.blueprints, blueprint_id) if self.packages.blueprints else None

    def extensions(self) -> Sequence[str]:
        """Addresses of the scripts that the web UI loads beside its own."""
        return [
            f"/extensions/{pack}/{script.relative_to(folder).as_posix()}"
            for pack, folder in self._scripts.items()
            for script in sorted(folder.rglob("*.js"))
        ]

    def translations(self) -> Mapping[str, Any]:
        """By locale, of node packs. The UI's own, and those of ComfyUI's nodes, are in its package."""
        return self._packs.translations

    def workflow_templates(self) -> Mapping[str, Sequence[str]]:
        """Names of example workflows by node pack. ComfyUI's own are under ``/templates``."""
        return self._packs.template_names()

    async def template(self, pack: str, filename: str, request: Request) -> Response | None:
        """A pack's example workflow or its picture; ``None`` where there is none."""
        folders = {pack: self._packs.templates[pack]} if pack in self._packs.templates else {}
        file = find_file(f"/extensions/{pack}/{filename}", Packages(), folders)
        return await self._send(file, request) if file is not None else None

    @property
    def _scripts(self) -> Mapping[str, Path]:
        """Folders of scripts by node pack, served under ``/extensions/<pack>/``; no pack can stand in for ours."""
        return {**self._packs.scripts, OWN_EXTENSION: self._own}

    async def _answer(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            return PlainTextResponse("Only GET and HEAD are allowed here", 405, {"allow": "GET, HEAD"})
        path: str = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
        if (page := find_page(path)) is not None:
            return page
        if path in ("", "/") and self.packages.frontend is None:
            return _page_without_frontend(self.packages)
        if path == "/user.css":
            # Every page asks for it: a place for the server's own style, which it has none of.
            return Response(b"", media_type="text/css", headers={"cache-control": _ASK_AGAIN})
        file = find_file(path, self.packages, self._scripts)
        if file is None:
            return PlainTextResponse("Not found", 404, {"cache-control": "no-store"})
        return await self._send(file, request)

    async def _send(self, file: WebFile, request: Request) -> Response:
        stat = file.path.stat()
        # Weak: the copies of all encodings are one thing to the client, whichever it got the first time.
        etag = f'W/"{stat.st_mtime_ns:x}-{stat.st_size:x}"'
        compressible = is_compressible(file.mime_type, stat.st_size)
        headers = {
            "cache-control": _FOR_EVER if file.immutable else _ASK_AGAIN,
            "etag": etag,
            "x-content-type-options": "nosniff",
            **({"vary": "Accept-Encoding"} if compressible else {}),
            **({"content-security-policy": PAGE_POLICY} if file.mime_type.startswith("text/html") else {}),
        }
        if _has(request.headers, etag):
            return Response(status_code=304, headers=headers)
        accepted = accepted_encodings(request.headers.get("accept-encoding")) if compressible else ()
        if (copy := self._copies.smallest(file.key, accepted)) is not None:
            encoding, path, _ = copy
            return FileResponse(path, headers={**headers, "content-encoding": encoding}, media_type=file.mime_type)
        if accepted and stat.st_size <= _LARGEST_ON_THE_SPOT:
            body = await to_thread.run_sync(_compress, file.path, accepted[0])
            headers["content-encoding"] = accepted[0]
            return Response(body, headers=headers, media_type=file.mime_type)
        return FileResponse(file.path, headers=headers, media_type=file.mime_type)


def _joined(path: Path, more: Mapping[str, Any]) -> bytes:
    """The packages' blueprints and those of packs: two objects made one, without reading the large one apart."""
    return path.read_bytes().rstrip()[:-1] + b"," + msgspec.json.encode(more)[1:]


def _compress(path: Path, encoding: str) -> bytes:
    return ENCODINGS[encoding].quick(path.read_bytes())


def _has(headers: Headers, etag: str) -> bool:
    known = headers.get("if-none-match", "")
    return known.strip() == "*" or etag.removeprefix("W/") in (
        tag.strip().removeprefix("W/") for tag in known.split(",")
    )


def _page_without_frontend(packages: Packages) -> Response:
    wanted = "".join(f"<li><code>{name}</code></li>" for name in packages.missing)
    page = (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Safelight</title>"
        "<body style='font:16px/1.5 system-ui;max-width:40rem;margin:4rem auto;padding:0 1rem'>"
        "<h1>Safelight is running</h1><p>The API answers under <code>/api</code>. The web UI is not installed:</p>"
        f"<ul>{wanted}</ul><p>Install it into the server's environment, then restart the server:</p>"
        "<pre>pip install 'safelight[web]'</pre>"
    )
    return HTMLResponse(page, headers={"cache-control": "no-store"})
