"""``PromptServer.instance``: messages of packs to clients, and routes that packs add to the server.

A pack runs in a worker process, which has no sockets. What it sends during a job goes to the job's client. Its routes
are collected here and served by ``runtime/pack_server.py``; its handlers of prompts are not called
(``docs/reference/custom-packs.md``).
"""

import asyncio
import io
import logging
import uuid  # packs take it from here
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from safelight.sdk.context import Context, current
from safelight.shims.modules.execution import PromptQueue
from safelight.shims.modules.protocol import BinaryEventTypes
from safelight.shims.pack_caller import importing_pack, send_to_caller
from safelight.worker.context import worker_context

__file__ = str(worker_context().workspace.root / "server.py")  # packs look beside it for ComfyUI's web folder

log = logging.getLogger(__name__)

_FORMATS = {"PNG": "image/png", "JPEG": "image/jpeg"}


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    handler: Any
    pack: str = ""


@dataclass
class Routes:
    """``@routes.get("/x")`` and so on. Mutable: collects routes."""

    collected: list[Route] = field(default_factory=list)

    def route(self, method: str, path: str, **_: Any) -> Callable[[Any], Any]:
        def add(handler: Any) -> Any:
            self.collect(method, path, handler)
            return handler

        return add

    def collect(self, method: str, path: str, handler: Any) -> None:
        self.collected.append(Route(method, path, handler, importing_pack.get()))

    def get(self, path: str, **options: Any) -> Callable[[Any], Any]:
        return self.route("GET", path, **options)

    def post(self, path: str, **options: Any) -> Callable[[Any], Any]:
        return self.route("POST", path, **options)

    def put(self, path: str, **options: Any) -> Callable[[Any], Any]:
        return self.route("PUT", path, **options)

    def patch(self, path: str, **options: Any) -> Callable[[Any], Any]:
        return self.route("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> Callable[[Any], Any]:
        return self.route("DELETE", path, **options)

    def head(self, path: str, **options: Any) -> Callable[[Any], Any]:
        return self.route("HEAD", path, **options)

    def view(self, path: str, **options: Any) -> Callable[[Any], Any]:
        return self.route("*", path, **options)

    def static(self, prefix: str, path: Any, **_: Any) -> None:
        self.collect("STATIC", prefix, path)


@dataclass
class Router:
    """``app.router``: aiohttp's other methods to add routes. Mutable: ``frozen`` once the routes are served."""

    routes: Routes
    frozen: bool = False

    def add_route(self, method: str, path: str, handler: Any, **_: Any) -> None:
        if self.frozen:
            raise RuntimeError(f"cannot add the route {path}: routes are added while a pack is imported")
        self.routes.collect(method, path, handler)

    def add_get(self, path: str, handler: Any, **options: Any) -> None:
        self.add_route("GET", path, handler, **options)

    def add_post(self, path: str, handler: Any, **options: Any) -> None:
        self.add_route("POST", path, handler, **options)

    def add_static(self, prefix: str, path: Any, **_: Any) -> None:
        self.add_route("STATIC", prefix, path)

    def add_routes(self, routes: Any) -> None:
        """Add aiohttp's route definitions: handlers, and folders of static files."""
        for route in routes:
            if hasattr(route, "handler"):
                self.add_route(route.method, route.path, route.handler)
            else:
                self.add_static(route.prefix, route.path)


class Application(dict[Any, Any]):
    """``app``. Mutable: packs store values in it, and append to its lists; those callbacks are never called."""

    def __init__(self, routes: Routes) -> None:
        super().__init__()
        self.router = Router(routes)
        self.add_routes = self.router.add_routes
        self.middlewares: list[Any] = []
        self.on_startup: list[Any] = []
        self.on_shutdown: list[Any] = []
        self.on_cleanup: list[Any] = []
        self.on_response_prepare: list[Any] = []


class PromptServer:
    """Mutable: packs set attributes of their own on :attr:`instance`."""

    instance: "PromptServer"

    def __init__(self) -> None:
        self.routes = Routes()
        self.app = Application(self.routes)
        self.address = "127.0.0.1"
        self.port = 8188
        self.number = 0
        self.supports = ["custom_nodes_from_web"]
        self.sockets: dict[str, Any] = {}
        self.sockets_metadata: dict[str, Any] = {}
        self.on_prompt_handlers: list[Callable[[Any], Any]] = []
        self.prompt_queue = PromptQueue()

    @cached_property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of the routes; if no pack has routes, one that is not running."""
        return asyncio.new_event_loop()

    @property
    def client_id(self) -> str | None:
        """Set while a job runs: packs send nothing without it. Messages always go to the job's client."""
        return self.last_prompt_id

    @property
    def last_prompt_id(self) -> str | None:
        context = _context()
        return context.job_id if context is not None else None

    @property
    def last_node_id(self) -> str | None:
        context = _context()
        return context.call_id if context is not None else None

    def add_on_prompt_handler(self, handler: Callable[[Any], Any]) -> None:
        """Record the handler, which is never called: the server validates prompts before a worker sees them."""
        self.on_prompt_handlers.append(handler)

    def add_routes(self) -> None:
        """Does nothing: routes are served once all packs are loaded."""

    def send_sync(self, event: str | int, data: Any, sid: str | None = None) -> None:
        """Send a message. While a job runs, to its client, whatever ``sid`` is. From a route's handler, to the socket
        ``sid`` of the user who called it, or without one to all of their sockets. Packs cannot reach other users."""
        context = _context()
        if context is None:
            _send_to_caller(event, data, sid)
        elif event in (BinaryEventTypes.PREVIEW_IMAGE, BinaryEventTypes.UNENCODED_PREVIEW_IMAGE):
            _send_image(context, data)
        elif event == BinaryEventTypes.TEXT:
            context.show_text(data.decode(errors="replace") if isinstance(data, bytes) else str(data))
        elif isinstance(event, str):
            if event == "progress" and isinstance(data, Mapping) and "value" in data and "max" in data:
                context.progress(data["value"], data["max"])
            else:
                context.send(event, data)

    async def send(self, event: str | int, data: Any, sid: str | None = None) -> None:
        self.send_sync(event, data, sid)

    send_json = send_bytes = send

    def send_progress_text(self, text: str | bytes, node_id: str, sid: str | None = None) -> None:
        self.send_sync(BinaryEventTypes.TEXT, text, sid)

    def queue_updated(self) -> None:
        """Does nothing: the server reports the queue to clients."""

    def get_queue_info(self) -> dict[str, Any]:
        return {"exec_info": {"queue_remaining": 1 if _context() is not None else 0}}


def _context() -> Context | None:
    try:
        return current()
    except RuntimeError:
        return None


def _send_to_caller(event: str | int, data: Any, sid: str | None) -> None:
    send = send_to_caller.get()
    if send is None or not isinstance(event, str):
        log.info("dropped the message %r of a node pack: no job is running and no request called it", event)
    else:
        send(event, data, sid or "")


def _send_image(context: Context, data: Any) -> None:
    """Send a picture. ``data``: ``(format, PIL image, largest side or None)``, or the encoded bytes after a type of
    four bytes."""
    if isinstance(data, bytes):
        kind = int.from_bytes(data[:4], "big")
        context.send_image(data[4:], "image/png" if kind == 2 else "image/jpeg")
        return
    name, image, side = data[0], data[1], data[2] if len(data) > 2 else None
    if side is not None:
        image = image.copy()
        image.thumbnail((side, side))
    encoded = io.BytesIO()
    image.save(encoded, format=name, quality=95, compress_level=1)
    context.send_image(encoded.getvalue(), _FORMATS.get(name, "image/jpeg"))


def __getattr__(name: str) -> Any:
    """``server.web`` is aiohttp's: imported when a pack asks for it."""
    if name == "web":
        from aiohttp import web

        return web
    raise AttributeError(f"module 'server' has no attribute {name!r}")


PromptServer.instance = PromptServer()

__all__ = ["BinaryEventTypes", "PromptServer", "uuid"]
