"""``PromptServer.instance``: messages of packs, and routes that they add."""

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from PIL import Image
from tests.nodes.context import FolderContext

from safelight.shims.modules.server import BinaryEventTypes, PromptServer, Routes
from safelight.shims.pack_caller import send_to_caller


def test_routes_are_collected_however_they_are_added() -> None:
    routes = Routes()
    server = PromptServer()
    server.routes.collected.clear()

    async def handler(request: web.Request) -> web.Response:
        return web.Response()

    assert server.routes.get("/a")(handler) is handler
    server.routes.post("/b")(handler)
    server.app.add_routes([web.get("/c", handler), web.static("/d", "/tmp")])
    server.app.router.add_get("/e", handler)
    found = [(r.method, r.path) for r in server.routes.collected]
    assert found == [("GET", "/a"), ("POST", "/b"), ("GET", "/c"), ("STATIC", "/d"), ("GET", "/e")]
    assert routes.collected == []


def test_routes_are_added_only_until_they_are_served() -> None:
    router = PromptServer().app.router
    assert not router.frozen
    router.frozen = True
    with pytest.raises(RuntimeError, match="cannot add the route /late"):
        router.add_get("/late", print)


def test_messages_go_to_the_client_of_the_running_job(tmp_path: Path) -> None:
    server = PromptServer()
    picture = Image.new("RGB", (40, 20), "red")
    with FolderContext(tmp_path).running() as run:
        server.send_sync("pack.event", {"a": 1}, "whoever")
        asyncio.run(server.send("pack.other", [2]))
        server.send_sync("progress", {"value": 1, "max": 2})
        server.send_progress_text("half", "1")
        server.send_sync(BinaryEventTypes.UNENCODED_PREVIEW_IMAGE, ("JPEG", picture, 10))
        server.send_sync(BinaryEventTypes.PREVIEW_IMAGE, (2).to_bytes(4, "big") + b"png")
        assert (server.last_node_id, server.client_id) == ("1", run.job_id)
    assert run.sent == [("pack.event", {"a": 1}), ("pack.other", [2])]
    assert run.steps == [(1, 2)]
    assert run.texts == ["half"]
    (image, kind), raw = run.images
    with Image.open(io.BytesIO(image)) as opened:
        assert (kind, opened.size) == ("image/jpeg", (10, 5))
    assert raw == (b"png", "image/png")


def test_messages_of_a_handler_go_to_its_caller() -> None:
    heard: list[tuple[str, Any, str]] = []

    async def handler() -> None:
        send_to_caller.set(lambda *words: heard.append(words))
        PromptServer().send_sync("pack.event", {"a": 1}, "tab")
        await asyncio.create_task(PromptServer().send_json("pack.later", [2]))

    asyncio.run(handler())
    PromptServer().send_sync("pack.outside", {})
    assert heard == [("pack.event", {"a": 1}, "tab"), ("pack.later", [2], "")]


def test_messages_outside_a_job_are_dropped() -> None:
    server = PromptServer()
    server.send_sync("pack.event", {})
    assert (server.last_node_id, server.client_id, server.get_queue_info()) == (
        None,
        None,
        {"exec_info": {"queue_remaining": 0}},
    )
