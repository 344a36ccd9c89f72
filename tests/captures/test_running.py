"""Requests and messages while one job ran and two waited, its interruption, and what remained of it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from tests.captures.client import Answer, Socket, ask, is_idle, is_over, listening, post, submit
from tests.captures.compare import differences, expected, load
from tests.captures.transcript import line, lines, misshapen, replaced

DATA, SHAPES = load("running"), load("shapes")
BODY = {"prompt": DATA["prompt"], "client_id": "A"}
FLAGS = json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}})


@pytest.fixture
def client(url: str) -> Iterator[Socket]:
    """The socket of client id A. Jobs that a test left running have ended when the next test starts."""
    with listening(url, "A") as socket:
        socket.take()
        yield socket
        with listening(url, "after") as other:
            post(url, "/queue", {"clear": True})
            post(url, "/interrupt", {})
            if other.take()[0]["data"]["status"]["exec_info"]["queue_remaining"]:
                other.until(is_idle)


def test_while_one_runs_and_two_wait(url: str, client: Socket) -> None:
    running = submit(url, {**BODY, "extra_data": {"preview_method": "latent2rgb"}})
    pending, last = (submit(url, body) for body in DATA["pending"])
    client.until(_is_step)
    for step in DATA["while_running"]:
        _check(_ask(url, step, running=running, pending=pending, last=last), step)


def test_interrupt_after_a_reconnect(url: str, client: Socket) -> None:
    """Its pictures are white, so that no result of other tests is cached."""
    body = {"prompt": DATA["interrupted_prompt"], "client_id": "A", "extra_data": {"preview_method": "latent2rgb"}}
    running = submit(url, body)
    client.until(_is_step)
    with listening(url, "A") as again:
        wanted = list(replaced(DATA["reconnect"]["heard"], DATA["reconnect"]["mended"]))
        while len(again.heard) < len(wanted):
            again.hear()
        greeting = again.take()
        assert [line(message) for message in greeting] == wanted
        assert misshapen(greeting, SHAPES) == []
        again.until(_is_step)
        _check(_ask(url, DATA["interrupt"], running=running), DATA["interrupt"])
        heard = _without_progress(again.until(is_over))
    assert list(differences(DATA["interrupted"]["heard"], lines(heard))) == []
    assert misshapen(heard, SHAPES) == []
    shown = ask(url, f"GET /history/{running}").json[running]
    assert list(differences(DATA["history"]["answer"], shown)) == []
    wanted_job = expected(DATA["job"])
    job = ask(url, f"GET /api/jobs/{running}").json
    assert list(differences(wanted_job["answer"], job, adds=wanted_job["adds"])) == []


def test_one_id_twice_and_an_empty_queue(url: str, client: Socket) -> None:
    running = submit(url, BODY)
    client.until(_is_step)
    for step in DATA["duplicate"]:
        _check(_ask(url, step, running=running), step)
    client.until(lambda message: is_over(message) and message["data"]["prompt_id"] == running)


def test_previews_in_the_form_that_a_client_understands(url: str) -> None:
    """The captured frames: with metadata and before the step's progress, or plain and after it."""
    with listening(url, "A") as rich, listening(url, "A") as plain:
        rich.say(FLAGS)
        rich.until(lambda m: m["type"] == "feature_flags")
        plain.take()
        job_id = submit(url, {"prompt": DATA["prompt"], "client_id": "A", "extra_data": {"preview_method": "auto"}})
        metadata = _metadata(rich.until(lambda m: _is_frame(m, 4))[-1])
        bare = plain.until(lambda m: _is_frame(m, 1))[-1]
        post(url, "/interrupt", {})
        rich.until(is_over)
    assert bare[4:8] == b"\x00\x00\x00\x01"
    assert bare[8:10] == b"\xff\xd8"
    assert metadata == {
        "node_id": "3",
        "prompt_id": job_id,
        "display_node_id": "3",
        "parent_node_id": None,
        "real_node_id": "3",
        "image_type": "image/jpeg",
    }


def _ask(url: str, step: Mapping[str, Any], **ids: str) -> Answer:
    text = json.dumps({"request": step["request"], "body": step.get("body")})
    for name, job_id in ids.items():
        text = text.replace(f"{{{name}}}", job_id)
    asked = json.loads(text)
    body = b"" if asked["body"] is None else json.dumps(asked["body"]).encode()
    return ask(url, asked["request"], body)


def _check(told: Answer, step: Mapping[str, Any]) -> None:
    wanted = expected(step)
    assert told.status == wanted["status"], told.body
    assert list(differences(wanted["answer"], told.json)) == []


def _is_step(message: Any) -> bool:
    return isinstance(message, dict) and message["type"] == "progress"


def _without_progress(messages: Sequence[Any]) -> list[Any]:
    return [m for m in messages if isinstance(m, dict) and not m["type"].startswith("progress")]


def _is_frame(message: Any, kind: int) -> bool:
    return isinstance(message, bytes) and message[3] == kind


def _metadata(frame: bytes) -> Any:
    size = int.from_bytes(frame[4:8], "big")
    assert frame[8 + size :][:2] == b"\xff\xd8"
    return json.loads(frame[8 : 8 + size])
