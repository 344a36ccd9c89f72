"""Limits on clients: slow requests, concurrent uploads, values in a body, concurrent sign-ins."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import uvicorn
from tests.api.accounts import add_user, signed_in
from tests.api.client import Client
from tests.api.conftest import Server, running

from safelight.api.comfy.frame import Frame
from safelight.api.comfy.outbox import MAX_BYTES, Outbox
from safelight.api.request_body import MAX_VALUES
from safelight.api.slow_clients import http_with_header_limit
from safelight.api.upload_slots import MOST_AT_ONCE
from safelight.settings import Settings

pytestmark = pytest.mark.anyio

SLOW_S = 0.4
PATIENCE_S = 60.0


@pytest.fixture
async def address(tmp_path: Path, settings: Settings, migrated: Path) -> AsyncIterator[tuple[str, int]]:
    """The URL of a real server with short time limits."""
    impatient = settings.changed(slow_body_s=SLOW_S, max_body_bytes=1 << 20)
    async with running(tmp_path, impatient, migrated) as server:
        listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(
            server.app,
            http=http_with_header_limit(headers_s=SLOW_S),
            lifespan="off",
            log_config=None,
            timeout_graceful_shutdown=1,
        )
        web = uvicorn.Server(config)
        task = asyncio.create_task(web.serve(sockets=[listener]))
        host, port = listener.getsockname()
        yield host, port
        web.should_exit = True
        await task
        listener.close()


async def talk(address: tuple[str, int], *parts: bytes, pause_s: float = 0.0) -> bytes:
    """The response, read until the server closes the connection."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        for part in parts:
            writer.write(part)
            await asyncio.sleep(pause_s)
        async with asyncio.timeout(PATIENCE_S):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


HEAD = b"POST /api/queue HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"


async def test_slow_headers_end_the_connection(address: tuple[str, int]) -> None:
    assert await talk(address) == b""
    assert await talk(address, b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n") == b""
    drops = [b"GET /health HTTP/1.1\r\n", *(b"x-%d: y\r\n" % n for n in range(20))]
    assert await talk(address, *drops, pause_s=SLOW_S / 8) == b""
    assert (await talk(address, b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")).endswith(
        b"OK"
    )


async def test_the_next_request_of_a_connection_is_timed_as_well(address: tuple[str, int]) -> None:
    first = b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
    answer = await talk(address, first, b"GET /health HTTP/1.1\r\n", pause_s=0.05)
    assert answer.count(b"HTTP/1.1") == 1


async def test_a_slow_body_is_answered_and_ends_the_connection(address: tuple[str, int]) -> None:
    answer = await talk(address, HEAD % 100, b"{")
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"body_too_slow" in answer
    drops = [HEAD % 100, *(b" " for _ in range(20))]
    answer = await talk(address, *drops, pause_s=SLOW_S / 8)
    assert answer[:12] in (b"HTTP/1.1 408", b"")  # data sent after that may cost the client the response


async def test_a_body_at_a_fair_pace_is_waited_for(address: tuple[str, int]) -> None:
    part = b" " * 16 * 1024
    parts = [HEAD % (8 * len(part) + 2), *([part] * 8), b"{}"]
    assert (await talk(address, *parts, pause_s=SLOW_S / 4)).startswith(b"HTTP/1.1 200")


async def test_uploads_of_one_user_at_once(server: Server) -> None:
    anna, hers = await signed_in(server, "anna")
    _, bens = await signed_in(server, "ben")
    with ExitStack() as under_way:
        for _ in range(MOST_AT_ONCE):
            under_way.enter_context(server.app._app.uploads.counted(anna.user_id))
        refused = await server.client.upload("/api/upload/image", {}, headers=hers, image=("a.txt", b"a"))
        assert (refused.json["code"], refused.headers["retry-after"]) == ("too_many_uploads", "5")
        other = await server.client.upload("/api/upload/image", {}, headers=bens, image=("a.txt", b"a"))
        assert other.status == 200
    again = await server.client.upload("/api/upload/image", {}, headers=hers, image=("a.txt", b"a"))
    assert again.status == 200
    for answer in [await server.client.post("/api/upload/image", b"no form", headers=hers) for _ in range(20)]:
        assert answer.json["code"] == "invalid_body"  # a failed upload is no longer counted


async def test_a_body_of_too_many_values_is_refused_before_it_is_parsed(
    tmp_path: Path, settings: Settings, migrated: Path
) -> None:
    async with running(tmp_path, settings.changed(max_body_bytes=16 << 20), migrated) as server:
        for item in (b"[],", b"1,", b"{},"):
            body = b'{"prompt": [' + item * (MAX_VALUES + 1) + b"1]}"
            answer = await server.client.post("/api/prompt", body)
            assert (answer.status, "values" in answer.text) == (400, True)


async def test_many_who_sign_in_at_once_do_not_wait_for_each_other_for_ever(server: Server) -> None:
    await add_user(server, "anna", password=True)
    clients = [Client(server.app, peer=f"198.51.100.{n}") for n in range(60)]
    body = {"name": "anna", "password": "wrong"}
    answers = await asyncio.gather(*(client.post("/api/auth/session", body) for client in clients))
    assert {answer.status for answer in answers} == {401, 429}
    assert sum(answer.status == 401 for answer in answers) >= 32


async def test_the_addresses_of_one_ipv6_network_count_together(server: Server) -> None:
    await add_user(server, "anna", password=True)
    body = {"name": "anna", "password": "wrong"}
    for n in range(10):
        assert (await Client(server.app, peer=f"2001:db8::{n + 1:x}").post("/api/auth/session", body)).status == 401
    assert (await Client(server.app, peer="2001:db8::ffff:1").post("/api/auth/session", body)).status == 429
    assert (await Client(server.app, peer="2001:db8:0:1::1").post("/api/auth/session", body)).status == 401


async def test_a_slow_reader_loses_previews_before_progress_and_no_end() -> None:
    outbox = Outbox()
    preview, end = bytes(MAX_BYTES // 4), "x" * (MAX_BYTES // 4)
    for n in range(3):
        outbox.put(Frame(preview, key=f"preview {n}"))
    outbox.put(Frame("progress", key="progress"))
    assert outbox.put(Frame(end))
    assert [frame.payload for frame in [await outbox.get() for _ in range(len(outbox))]] == ["progress", end]
