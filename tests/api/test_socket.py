"""``/ws``: the messages of the captured scenarios, in order, to the sockets of their owner only."""

import asyncio
import struct
from collections.abc import Iterable
from typing import Any

import pytest
from tests.api.accounts import signed_in
from tests.api.client import Client, Connection
from tests.api.conftest import Server
from tests.api.engine import all_cached, call, fail_first, start_only
from tests.api.prompts import text
from tests.api.test_prompt import submit
from tests.events import report

from safelight.core import event as events
from safelight.core.clock import SystemClock
from safelight.core.event import (
    CallBlocked,
    CallFinished,
    CallProgressed,
    CallsCached,
    CallStarted,
    PreviewMade,
    TextShown,
)
from safelight.core.ids import LOCAL_USER, ClientId, JobId
from safelight.core.job import JobState
from safelight.wire.messages import JobDone, LogLines, RunJob, ToServer

pytestmark = pytest.mark.anyio


async def connect(server: Server, client_id: str = "c1", *, flags: bool = False) -> Connection:
    """Connect and read the greeting; with ``flags``, announce features."""
    socket = await server.client.connect(f"/ws?clientId={client_id}")
    greeting = await socket.hear()
    assert greeting["data"]["sid"] == client_id
    if flags:
        socket.say("feature_flags", {"supports_preview_metadata": True})
        assert (await socket.hear())["type"] == "feature_flags"
    return socket


def brief(messages: Iterable[Any]) -> list[str]:
    """A summary of each message without ids and times; repeated ``status`` messages count once."""
    words: list[str] = []
    for message in messages:
        data = message["data"]
        if message["type"] == "progress_state":
            states = ",".join(f"{i}:{s['state'][0]}" for i, s in sorted(data["nodes"].items()))
            word = f"progress_state {states}"
        elif message["type"] == "status":
            word = f"status {data['status']['exec_info']['queue_remaining']}"
        elif message["type"] in ("executing", "executed"):
            word = f"{message['type']} {data['node']}"
        elif message["type"] == "execution_cached":
            word = f"execution_cached {','.join(data['nodes'])}"
        else:
            word = message["type"]
        if not words or words[-1] != word:
            words.append(word)
    return words


async def test_first_run(server: Server) -> None:
    socket = await connect(server)
    job_id = await submit(server, client_id="c1")
    messages = await socket.hear_until("executing", node=None)
    assert brief(messages) == [
        "status 1",
        "execution_start",
        "execution_cached ",
        "progress_state 1:r",
        "executing 1",
        "progress_state 1:f",
        "progress_state 1:f,2:r",
        "executing 2",
        "progress_state 1:f,2:f",
        "progress_state 1:f,2:f,3:r",
        "executing 3",
        "progress_state 1:f,2:f,3:f",
        "progress_state 1:f,2:f,3:f,4:r",
        "executing 4",
        "executed 4",
        "progress_state 1:f,2:f,3:f,4:f",
        "execution_success",
        "status 0",
        "executing None",
    ]
    assert all(m["data"]["prompt_id"] == job_id for m in messages if m["type"] != "status")
    assert all("timestamp" in m["data"] for m in messages if m["type"].startswith("execution_"))
    [executed] = [m["data"] for m in messages if m["type"] == "executed"]
    image = {"filename": "cap_00001_.png", "subfolder": "", "type": "output"}
    assert executed == {"node": "4", "display_node": "4", "output": {"images": [image]}, "prompt_id": job_id}
    state = next(m["data"]["nodes"]["1"] for m in messages if m["type"] == "progress_state")
    assert state == {
        "value": 0.0,
        "max": 1.0,
        "state": "running",
        "node_id": "1",
        "prompt_id": job_id,
        "display_node_id": "1",
        "parent_node_id": None,
        "real_node_id": "1",
    }


async def test_all_cached(server: Server) -> None:
    server.engine.script = all_cached
    socket = await connect(server)
    await submit(server, client_id="c1")
    assert brief(await socket.hear_until("executing", node=None)) == [
        "status 1",
        "execution_start",
        "execution_cached 1,2,3,4",
        "executed 4",
        "progress_state 4:f",
        "execution_success",
        "status 0",
        "executing None",
    ]


async def test_error(server: Server) -> None:
    server.engine.script = fail_first
    socket = await connect(server)
    job_id = await submit(server, client_id="c1")
    messages = await socket.hear_until("executing", node=None)
    assert brief(messages)[-5:] == [
        "progress_state 1:r",
        "executing 1",
        "execution_error",
        "status 0",
        "executing None",
    ]
    [error] = [m["data"] for m in messages if m["type"] == "execution_error"]
    assert set(error) == {
        "prompt_id", "node_id", "node_type", "executed", "exception_message", "exception_type", "traceback",
        "current_inputs", "current_outputs", "timestamp",
    }  # fmt: skip
    assert (error["prompt_id"], error["node_id"], error["current_outputs"]) == (job_id, "1", ["1", "2"])


async def test_history_is_readable_at_the_last_word(server: Server) -> None:
    socket = await connect(server)
    for _ in range(5):
        job_id = await submit(server, client_id="c1")
        await socket.hear_until("execution_success")
        assert job_id in (await server.client.get(f"/history/{job_id}")).json
        assert (await server.client.get("/queue")).json["queue_running"] == []
        await socket.hear_until("executing", node=None)


async def test_messages_go_to_the_sockets_of_the_client_id(server: Server) -> None:
    mine, twin, other = await connect(server), await connect(server), await connect(server, "c2")
    await submit(server, client_id="c1")
    first, second = [await s.hear_until("executing", node=None) for s in (mine, twin)]
    assert brief(first) == brief(second)
    assert brief(other.heard_so_far()) == ["status 1", "status 0"]


@pytest.mark.parametrize("client_id", [None, "gone"])
async def test_without_a_listener_of_its_own_a_job_tells_all_of_its_owner(
    server: Server, client_id: str | None
) -> None:
    sockets = [await connect(server, "c1"), await connect(server, "c2")]
    await submit(server, client_id=client_id)
    for socket in sockets:
        assert "executing 4" in brief(await socket.hear_until("executing", node=None))


async def test_closing_the_old_socket_keeps_the_new_one(server: Server) -> None:
    """ComfyUI unregisters the newer socket."""
    old = await connect(server)
    new = await connect(server)
    await old.close()
    await submit(server, client_id="c1")
    assert "execution_success" in brief(await new.hear_until("executing", node=None))


async def test_without_client_id_the_server_gives_one(server: Server) -> None:
    socket = await server.client.connect("/api/ws")
    assert len((await socket.hear())["data"]["sid"]) == 32


async def test_reconnect_in_the_middle_of_a_job_gets_a_snapshot(server: Server) -> None:
    server.engine.script = start_only
    first = await connect(server)
    job_id = await submit(server, client_id="c1")
    await first.hear_until("executing", prompt_id=job_id)
    await first.close()
    again = await server.client.connect("/ws?clientId=c1")
    assert brief([await again.hear() for _ in range(3)]) == ["status 1", "executing 1", "progress_state 1:r"]


async def test_a_job_that_another_server_began_is_told_from_where_it_is(server: Server) -> None:
    """Connected sockets and new ones get the state, each once."""
    words: dict[str, Any] = {"owner_id": LOCAL_USER, "job_id": JobId("j"), "client_id": ClientId("c1")}
    here = await connect(server)
    running, finished = [call("2"), call("3")], [call("1")]
    at = SystemClock().now()
    server.bus.publish([events.JobReattached(**words, at=at, attempt=1, running=running, finished=finished)])
    told = ["executing 3", "progress_state 1:f,2:r,3:r"]
    assert brief([await here.hear() for _ in range(2)]) == told
    comes = await server.client.connect("/ws?clientId=c1")
    assert brief([await comes.hear() for _ in range(3)])[1:] == told
    await comes.close()
    server.bus.publish([events.CallReported(**words, at=at, event=CallFinished(running[1]))])
    server.bus.publish([events.JobReattached(**words, at=at, attempt=1, running=running)])  # of yet another server
    heard = brief([await here.hear() for _ in range(3)])
    assert heard == ["progress_state 1:f,2:r,3:f", "executing 3", "progress_state 1:f,2:r,3:f"]


async def test_only_the_first_message_announces_features(server: Server) -> None:
    socket = await connect(server)
    for text_message in ("no json", '{"type": "feature_flags"', "[1]", '"x"', "[" * 5000):
        socket.say_text(text_message)
    socket.say("feature_flags", {"supports_preview_metadata": True})
    await submit(server, client_id="c1")
    assert "feature_flags" not in brief(await socket.hear_until("executing", node=None))


async def test_flags_are_answered_with_those_of_http(server: Server) -> None:
    socket = await server.client.connect("/ws?clientId=c1")
    socket.say("feature_flags", {"supports_preview_metadata": True})
    await socket.hear()
    assert (await socket.hear())["data"] == (await server.client.get("/features")).json


def steps(job: RunJob) -> Iterable[ToServer]:
    ids: dict[str, Any] = {"job_id": job.job_id, "attempt": job.attempt}
    yield report(CallsCached(call_ids=[]), **ids)
    yield report(CallStarted(call=call("1")), **ids)
    yield report(PreviewMade(call=call("1"), image=b"JPEG", mime_type="image/jpeg"), **ids)
    yield report(CallProgressed(call=call("1"), value=1, total=2), **ids)
    yield report(TextShown(call=call("1"), text="half"), **ids)
    yield report(CallBlocked(call=call("2"), node_type="PreviewAny", message="no"), **ids)
    yield report(CallFinished(call=call("1")), **ids)
    yield JobDone(**ids, outcome=JobState.COMPLETED)


async def test_progress_previews_and_texts(server: Server) -> None:
    server.engine.script = steps
    plain, rich = await connect(server), await connect(server, flags=True)
    job_id = await submit(server, client_id="c1", prompt=text())
    heard = await plain.hear_until("executing", node=None)
    assert struct.pack(">II", 1, 1) + b"JPEG" in heard
    assert struct.pack(">II", 3, 1) + b"1half" in heard
    progress = [m["data"] for m in heard if isinstance(m, dict) and m["type"] == "progress"]
    assert progress == [{"value": 1.0, "max": 2.0, "prompt_id": job_id, "node": "1"}]
    [blocked] = [m["data"] for m in heard if isinstance(m, dict) and m["type"] == "execution_error"]
    assert (blocked["exception_type"], blocked["exception_message"]) == ("ExecutionBlocked", "Execution Blocked: no")
    [preview] = [m for m in await rich.hear_until("executing", node=None) if isinstance(m, bytes) and m[3] == 4]
    size = int.from_bytes(preview[4:8], "big")
    assert preview[8 + size :] == b"JPEG"
    assert b'"image_type":"image/jpeg"' in preview[8 : 8 + size]


async def test_job_cancelled_while_it_waits(server: Server) -> None:
    """A script gets the end; the web UI (which announces features) would take it for the end of the running job."""
    server.engine.script = start_only
    script, ui = await connect(server), await connect(server, flags=True)
    running = await submit(server, client_id="c1")
    waiting = await submit(server, client_id="c1")
    await server.client.post(f"/api/jobs/{waiting}/cancel", b"")
    assert brief(await script.hear_until("executing", node=None, prompt_id=waiting))[-1] == "executing None"
    await server.client.post(f"/api/jobs/{running}/cancel", b"")
    heard = await ui.hear_until("executing", node=None)
    assert [m["data"]["prompt_id"] for m in heard if m["type"] == "execution_interrupted"] == [running]


async def test_logs_go_to_those_who_subscribed(server: Server) -> None:
    listening, other = await connect(server), await connect(server, "c2")
    wish = b'{"clientId": "c1", "enabled": true}'
    assert (await server.client.request("PATCH", "/internal/logs/subscribe", wish)).status == 200
    server.backend.say(server.backend.slots[0], LogLines(lines=[(1_000, "got prompt")]))
    [logs] = await listening.hear_until("logs")
    assert logs["data"] == {"entries": [{"t": "1970-01-01T00:00:01+00:00", "m": "got prompt"}], "size": None}
    assert other.heard_so_far() == []
    await server.client.request("PATCH", "/internal/logs/subscribe", wish.replace(b"true", b"false"))
    server.backend.say(server.backend.slots[0], LogLines(lines=[(2_000, "more")]))
    await submit(server, client_id="c1")
    assert "logs" not in brief(await listening.hear_until("executing", node=None))


async def test_foreign_page_may_not_connect(server: Server) -> None:
    socket = await server.client.connect("/ws", {"origin": "http://evil.example"})
    assert socket.status == 403
    same = await server.client.connect("/ws", {"origin": "http://127.0.0.1:8188"})
    assert same.status == 101


async def test_unknown_socket_address_is_refused(server: Server) -> None:
    assert (await server.client.connect("/elsewhere")).status == 403


async def test_socket_that_does_not_read_is_closed_and_delays_nobody(server: Server) -> None:
    asleep, awake = await connect(server, "slow"), await connect(server)
    asleep.stop_reading()

    def floods(job: RunJob) -> Iterable[ToServer]:
        ids: dict[str, Any] = {"job_id": job.job_id, "attempt": job.attempt}
        for _ in range(3000):
            yield report(CallsCached(call_ids=["x" * 500]), **ids)
        yield JobDone(**ids, outcome=JobState.COMPLETED)

    server.engine.script = floods
    for _ in range(3):
        await submit(server, prompt=text())
    for _ in range(3):
        await awake.hear_until("executing", node=None)
    await asleep.ended()


async def test_sockets_end_with_the_server(server: Server) -> None:
    socket = await connect(server)
    server.app.close_sockets()
    with pytest.raises(ConnectionResetError):
        await socket.hear()
    await asyncio.wait_for(socket.ended(), timeout=60)


async def test_greeting_comes_first_whatever_happens_meanwhile(server: Server) -> None:
    client: Client = server.client
    opened, _ = await asyncio.gather(client.connect("/ws?clientId=c1"), submit(server, client_id="c1"))
    assert "sid" in (await opened.hear())["data"]
    await opened.hear_until("executing", node=None)


@pytest.mark.parametrize("client_id", ["same", None])
async def test_users_hear_of_their_own_jobs_alone(server: Server, client_id: str | None) -> None:
    """Even if both chose the same client id, and if the job has none."""
    sockets = {}
    for name in ("anna", "ben"):
        _, headers = await signed_in(server, name)
        sockets[name] = (await server.client.connect("/ws?clientId=same", headers), headers)
        await sockets[name][0].hear()
    anna, headers = sockets["anna"]
    body = {"prompt": text()} | ({"client_id": client_id} if client_id else {})
    job_id = (await server.client.post("/api/prompt", body, headers=headers)).json["prompt_id"]
    heard = await anna.hear_until("executing", node=None, prompt_id=job_id)
    assert {"execution_start", "executed", "execution_success"} <= {message["type"] for message in heard}
    ben, headers = sockets["ben"]
    own = (await server.client.post("/api/prompt", body, headers=headers)).json["prompt_id"]
    heard = await ben.hear_until("executing", node=None, prompt_id=own)
    assert {message["data"]["prompt_id"] for message in heard if "prompt_id" in message["data"]} == {own}
    assert {m["data"]["status"]["exec_info"]["queue_remaining"] for m in heard if m["type"] == "status"} <= {0, 1}
    assert anna.heard_so_far() == []
