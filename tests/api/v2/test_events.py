"""``/api/v2/jobs/{id}/events``: what a stream sends, in which order, and what a client that does not read costs."""

import base64
from collections.abc import Iterable

import pytest
from tests.api.conftest import Server
from tests.api.engine import call, saved, start_only
from tests.api.prompts import picture, text
from tests.api.v2.event_client import EventClient, Frame
from tests.api.v2.test_job import ended, submit
from tests.events import output, report

from safelight.api.v2 import job_events, streams
from safelight.core.event import AccessChanged, CallFinished, CallProgressed, CallsCached, CallStarted, PreviewMade
from safelight.core.job import JobState
from safelight.core.worker import SlotId
from safelight.wire.messages import JobDone, RunJob, ToServer

pytestmark = pytest.mark.anyio


async def opened(server: Server, job_id: str) -> EventClient:
    return await EventClient(server.app, f"/api/v2/jobs/{job_id}/events").open()


def names(frames: list[Frame]) -> list[str]:
    return [name for name, _ in frames]


async def test_outputs_come_before_the_terminal_status_which_ends_the_stream(server: Server) -> None:
    job_id = (await submit(server.client)).json["id"]
    client = await opened(server, job_id)
    assert (client.status, client.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    frames = await client.frames()
    assert names(frames)[0] == "status"
    assert frames[-1] == ("status", {"status": "succeeded", "queue_position": None})
    assert [data["name"] for name, data in frames if name == "output"] == ["cap_00001_.png"]
    values = [data["value"] for name, data in frames if name == "progress"]
    assert values == sorted(values)
    assert values[-1] == 1.0


async def test_a_client_of_an_ended_job_gets_its_outputs_and_its_end(server: Server) -> None:
    job_id = (await submit(server.client)).json["id"]
    await ended(server.client, job_id)
    frames = await (await opened(server, job_id)).frames()
    assert names(frames) == ["output", "progress", "status"]


async def test_a_client_in_the_middle_gets_status_progress_and_the_latest_preview(server: Server) -> None:
    def middle(job: RunJob) -> Iterable[ToServer]:
        ids = {"job_id": job.job_id, "attempt": job.attempt}
        yield report(CallsCached(call_ids=[]), **ids)
        yield report(CallStarted(call=call("1")), **ids)
        yield report(CallProgressed(call=call("1"), value=1, total=4), **ids)
        for image in (b"old", b"new"):
            yield report(PreviewMade(call=call("1"), image=image, mime_type="image/jpeg"), **ids)

    server.engine.script = middle
    job_id = (await submit(server.client)).json["id"]
    while not (await server.client.get(f"/api/v2/jobs/{job_id}")).json["progress"]:
        pass
    client = await opened(server, job_id)
    frames = await client.until("preview")
    assert names(frames) == ["status", "progress", "preview"]
    assert frames[1][1] | {"value": 0.0625, "current_node_class": "EmptyImage", "step": 1, "steps": 4} == frames[1][1]
    shown = {"node_id": "1", "content_type": "image/jpeg", "data_base64": base64.b64encode(b"new").decode()}
    assert frames[2][1] == shown
    await client.leave()


async def test_outputs_are_sent_while_the_job_runs(server: Server) -> None:
    def one_output(job: RunJob) -> Iterable[ToServer]:
        ids = {"job_id": job.job_id, "attempt": job.attempt}
        yield report(CallsCached(call_ids=[]), **ids)
        yield report(CallStarted(call=call("4")), **ids)
        yield output(**ids, call=call("4"), **saved(job, "cap_00001_.png"))

    server.engine.script = one_output
    job_id = (await submit(server.client)).json["id"]
    client = await opened(server, job_id)
    [shown] = [data for name, data in await client.until("output") if name == "output"]
    assert (await server.client.get(f"/api/v2/assets/{shown['id']}/content")).status == 200
    assert (await server.client.get(f"/api/v2/jobs/{job_id}")).json["outputs"][0]["id"] == shown["id"]
    await server.client.post(f"/api/v2/jobs/{job_id}/cancel")
    assert names(await client.frames())[-1] == "status"


async def test_a_client_that_stops_reading_costs_nobody_else_and_misses_no_output(server: Server) -> None:
    def busy(job: RunJob) -> Iterable[ToServer]:
        ids = {"job_id": job.job_id, "attempt": job.attempt}
        yield report(CallsCached(call_ids=[]), **ids)
        for node in ("1", "2", "3", "4"):
            yield report(CallStarted(call=call(node)), **ids)
            for step in range(500):
                yield report(CallProgressed(call=call(node), value=step, total=500), **ids)
                yield report(PreviewMade(call=call(node), image=b"x" * 1000, mime_type="image/png"), **ids)
            yield report(CallFinished(call=call(node)), **ids)
        yield output(**ids, call=call("4"), **saved(job, "cap_00001_.png"))

    server.engine.script = busy
    job_id = (await submit(server.client)).json["id"]
    slow, quick = await opened(server, job_id), await opened(server, job_id)
    await slow.until("status")
    slow.stop_reading()
    await quick.until("output")
    run = server.engine.jobs[-1]
    done = JobDone(job_id=run.job_id, attempt=run.attempt, outcome=JobState.COMPLETED)
    server.backend.say(SlotId("cpu"), done)
    assert (await quick.frames())[-1][1]["status"] == "succeeded"
    assert slow.chunks < 10, "what a client does not take is not queued"
    slow.read_again()
    frames = await slow.frames()
    assert "output" in names(frames)
    assert frames[-1][1]["status"] == "succeeded"
    values = [data["value"] for name, data in frames if name == "progress"]
    assert values == sorted(values)


async def test_silence_is_filled_with_comments(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    assert job_events.COMMENT_S < 15
    monkeypatch.setattr(job_events, "COMMENT_S", 0.02)
    server.engine.script = start_only
    job_id = (await submit(server.client)).json["id"]
    client = await opened(server, job_id)
    seen: list[Frame] = []
    while names(seen).count("") < 3:
        seen += await client.some() or []
    await client.leave()


async def test_a_user_has_a_limited_number_of_streams(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_STREAMS", 2)
    server.engine.script = start_only
    job_id = (await submit(server.client, text())).json["id"]
    clients = [await opened(server, job_id) for _ in range(2)]
    refused = await server.client.get(f"/api/v2/jobs/{job_id}/events")
    assert (refused.status, refused.json["error"]["code"]) == (429, "too_many_streams")
    assert refused.headers["retry-after"] == "5"
    await clients[0].leave()
    again = await opened(server, job_id)
    assert again.status == 200
    for client in (clients[1], again):
        await client.leave()


async def test_streams_end_when_credentials_may_have_been_revoked(server: Server) -> None:
    server.engine.script = start_only
    client = await opened(server, (await submit(server.client, picture())).json["id"])
    await client.until("status", status="running")
    server.bus.publish([AccessChanged()])
    assert all(name != "status" for name, _ in await client.frames())


async def test_a_job_that_does_not_exist_has_no_events(server: Server) -> None:
    answer = await server.client.get("/api/v2/jobs/none/events")
    assert (answer.status, answer.json["error"]["code"]) == (404, "not_found")
