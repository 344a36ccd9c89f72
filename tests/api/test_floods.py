"""Requests whose work grows with their content: it is limited before it starts, and ends when the client
disconnects."""

import asyncio
import gzip
import json
import threading
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message
from tests.api.conftest import Server, running
from tests.api.prompts import picture, text

from safelight.api.content_encoding import decoded
from safelight.api.deadline import TookTooLong, attended
from safelight.api.error_responses import BodyTooLarge
from safelight.api.heavy import HeavyWork
from safelight.api.request_body import read_body
from safelight.core.asset import MAX_TAGS, clean_tags
from safelight.core.errors import Invalid
from safelight.core.ids import UserId
from safelight.db.transaction import Transaction
from safelight.settings import Settings

pytestmark = pytest.mark.anyio


@pytest.fixture
async def small(tmp_path: Path, settings: Settings, migrated: Path) -> AsyncIterator[Server]:
    """A server with low limits."""
    limits = settings.changed(max_body_bytes=1 << 20, max_graph_nodes=1000, max_prompt_names=500, read_deadline_s=1.0)
    async with running(tmp_path, limits, migrated) as server:
        yield server


async def submit(server: Server, prompt: Any) -> tuple[int, Any]:
    answer = await server.client.post("/api/prompt", {"prompt": prompt})
    return answer.status, answer.json


async def test_prompt_with_too_many_names_is_refused_before_any_is_looked_up(small: Server) -> None:
    names = [f"{number:064x}.png" for number in range(501)]
    prompt = picture() | {"9": {"class_type": "LoadImage", "inputs": {"image": "a.png", "more": names}}}
    async with counted(small) as statements:
        status, answer = await submit(small, prompt)
    assert status == 400
    assert answer["error"]["message"] == "The prompt has too many texts that may name files"
    assert answer["error"]["details"] == "more than 500 different texts"
    assert statements == []


async def test_names_of_a_prompt_cost_a_statement_for_every_500(small: Server) -> None:
    digests = [f"{number:064x}.png" for number in range(240)]
    folders = [f"folder{number}/a.png" for number in range(240)]
    inputs = {"image": "nothing.png", "more": digests + folders}
    async with counted(small) as statements:
        status, _ = await submit(small, picture() | {"9": {"class_type": "LoadImage", "inputs": inputs}})
    assert status == 200
    assert len(statements) == 2, "one for the names, one for the digests"


@asynccontextmanager
async def counted(server: Server) -> AsyncIterator[list[str]]:
    """The statements on assets that are executed inside the context."""
    statements: list[str] = []

    def hear(conn: Any, cursor: Any, statement: str, *_: Any) -> None:
        if "asset" in statement:
            statements.append(statement)

    def listen(tx: Transaction) -> None:
        event.listen(tx.conn, "before_cursor_execute", hear)

    await server.db.read(listen)
    yield statements


@pytest.mark.parametrize("nodes", [1001, 20_000])
async def test_prompt_with_too_many_nodes_says_how_many(small: Server, nodes: int) -> None:
    status, answer = await submit(small, {str(number): {"class_type": "X"} for number in range(nodes)})
    assert status == 400
    assert answer["error"]["details"] == f"{nodes} nodes; at most 1000 are allowed"


async def test_bodies_that_name_many_jobs_are_bounded(server: Server) -> None:
    ids = ["x"] * 10_001
    for path in ("/api/queue", "/api/history", "/queue", "/history"):
        answer = await server.client.post(path, {"delete": ids})
        assert answer.status == 400, path
        assert "10001 job ids" in answer.text


async def test_settings_are_bounded(small: Server) -> None:
    answer = await small.client.post("/api/settings", {str(number): 1 for number in range(10_001)})
    assert answer.status == 400
    assert (await small.client.get("/api/settings")).json == {}


async def test_tags_are_bounded_before_all_are_looked_at(server: Server) -> None:
    looked_at: list[int] = []

    def tags() -> Iterator[str]:
        for number in range(1000):
            looked_at.append(number)
            yield f"tag{number}"

    with pytest.raises(Invalid, match="too many tags"):
        clean_tags(tags())
    assert len(looked_at) == MAX_TAGS + 1


# -- a deadline, and clients that hang up --


def request(messages: "asyncio.Queue[Message]") -> Request:
    return Request({"type": "http", "method": "GET", "path": "/", "headers": []}, messages.get)


async def test_work_ends_when_its_client_hangs_up() -> None:
    messages: asyncio.Queue[Message] = asyncio.Queue()
    messages.put_nowait({"type": "http.request", "body": b"", "more_body": False})
    messages.put_nowait({"type": "http.disconnect"})
    with pytest.raises(ClientDisconnect):
        async with attended(request(messages), limit_s=60):
            await asyncio.Event().wait()


async def test_work_ends_at_the_deadline() -> None:
    with pytest.raises(TookTooLong, match=r"longer than 0\.2 s"):
        async with attended(request(asyncio.Queue()), limit_s=0.2):
            await asyncio.Event().wait()


async def test_a_cancel_from_outside_stays_one() -> None:
    async def work() -> None:
        async with attended(request(asyncio.Queue()), limit_s=60):
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_read_that_takes_too_long_answers_503(small: Server) -> None:
    """Four reads occupy all threads; a read that waits behind them is cancelled, and later reads work again."""
    gate = threading.Event()
    held = [asyncio.create_task(small.db.read(lambda tx: gate.wait(20))) for _ in range(4)]
    await asyncio.sleep(0.1)
    try:
        answer = await small.client.get("/api/jobs")
        assert answer.status == 503
        assert answer.json["code"] == "deadline_exceeded"
    finally:
        gate.set()
    await asyncio.gather(*held)
    assert (await small.client.get("/api/jobs")).status == 200


# -- the CPU's queue --


async def test_heavy_work_of_one_user_does_not_pass_another_by() -> None:
    heavy, order = HeavyWork(), []
    many = [heavy.run(UserId("anna"), lambda n=n: order.append(f"anna{n}"), is_heavy=True) for n in range(5)]
    await asyncio.gather(*many, heavy.run(UserId("ben"), lambda: order.append("ben"), is_heavy=True))
    heavy.stop()
    assert order.index("ben") <= 1


async def test_heavy_work_of_a_caller_who_is_gone_is_dropped() -> None:
    heavy, gate, ran = HeavyWork(), threading.Event(), []
    first = asyncio.create_task(heavy.run(UserId("anna"), lambda: gate.wait(5), is_heavy=True))
    second = asyncio.create_task(heavy.run(UserId("ben"), lambda: ran.append("ben"), is_heavy=True))
    await asyncio.sleep(0.05)
    second.cancel()
    gate.set()
    await asyncio.gather(first, second, return_exceptions=True)
    await heavy.run(UserId("ben"), lambda: ran.append("after"), is_heavy=True)
    heavy.stop()
    assert ran == ["after"]


# -- compressed bodies --


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_compressed_bodies_are_read(server: Server, encoding: str) -> None:
    body = json.dumps({"prompt": text()}).encode()
    sent = gzip.compress(body) if encoding == "gzip" else zlib.compress(body)
    answer = await server.client.post("/api/prompt", sent, headers={"content-encoding": encoding})
    assert answer.status == 200, answer.text


@pytest.mark.parametrize(("encoding", "status"), [("br", 415), ("gzip, br", 415), ("identity", 200), ("", 200)])
async def test_other_encodings_answer_415(server: Server, encoding: str, status: int) -> None:
    body = json.dumps({"prompt": text()}).encode()
    answer = await server.client.post("/api/prompt", body, headers={"content-encoding": encoding})
    assert answer.status == status


@pytest.mark.parametrize("body", [b"plain", gzip.compress(b"{}" * 500)[:-9]], ids=["plain", "truncated"])
async def test_damaged_compression_answers_400(server: Server, body: bytes) -> None:
    answer = await server.client.post("/api/prompt", body, headers={"content-encoding": "gzip"})
    assert answer.status == 400
    assert "compressed body" in answer.text


async def test_compressed_body_is_limited_by_what_it_holds() -> None:
    """A body that grows a thousandfold: nothing beyond the limit is kept."""
    body = gzip.compress(bytes(64 << 20))
    messages: asyncio.Queue[Message] = asyncio.Queue()
    messages.put_nowait({"type": "http.request", "body": body, "more_body": False})
    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-encoding", b"gzip")]}
    with pytest.raises(BodyTooLarge):
        await read_body(Request(scope, decoded(scope, messages.get)), limit=1 << 20)


# -- responses before the whole body was read --

SCOPE = {
    "type": "http",
    "method": "POST",
    "scheme": "http",
    "path": "/api/prompt",
    "query_string": b"",
    "root_path": "",
    "client": ("127.0.0.1", 1),
}


async def test_answer_waits_until_the_client_has_sent_its_body(server: Server) -> None:
    chunks = [b"x" * 50_000] * 9
    given = iter([{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks])
    order: list[str] = []

    async def receive() -> Message:
        order.append("read")
        return next(given, {"type": "http.request", "body": b"", "more_body": False})

    async def send(message: Message) -> None:
        order.append(str(message.get("status", "body")))

    headers = [(b"host", b"127.0.0.1:8188"), (b"content-length", b"450000")]
    scope = SCOPE | {"headers": headers}
    await server.app(scope, receive, send)
    assert order == ["read"] * 10 + ["413", "body"]


async def test_client_that_waits_for_100_continue_is_answered_at_once(server: Server) -> None:
    order: list[str] = []

    async def receive() -> Message:
        order.append("read")
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        order.append(str(message.get("status", "body")))

    headers = [(b"host", b"127.0.0.1:8188"), (b"content-length", b"450000"), (b"expect", b"100-continue")]
    scope = SCOPE | {"headers": headers}
    await server.app(scope, receive, send)
    assert order == ["413", "body"]
