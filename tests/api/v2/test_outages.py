"""In real time: a webhook's receiver that is away for ten minutes, a client of events that does not read for one."""

import asyncio
import json
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import uvicorn
from aiohttp import web
from tests.api.conftest import Server
from tests.api.engine import call, saved
from tests.api.prompts import text
from tests.api.v2.test_job import ended, submit
from tests.events import output, report

from safelight.core.event import CallProgressed, CallsCached, CallStarted, PreviewMade
from safelight.core.job import JobState
from safelight.core.worker import SlotId
from safelight.wire.messages import JobDone, RunJob, ToServer

standardwebhooks = pytest.importorskip("standardwebhooks")
pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(1800)]

AWAY_S = 600
STALL_S = 60


async def serve(port: int, received: list[tuple[str, Any]], secret: list[str]) -> web.AppRunner:
    """``received``: gets the id and the content of each delivery whose signature is right when it arrives."""

    async def take(request: web.Request) -> web.Response:
        body = (await request.read()).decode()
        content = standardwebhooks.Webhook(secret[0]).verify(body, dict(request.headers))
        received.append((request.headers["webhook-id"], content))
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/hook", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner


async def test_a_receiver_that_is_away_for_ten_minutes_gets_each_end_once(server: Server) -> None:
    received: list[tuple[str, Any]] = []
    secret: list[str] = []
    first = await serve(0, received, secret)
    port = first.addresses[0][1]
    made = await server.client.post("/api/v2/webhooks", {"url": f"http://127.0.0.1:{port}/hook"})
    secret.append(made.json["secret"])
    await server.app.start_leading()
    jobs = [(await ended(server.client, (await submit(server.client, text())).json["id"]))["id"]]
    async with asyncio.timeout(60):
        while not received:  # noqa: ASYNC110 - a list
            await asyncio.sleep(0.1)
    await first.cleanup()
    since_s = time.monotonic()
    while time.monotonic() < since_s + AWAY_S:
        jobs.append((await ended(server.client, (await submit(server.client, text())).json["id"]))["id"])
        await asyncio.sleep(60)
    back = await serve(port, received, secret)
    back_s = time.monotonic()
    async with asyncio.timeout(330):  # the longest pause after which any of them is tried
        while len(received) < len(jobs):  # noqa: ASYNC110 - lists
            await asyncio.sleep(0.5)
    print(f"the last of {len(jobs)} ends arrived {time.monotonic() - back_s:.0f} s after the receiver was back")
    await asyncio.sleep(5)
    await back.cleanup()
    assert set(Counter(delivery for delivery, _ in received).values()) == {1}, "each id once"
    assert sorted(content["data"]["id"] for _, content in received) == sorted(jobs)


@asynccontextmanager
async def listening(server: Server) -> AsyncIterator[int]:
    """The port of the server under uvicorn, as an installation runs it."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(server.app, http="httptools", lifespan="off", log_config=None, access_log=False)
    running = uvicorn.Server(config)
    task = asyncio.create_task(running.serve(sockets=[listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.app.close_sockets()
        running.should_exit = True
        await task
        listener.close()


def frames(text_: str) -> list[tuple[str, Any]]:
    parts = [part for part in text_.split("\n\n") if part and not part.startswith(":")]
    found = [dict(line.split(": ", 1) for line in part.split("\n")) for part in parts]
    return [(one["event"], json.loads(one["data"])) for one in found]


async def test_a_client_that_does_not_read_for_a_minute_costs_nobody_else(server: Server) -> None:
    def begin(job: RunJob) -> Iterable[ToServer]:
        ids = {"job_id": job.job_id, "attempt": job.attempt}
        yield report(CallsCached(call_ids=[]), **ids)
        yield report(CallStarted(call=call("4")), **ids)

    server.engine.script = begin
    async with listening(server) as port, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as quick:
        answer = await quick.post("/api/v2/jobs", json={"workflow": text()})
        job_id = (await answer.json())["id"]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(f"GET /api/v2/jobs/{job_id}/events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head
        async with quick.get(f"/api/v2/jobs/{job_id}/events") as other:
            while not server.engine.jobs:  # noqa: ASYNC110 - a list
                await asyncio.sleep(0.01)
            run = server.engine.jobs[-1]
            ids = {"job_id": run.job_id, "attempt": run.attempt}
            waits = []
            since_s, step = time.monotonic(), 0
            while time.monotonic() < since_s + STALL_S:
                step += 1
                picture = f"{step}".encode().ljust(100_000, b"x")
                progressed = CallProgressed(call=call("4"), value=step, total=100_000)
                shown = PreviewMade(call=call("4"), image=picture, mime_type="image/png")
                for event in (progressed, shown):
                    server.backend.say(SlotId("cpu"), report(event, **ids))
                sent_s = time.monotonic()
                while b"event: preview" not in await other.content.readuntil(b"\n\n"):
                    pass
                waits.append(time.monotonic() - sent_s)
                await asyncio.sleep(0.05)
            server.backend.say(SlotId("cpu"), output(**ids, call=call("4"), **saved(run, "cap_00001_.png")))
            done = JobDone(job_id=run.job_id, attempt=run.attempt, outcome=JobState.COMPLETED)
            server.backend.say(SlotId("cpu"), done)
            rest = frames((await other.content.read()).decode())
            assert rest[-1] == ("status", {"status": "succeeded", "queue_position": None})
        waits.sort()
        print(f"{len(waits)} previews, p50 {waits[len(waits) // 2] * 1e3:.1f} ms, worst {waits[-1] * 1e3:.0f} ms")
        assert waits[len(waits) // 2] < 2, "previews are sent every half second"
        late = b""
        async with asyncio.timeout(60):
            while b"succeeded" not in late:
                late = late[-200_000:] + await reader.read(65536)
        assert b"event: output" in late, "before the end"
        writer.close()
